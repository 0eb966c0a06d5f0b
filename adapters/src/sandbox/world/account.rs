//! One account: its items, the feed of their changes, its rate limit and the faults it asked for.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Options;
use crate::sandbox::wire::{Change, ChangesPage, Item, ItemsPage};

const WORDS: [&str; 16] = [
    "anchor", "ballast", "beacon", "berth", "buoy", "cargo", "crane", "dock", "ebb", "ferry",
    "harbour", "keel", "lantern", "mast", "pier", "tide",
];
/// Most faults that wait.
const FAULTS: usize = 64;

/// What goes wrong on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultKind {
    /// 500.
    ServerError,
    /// 429 with `Retry-After`.
    RateLimit,
    /// 401.
    Unauthorized,
    /// 200 with JSON that breaks off.
    Malformed,
    /// The right answer, late.
    Slow,
    /// 200 with the items missing, though `count` tells them.
    DropPage,
}

/// The rate limit: a bucket of thousandths of requests.
#[derive(Debug)]
struct Bucket {
    level: u64,
    full: u64,
    per_second: u64,
    filled_at: Timestamp,
}

impl Bucket {
    /// Takes one request out. `Err` is the milliseconds until there is one.
    fn take(&mut self, now: Timestamp) -> Result<u64, u64> {
        let passed = now.duration_since(self.filled_at).as_millis().max(0);
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.level = passed
            .saturating_mul(self.per_second)
            .saturating_add(self.level)
            .min(self.full);
        self.filled_at = self.filled_at.max(now);
        match self.level.checked_sub(1000) {
            Some(level) => {
                self.level = level;
                Ok(level / 1000)
            }
            None => Err((1000 - self.level).div_ceil(self.per_second.max(1))),
        }
    }
}

/// Why an item cannot be made or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no such item")]
    NoSuchItem,
    #[error("the account is full; delete items first")]
    Full,
    #[error(
        "title has 1 to 200 bytes, body at most 1000, tags at most 8 of 1 to 32 bytes, none with \
         control characters, and amount is a number"
    )]
    Invalid,
    #[error("changes before {0} are forgotten; read the items again")]
    Forgotten(u64),
}

/// What a caller sets of an item. What is absent stays, or is empty in a new one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Draft {
    title: Option<String>,
    body: Option<String>,
    amount: Option<f64>,
    tags: Option<Vec<String>>,
}

impl Draft {
    fn is_valid(&self, is_new: bool) -> bool {
        let plain = |text: &str, most: usize| {
            text.len() <= most && !text.chars().any(|c| c.is_control() && c != '\n')
        };
        self.title
            .as_ref()
            .map_or(!is_new, |title| !title.is_empty() && plain(title, 200))
            && self.body.as_ref().is_none_or(|body| plain(body, 1000))
            && self.amount.is_none_or(f64::is_finite)
            && self.tags.as_ref().is_none_or(|tags| {
                tags.len() <= 8 && tags.iter().all(|tag| !tag.is_empty() && plain(tag, 32))
            })
    }
}

/// The state of one account.
#[derive(Debug)]
pub(super) struct Account {
    /// The turn of its last request.
    pub(super) used: u64,
    items: BTreeMap<u64, Item>,
    next_id: u64,
    /// Sequence → item and whether it is gone: the last change of every item.
    changes: BTreeMap<u64, (u64, bool)>,
    /// Item → sequence of its last change.
    changed: BTreeMap<u64, u64>,
    seq: u64,
    /// Changes up to here are not all remembered.
    forgotten: u64,
    tombstones: usize,
    bucket: Bucket,
    faults: VecDeque<(FaultKind, u32)>,
    dice: u64,
    items_max: usize,
    tombstones_max: usize,
}

impl Account {
    pub(super) fn new(token: &str, seed: Option<u32>, options: &Options, now: Timestamp) -> Self {
        // FNV-1a: another token has other items, the same token the same.
        let hash = token.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let full = u64::from(options.burst) * 1000;
        let mut account = Self {
            used: 0,
            items: BTreeMap::new(),
            next_id: 1,
            changes: BTreeMap::new(),
            changed: BTreeMap::new(),
            seq: 0,
            forgotten: 0,
            tombstones: 0,
            bucket: Bucket {
                level: full,
                full,
                per_second: u64::from(options.per_second),
                filled_at: now,
            },
            faults: VecDeque::new(),
            dice: seed.map_or(hash, u64::from),
            items_max: options.items_max,
            tombstones_max: options.tombstones_max,
        };
        for _ in 0..options.items {
            account.come(now);
        }
        account
    }

    /// How many items it has, and its change sequence.
    pub(super) fn size(&self) -> (usize, u64) {
        (self.items.len(), self.seq)
    }

    /// See [`Bucket::take`].
    pub(super) fn take(&mut self, now: Timestamp) -> Result<u64, u64> {
        self.bucket.take(now)
    }

    /// The next fault, if one is waiting.
    pub(super) fn fault(&mut self) -> Option<FaultKind> {
        let (kind, left) = self.faults.front_mut()?;
        let kind = *kind;
        *left -= 1;
        if *left == 0 {
            self.faults.pop_front();
        }
        Some(kind)
    }

    /// Asks for `count` faults; 0 takes all of this kind back.
    pub(super) fn add_fault(&mut self, kind: FaultKind, count: u32) {
        if count == 0 {
            self.faults.retain(|(waiting, _)| *waiting != kind);
        } else if self.faults.len() < FAULTS {
            self.faults.push_back((kind, count));
        }
    }

    /// The faults that wait, in order.
    pub(super) fn faults(&self) -> impl Iterator<Item = (FaultKind, u32)> {
        self.faults.iter().copied()
    }

    /// Items after the one with this number.
    pub(super) fn page(&self, after: u64, limit: usize) -> ItemsPage {
        let mut rest = self.items.range((Bound::Excluded(after), Bound::Unbounded));
        let taken: Vec<_> = rest.by_ref().take(limit).collect();
        let more = rest.next().is_some();
        ItemsPage {
            count: taken.len(),
            next_page_token: taken
                .last()
                .filter(|_| more)
                .map(|(number, _)| format!("after_{number}")),
            items: taken.into_iter().map(|(_, item)| item.clone()).collect(),
            change_seq: self.seq,
        }
    }

    /// Changes after a sequence.
    pub(super) fn changes(&self, since: u64, limit: usize) -> Result<ChangesPage, Refusal> {
        // Beyond our own sequence: of an account that was forgotten and made anew.
        if since < self.forgotten || since > self.seq {
            return Err(Refusal::Forgotten(self.forgotten));
        }
        let mut rest = self
            .changes
            .range((Bound::Excluded(since), Bound::Unbounded));
        let mut changes = Vec::new();
        let mut next_since = since;
        for (seq, (number, gone)) in rest.by_ref().take(limit) {
            next_since = *seq;
            changes.push(match self.items.get(number).filter(|_| !gone) {
                Some(item) => Change::Upsert {
                    seq: *seq,
                    item: item.clone(),
                },
                None => Change::Delete {
                    seq: *seq,
                    id: id(*number),
                },
            });
        }
        let has_more = rest.next().is_some();
        Ok(ChangesPage {
            count: changes.len(),
            changes,
            next_since,
            has_more,
        })
    }

    pub(super) fn get(&self, number: u64) -> Result<&Item, Refusal> {
        self.items.get(&number).ok_or(Refusal::NoSuchItem)
    }

    pub(super) fn create(&mut self, draft: Draft, now: Timestamp) -> Result<&Item, Refusal> {
        if !draft.is_valid(true) {
            return Err(Refusal::Invalid);
        }
        if self.items.len() >= self.items_max {
            return Err(Refusal::Full);
        }
        let number = self.next_id;
        self.next_id += 1;
        let item = Item {
            id: id(number),
            title: draft.title.unwrap_or_default(),
            body: draft.body.unwrap_or_default(),
            amount: draft.amount.unwrap_or_default(),
            tags: draft.tags.unwrap_or_default(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        self.changed(number, false);
        Ok(self.items.entry(number).or_insert(item))
    }

    pub(super) fn update(
        &mut self,
        number: u64,
        draft: Draft,
        now: Timestamp,
    ) -> Result<&Item, Refusal> {
        if !self.items.contains_key(&number) {
            return Err(Refusal::NoSuchItem);
        }
        if !draft.is_valid(false) {
            return Err(Refusal::Invalid);
        }
        self.changed(number, false);
        let item = self.items.get_mut(&number).ok_or(Refusal::NoSuchItem)?;
        if let Some(title) = draft.title {
            item.title = title;
        }
        if let Some(body) = draft.body {
            item.body = body;
        }
        if let Some(amount) = draft.amount {
            item.amount = amount;
        }
        if let Some(tags) = draft.tags {
            item.tags = tags;
        }
        item.version += 1;
        item.updated_at = now;
        Ok(item)
    }

    pub(super) fn delete(&mut self, number: u64) -> Result<(), Refusal> {
        self.items.remove(&number).ok_or(Refusal::NoSuchItem)?;
        self.changed(number, true);
        Ok(())
    }

    /// Lets something happen by itself, `steps` times: half of it changes, a quarter each comes and
    /// goes.
    pub(super) fn advance(&mut self, steps: u32, now: Timestamp) {
        for _ in 0..steps {
            let roll = self.roll();
            let which = usize::try_from(roll >> 8).unwrap_or(0) % self.items.len().max(1);
            let number = self.items.keys().nth(which).copied();
            match (roll % 4, number) {
                (0, Some(number)) => {
                    // It is there, so it goes.
                    let _ = self.delete(number);
                }
                (1, _) | (_, None) => self.come(now),
                (_, Some(number)) => {
                    let draft = self.draft();
                    // It is there and the draft is ours.
                    let _ = self.update(number, draft, now);
                }
            }
        }
    }

    /// A new item of our own making, if there is room.
    fn come(&mut self, now: Timestamp) {
        let draft = self.draft();
        let _ = self.create(draft, now);
    }

    fn draft(&mut self) -> Draft {
        let (one, two, three) = (self.word(), self.word(), self.word());
        let cents = u32::try_from(self.roll() % 100_000).unwrap_or(0);
        Draft {
            title: Some(format!("The {one} by the {two}")),
            body: Some(format!(
                "A {three} was seen near the {two}; the {one} waits."
            )),
            amount: Some(f64::from(cents) / 100.0),
            tags: Some(vec![one.to_owned(), three.to_owned()]),
        }
    }

    fn word(&mut self) -> &'static str {
        let at = usize::try_from(self.roll()).unwrap_or(0) % WORDS.len();
        WORDS.get(at).copied().unwrap_or("tide")
    }

    /// Splitmix64.
    const fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.dice;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) >> 8
    }

    fn changed(&mut self, number: u64, gone: bool) {
        self.seq += 1;
        if let Some(before) = self.changed.insert(number, self.seq) {
            self.changes.remove(&before);
        }
        self.changes.insert(self.seq, (number, gone));
        self.tombstones += usize::from(gone);
        while self.tombstones > self.tombstones_max {
            let oldest = self
                .changes
                .iter()
                .find(|(_, (_, gone))| *gone)
                .map(|(seq, _)| *seq);
            let Some((number, _)) = oldest.and_then(|seq| self.changes.remove(&seq)) else {
                break;
            };
            self.changed.remove(&number);
            self.forgotten = oldest.unwrap_or_default();
            self.tombstones -= 1;
        }
    }
}

fn id(number: u64) -> String {
    format!("itm_{number:06}")
}
