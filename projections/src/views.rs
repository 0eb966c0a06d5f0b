//! The views as a whole: which generation is live, how far it is, and how to build another beside it.
//!
//! Opened by `server`; `api` and the workers read through [`Views::db`], `runtime` writes through the
//! [`Projection`]. On `PostgreSQL` several nodes have them open: the one that holds the lease
//! [`Views::lease_name`] writes, and each drives [`Views::follow`] to hear of it.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use wharf_domain::{
    kernel::{Hash, Position, Secret},
    ports::{Leases, Vault},
};

use crate::{
    Db, Error, Projection, VERSION,
    db::query,
    generation::{Files, Home, Live, Schemas, moved},
    leases,
};

/// How often a node looks by itself at what the others do to shared views; it hears of it at once.
const LOOK: Duration = Duration::from_secs(1);

/// The views. Cheap to clone.
#[derive(Clone)]
pub struct Views {
    shared: Arc<Shared>,
}

/// What the views and the projections of all generations share.
pub(crate) struct Shared {
    home: Home,
    pub(crate) vault: Arc<dyn Vault>,
    live: ArcSwap<Db>,
    published: watch::Sender<Live>,
}

/// The views did not get there in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the views are only at position {at}; ask again in a moment")]
pub struct Lagging {
    /// How far they are.
    pub at: Position,
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views")
            .field("published", &*self.shared.published.borrow())
            .finish_non_exhaustive()
    }
}

impl Views {
    /// Opens the views in `dir`, and makes what is not there. Where no generation is live, or one of another
    /// [`VERSION`](crate::VERSION), an empty one begins; those that are not live are deleted. Only one
    /// process may open a directory. [`Self::projection`] writes them.
    ///
    /// # Errors
    /// The files cannot be used.
    pub async fn open(dir: &Path, vault: Arc<dyn Vault>) -> Result<Self, Error> {
        let files = Files::new(dir);
        let live = files.open_live().await?;
        Ok(Self::new(Home::Files(files), live, vault))
    }

    /// Opens the views in the data base at `url` (`postgres://…`), which any number of nodes share, and
    /// makes what is not there. [`Self::projection`] writes them.
    ///
    /// # Errors
    /// The data base cannot be reached, or does not let this user make schemas.
    pub async fn postgres(url: &Secret<String>, vault: Arc<dyn Vault>) -> Result<Self, Error> {
        Self::of_version(url, vault, VERSION).await
    }

    /// As [`Self::postgres`], as if the code had this version.
    pub(crate) async fn of_version(
        url: &Secret<String>,
        vault: Arc<dyn Vault>,
        version: u32,
    ) -> Result<Self, Error> {
        let schemas = Schemas::connect(url, version).await?;
        let live = schemas.live_or_first().await?;
        Ok(Self::new(Home::Schemas(schemas), live, vault))
    }

    fn new(home: Home, live: Live, vault: Arc<dyn Vault>) -> Self {
        let db = home.db(live.number);
        Self {
            shared: Arc::new(Shared {
                home,
                vault,
                live: ArcSwap::from_pointee(db),
                published: watch::channel(live).0,
            }),
        }
    }

    /// The lease that allows to write these views: one for each version of them, since an old and a new
    /// node, side by side, have generations of their own.
    #[must_use]
    pub fn lease_name(&self) -> String {
        let version = match &self.shared.home {
            Home::Files(_) => VERSION,
            Home::Schemas(schemas) => schemas.version(),
        };
        format!("projector/v{version}")
    }

    /// Who is the only one of all nodes that have these views open to do something. `holder` names this
    /// node: the same after each start, and no other's.
    #[must_use]
    pub fn leases(&self, holder: &str) -> Arc<dyn Leases> {
        match &self.shared.home {
            Home::Files(_) => Arc::new(leases::Alone),
            Home::Schemas(schemas) => Arc::new(leases::Shared::new(schemas.options(), holder)),
        }
    }

    /// The writer of the live generation, for whoever holds the lease with this `fence`. From now on who
    /// wrote under a lower one is refused with [`Error::Fenced`].
    ///
    /// # Errors
    /// [`Error::Fenced`] if another node holds the lease by now; the data base failed.
    pub async fn projection(&self, fence: u64) -> Result<Projection, Error> {
        loop {
            if let Home::Schemas(schemas) = &self.shared.home {
                self.shared.show(schemas.live_or_first().await?);
            }
            let number = self.shared.live_generation();
            let opened = match self.shared.home.writer(number, fence).await {
                // Another generation went live in between.
                Err(Error::Superseded) => continue,
                opened => opened?,
            };
            self.shared.publish(number, opened.1);
            return Ok(Projection::new(
                number,
                opened,
                fence,
                Arc::clone(&self.shared),
            ));
        }
    }

    /// Follows what other nodes do to these views, until that fails: how far they are, and which
    /// generation is live. Whoever opened shared views drives this and calls again after an error; for
    /// views that are not shared it never returns. Also drops generations that nobody needs any more.
    ///
    /// # Errors
    /// The data base failed.
    pub async fn follow(&self) -> Result<(), Error> {
        let Home::Schemas(schemas) = &self.shared.home else {
            return std::future::pending().await;
        };
        let mut news = schemas.listen().await?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let heard = tokio::select! {
                heard = news.try_recv() => heard?,
                _ = look.tick() => {
                    if let Err(error) = schemas.sweep().await {
                        tracing::warn!(%error, "old views stay for now");
                    }
                    None
                }
            };
            match heard.and_then(|heard| moved(heard.payload())) {
                Some(live) if live.number == self.shared.live_generation() => {
                    self.shared.publish(live.number, live.position);
                }
                // A swap, a connection that was lost, or time to look.
                Some(_) | None => {
                    if let Some(live) = schemas.live().await? {
                        self.shared.show(live);
                    }
                }
            }
        }
    }

    /// How far the views in `dir` are, without opening them for writing: for commands that look while
    /// a hub runs. `None` if they will be built anew at the next start.
    ///
    /// # Errors
    /// The files cannot be read.
    pub async fn peek(dir: &Path) -> Result<Option<Position>, Error> {
        Files::new(dir).peek().await
    }

    /// As [`Self::peek`], of the data base at `url`.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn peek_postgres(url: &Secret<String>) -> Result<Option<Position>, Error> {
        Schemas::new(url, VERSION)?.peek().await
    }

    /// How far the live generation is, and the hash of the commit there: whoever opens the views beside a log
    /// compares, so that no log's views are ever taken for another's. Zeros before the first commit.
    ///
    /// # Errors
    /// The views cannot be read.
    pub async fn checkpoint(&self) -> Result<(Position, Hash), Error> {
        let row = query("select position, hash from checkpoint where id = 1")
            .fetch_one(&*self.db())
            .await?;
        let hash = row.get::<Vec<u8>>("hash")?.try_into();
        let hash = hash.map_err(|_| Error::Damaged("the checkpoint's hash has not 32 bytes"))?;
        Ok((Position(row.count("position")?), Hash(hash)))
    }

    /// How far the live generation is.
    #[must_use]
    pub fn position(&self) -> Position {
        self.shared.published.borrow().position
    }

    /// Returns once the live generation has reached `position`.
    ///
    /// # Errors
    /// [`Lagging`] after `deadline`.
    pub async fn wait_for(&self, position: Position, deadline: Duration) -> Result<(), Lagging> {
        let mut published = self.shared.published.subscribe();
        let reached = published.wait_for(|published| published.position >= position);
        match tokio::time::timeout(deadline, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Lagging {
                at: self.position(),
            }),
        }
    }

    /// The live generation, to read. Ask anew for each request: a swap replaces it.
    #[must_use]
    pub fn db(&self) -> Arc<Db> {
        self.shared.live.load_full()
    }

    /// An empty generation beside the live one. Bring it to the live one's checkpoint, then
    /// [`Self::swap`]; if it is dropped before, its file is deleted at the next start, its schema a
    /// minute later.
    ///
    /// # Errors
    /// The storage failed.
    pub async fn begin_rebuild(&self) -> Result<Projection, Error> {
        let (number, opened) = self.shared.home.create().await?;
        Ok(Projection::new(number, opened, 0, Arc::clone(&self.shared)))
    }

    /// Makes the generation of `new` the live one. From then on the projection that was live answers
    /// [`Error::Superseded`], and its generation goes once nobody reads it. [`Self::projection`] gives the
    /// writer under the same lease as before.
    ///
    /// In files, nothing may be applied to the live projection meanwhile: the one loop that owns both
    /// catches up with `new`, then swaps. In a data base any node may swap; it is [`Error::Behind`] as
    /// long as the projector is faster.
    ///
    /// # Errors
    /// [`Error::Behind`] if readers would see the views go back; [`Error::Superseded`] if a newer
    /// generation went live meanwhile; the storage failed.
    pub async fn swap(&self, new: &Projection) -> Result<(), Error> {
        if self.shared.live_generation() > new.number() {
            return Err(Error::Superseded);
        }
        let live = match &self.shared.home {
            Home::Files(files) => {
                let (live, position) = (self.position(), new.checkpoint());
                if position < live {
                    return Err(Error::Behind {
                        live,
                        new: position,
                    });
                }
                files.set_current(new.number()).await?;
                Live {
                    number: new.number(),
                    position,
                }
            }
            Home::Schemas(schemas) => schemas.swap(new.number()).await?,
        };
        self.shared.show(live);
        Ok(())
    }
}

impl Shared {
    pub(crate) fn live_generation(&self) -> u64 {
        self.published.borrow().number
    }

    /// Shows readers what is live by now.
    fn show(&self, live: Live) {
        let known = self.live_generation();
        if live.number > known {
            let old = self.live.swap(Arc::new(self.home.db(live.number)));
            old.retire();
        }
        if live.number >= known {
            self.published.send_replace(live);
        }
    }

    /// Tells those who wait, if `number` is the live generation.
    pub(crate) fn publish(&self, number: u64, position: Position) {
        self.published.send_if_modified(|published| {
            let news = published.number == number && published.position < position;
            if news {
                published.position = position;
            }
            news
        });
    }
}
