//! The aggregate.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    command::{Change, Create, IntegrationCommand, RequestSync},
    event::{
        Created, Deleted, Fence, IntegrationEvent as Event, Outcome, StatusChanged, SyncRequested,
        SyncScheduled, SyncSettled, Trigger, Updated,
    },
    schedule::{InvalidInterval, SyncSettings},
};
use crate::{
    kernel::{Category, Decider, Revision, RunId},
    syncs::SyncType,
};

/// What an integration is good for just now. The wire's `status` is coarser: [`Status::coarse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits for a credential.
    PendingAuth,
    /// Works.
    Active,
    /// Switched off by a caller.
    Paused,
    /// The platform refuses the credential; the user must connect again.
    NeedsReauth,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [
        Self::PendingAuth,
        Self::Active,
        Self::Paused,
        Self::NeedsReauth,
    ];

    /// The exact one, `status_detail` on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingAuth => "pending_auth",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::NeedsReauth => "needs_reauth",
        }
    }

    /// `active`, `inactive` or `error`: the contract's `status`.
    #[must_use]
    pub const fn coarse(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::PendingAuth | Self::Paused => "inactive",
            Self::NeedsReauth => "error",
        }
    }
}

/// The run that holds the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenRun {
    /// The run.
    pub run_id: RunId,
    /// Its fence.
    pub fence: Fence,
}

/// An integration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Integration {
    /// Not created yet.
    #[default]
    Absent,
    /// In use.
    Live(Box<Live>),
    /// Gone; its id is never used again.
    Deleted,
}

/// The state of an integration in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// The platform's slug.
    pub integration_type: String,
    /// For people.
    pub name: String,
    /// As the connector reads it.
    pub configuration: Value,
    /// When it syncs by itself.
    pub sync_settings: SyncSettings,
    /// What it is good for.
    pub status: Status,
    /// The run that holds the lease.
    pub open_run: Option<OpenRun>,
    /// Highest fence granted.
    pub fence: Fence,
    /// The timer that is set.
    pub next_run_at: Option<Timestamp>,
    /// Revision of the stream's last event.
    pub revision: Revision,
}

/// Why an integration says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such integration, or no longer.
    #[error("no such integration")]
    NotFound,
    /// It exists already.
    #[error("the integration exists already")]
    Exists,
    /// A run is open and `force` was not given.
    #[error("run {0} is still open; wait for it, or repeat with force")]
    AlreadyRunning(RunId),
    /// It waits for a credential.
    #[error("the integration has no credential yet; send auth_config")]
    PendingAuth,
    /// The platform refuses its credential.
    #[error("the platform refuses the credential; connect the account again")]
    NeedsReauth,
    /// It is switched off.
    #[error("the integration is inactive; set its status to active first")]
    Paused,
    /// It changed since the caller looked.
    #[error("the integration is at revision {}; read it again and repeat the change", .0.0)]
    Stale(Revision),
    /// The name is empty or too long.
    #[error("name must have 1 to 200 characters")]
    InvalidName,
    /// The interval is none.
    #[error(transparent)]
    InvalidInterval(#[from] InvalidInterval),
}

impl Integration {
    /// The state in use, if it is.
    #[must_use]
    pub fn live(&self) -> Option<&Live> {
        match self {
            Self::Live(live) => Some(live),
            Self::Absent | Self::Deleted => None,
        }
    }
}

impl Decider for Integration {
    const CATEGORY: Category = Category::Integration;
    const STATE_VERSION: u32 = 1;
    type Command = IntegrationCommand;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(&self, command: &IntegrationCommand) -> Result<Vec<Event>, Refusal> {
        match (self, command) {
            (Self::Absent, IntegrationCommand::Create(create)) => created(create),
            (Self::Live(_) | Self::Deleted, IntegrationCommand::Create(_)) => Err(Refusal::Exists),
            // The outcome of a run may arrive after its integration is gone: nothing to do.
            (
                Self::Deleted,
                IntegrationCommand::SettleSync { .. } | IntegrationCommand::SyncDue { .. },
            ) => Ok(vec![]),
            (Self::Absent | Self::Deleted, _) => Err(Refusal::NotFound),
            (Self::Live(live), command) => live.decide(command),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match (self, event) {
            (this, Event::Created(created)) => {
                *this = Self::Live(Box::new(Live {
                    integration_type: created.integration_type.clone(),
                    name: created.name.clone(),
                    configuration: created.configuration.clone(),
                    sync_settings: created.sync_settings.clone(),
                    status: created.status,
                    open_run: None,
                    fence: Fence::default(),
                    next_run_at: None,
                    revision: Revision(1),
                }));
            }
            (this, Event::Deleted(_)) => *this = Self::Deleted,
            (Self::Live(live), event) => live.evolve(event),
            (Self::Absent | Self::Deleted, _) => {}
        }
    }
}

fn created(create: &Create) -> Result<Vec<Event>, Refusal> {
    check_name(&create.name)?;
    create.sync_settings.interval()?;
    let status = if create.pending_auth {
        Status::PendingAuth
    } else {
        Status::Active
    };
    let mut events = vec![Event::Created(Created {
        integration_type: create.integration_type.clone(),
        name: create.name.clone(),
        configuration: create.configuration.clone(),
        sync_settings: create.sync_settings.clone(),
        status,
        created_by: create.created_by.clone(),
    })];
    if let Some(at) = create.sync_settings.next_run_at(create.now) {
        events.push(Event::SyncScheduled(SyncScheduled {
            next_run_at: Some(at),
        }));
    }
    Ok(events)
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() || name.chars().count() > 200 {
        return Err(Refusal::InvalidName);
    }
    Ok(())
}

impl Live {
    fn decide(&self, command: &IntegrationCommand) -> Result<Vec<Event>, Refusal> {
        match command {
            IntegrationCommand::Create(_) => Err(Refusal::Exists),
            IntegrationCommand::Change(change) => self.change(change),
            IntegrationCommand::Authorize => Ok(match self.status {
                Status::PendingAuth | Status::NeedsReauth => {
                    vec![status(Status::Active, "a credential was stored")]
                }
                Status::Active | Status::Paused => vec![],
            }),
            IntegrationCommand::RequireReauth { reason } => Ok(match self.status {
                Status::NeedsReauth => vec![],
                Status::PendingAuth | Status::Active | Status::Paused => {
                    vec![status(Status::NeedsReauth, reason)]
                }
            }),
            IntegrationCommand::RequestSync(request) => self.request(request),
            IntegrationCommand::SettleSync {
                run_id,
                outcome,
                failure,
                now,
            } => {
                if self.open_run.is_none_or(|open| open.run_id != *run_id) {
                    return Ok(vec![]);
                }
                let mut events = vec![Event::SyncSettled(SyncSettled {
                    run_id: *run_id,
                    outcome: *outcome,
                    failure: failure.clone(),
                })];
                let due = self.sync_settings.next_run_at(*now);
                if due.is_some() && self.next_run_at.is_none_or(|at| at <= *now) {
                    events.push(Event::SyncScheduled(SyncScheduled { next_run_at: due }));
                }
                Ok(events)
            }
            IntegrationCommand::SyncDue {
                run_id,
                due_at,
                now,
            } => {
                if self.next_run_at != Some(*due_at) {
                    return Ok(vec![]);
                }
                let mut events = vec![Event::SyncScheduled(SyncScheduled {
                    next_run_at: self.sync_settings.next_run_at(*now),
                })];
                if self.open_run.is_none() && self.status == Status::Active {
                    events.push(self.lease(&RequestSync {
                        run_id: *run_id,
                        sync_type: SyncType::Incremental,
                        trigger: Trigger::Scheduled,
                        force: false,
                        upload: None,
                    }));
                }
                Ok(events)
            }
            IntegrationCommand::Delete => Ok(vec![Event::Deleted(Deleted {})]),
        }
    }

    fn change(&self, change: &Change) -> Result<Vec<Event>, Refusal> {
        if change.if_revision.is_some_and(|seen| seen != self.revision) {
            return Err(Refusal::Stale(self.revision));
        }
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        if let Some(settings) = &change.sync_settings {
            settings.interval()?;
        }
        let differs = |new: &Option<_>, old: &_| new.clone().filter(|new| new != old);
        let updated = Updated {
            name: change.name.clone().filter(|new| *new != self.name),
            configuration: differs(&change.configuration, &self.configuration),
            sync_settings: change
                .sync_settings
                .clone()
                .filter(|new| *new != self.sync_settings),
        };
        let rescheduled = updated.sync_settings.clone();
        let mut events = vec![];
        if updated != Updated::default() {
            events.push(Event::Updated(updated));
        }
        if let (Some(settings), Some(now)) = (rescheduled, change.now) {
            let next_run_at = settings.next_run_at(now);
            if next_run_at != self.next_run_at {
                events.push(Event::SyncScheduled(SyncScheduled { next_run_at }));
            }
        }
        match (change.active, self.status) {
            (Some(true), Status::Paused) => {
                events.push(status(Status::Active, "a caller activated it"));
            }
            (Some(false), Status::Active) => {
                events.push(status(Status::Paused, "a caller paused it"));
            }
            (Some(true), Status::PendingAuth) => return Err(Refusal::PendingAuth),
            (Some(true), Status::NeedsReauth) => return Err(Refusal::NeedsReauth),
            (Some(true), Status::Active)
            | (Some(false), Status::PendingAuth | Status::Paused | Status::NeedsReauth)
            | (None, _) => {}
        }
        Ok(events)
    }

    fn request(&self, request: &RequestSync) -> Result<Vec<Event>, Refusal> {
        match (self.status, request.trigger) {
            (Status::Active, _) | (Status::PendingAuth | Status::NeedsReauth, Trigger::Import) => {}
            (Status::PendingAuth, _) => return Err(Refusal::PendingAuth),
            (Status::NeedsReauth, _) => return Err(Refusal::NeedsReauth),
            (Status::Paused, _) => return Err(Refusal::Paused),
        }
        let mut events = vec![];
        if let Some(open) = self.open_run {
            if !request.force {
                return Err(Refusal::AlreadyRunning(open.run_id));
            }
            events.push(Event::SyncSettled(SyncSettled {
                run_id: open.run_id,
                outcome: Outcome::Superseded,
                failure: None,
            }));
        }
        events.push(self.lease(request));
        Ok(events)
    }

    fn lease(&self, request: &RequestSync) -> Event {
        Event::SyncRequested(SyncRequested {
            run_id: request.run_id,
            fence: Fence(self.fence.0 + 1),
            sync_type: request.sync_type,
            trigger: request.trigger,
            upload: request.upload.clone(),
        })
    }

    fn evolve(&mut self, event: &Event) {
        self.revision = Revision(self.revision.0 + 1);
        match event {
            Event::Created(_) | Event::Deleted(_) => {}
            Event::Updated(updated) => {
                if let Some(name) = &updated.name {
                    self.name.clone_from(name);
                }
                if let Some(configuration) = &updated.configuration {
                    self.configuration.clone_from(configuration);
                }
                if let Some(settings) = &updated.sync_settings {
                    self.sync_settings.clone_from(settings);
                }
            }
            Event::StatusChanged(changed) => self.status = changed.status,
            Event::SyncRequested(requested) => {
                self.fence = requested.fence;
                self.open_run = Some(OpenRun {
                    run_id: requested.run_id,
                    fence: requested.fence,
                });
            }
            Event::SyncSettled(settled) => {
                if self
                    .open_run
                    .is_some_and(|open| open.run_id == settled.run_id)
                {
                    self.open_run = None;
                }
            }
            Event::SyncScheduled(scheduled) => self.next_run_at = scheduled.next_run_at,
        }
    }
}

fn status(status: Status, reason: &str) -> Event {
    Event::StatusChanged(StatusChanged {
        status,
        reason: reason.to_owned(),
    })
}

crate::aggregate!(Integration, "integration");
