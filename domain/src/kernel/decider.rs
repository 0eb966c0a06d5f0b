//! Deciders: how an aggregate turns a command into events, and events into its state.

use serde::{Serialize, de::DeserializeOwned};

use super::{commit::Head, event::EventSet, stream::Category};

/// An aggregate. Both functions are pure and blocking; whatever they need of the world (the time, a
/// new id) is in the command.
pub trait Decider: Default + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The category of its streams.
    const CATEGORY: Category;
    /// Version of the state's shape and of what `evolve` makes of events. Raise it with a change of either:
    /// snapshots of another version are not used.
    const STATE_VERSION: u32;
    /// What it can be asked.
    type Command: Clone + Send + Sync + 'static;
    /// What can happen to it.
    type Event: EventSet;
    /// Why it says no.
    type Refusal: std::error::Error + Clone + PartialEq + Send + Sync + 'static;

    /// What happens if `command` is asked now; no event means that nothing needs to happen.
    ///
    /// # Errors
    /// The aggregate's rules forbid it.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Refusal>;

    /// The state after `event`. Total: an event is a fact, it cannot be refused.
    fn evolve(&mut self, event: &Self::Event);
}

/// An aggregate's state and where its stream ends.
#[derive(Clone, Debug, Default)]
pub struct Loaded<A> {
    /// The fold of its events.
    pub state: A,
    /// The stream's end; `None` while there is no stream.
    pub head: Option<Head>,
}

impl<A: Decider> Loaded<A> {
    /// Folds one more event.
    pub fn apply(&mut self, event: &A::Event) {
        self.state.evolve(event);
    }
}

/// Makes a [`Decider`] an aggregate of `cqrs-es`, and so testable by its `TestFramework`.
///
/// Only its traits are used: its store has no positions and its queries no checkpoints (ADR 0004).
#[macro_export]
macro_rules! aggregate {
    ($name:ty, $type_name:literal) => {
        impl cqrs_es::Aggregate for $name {
            const TYPE: &'static str = $type_name;
            type Command = <Self as $crate::kernel::Decider>::Command;
            type Event = <Self as $crate::kernel::Decider>::Event;
            type Error = <Self as $crate::kernel::Decider>::Refusal;
            type Services = ();

            async fn handle(
                &mut self,
                command: Self::Command,
                _services: &Self::Services,
                sink: &cqrs_es::event_sink::EventSink<Self>,
            ) -> Result<(), Self::Error> {
                for event in $crate::kernel::Decider::decide(self, &command)? {
                    sink.write(event, self).await;
                }
                Ok(())
            }

            fn apply(&mut self, event: Self::Event) {
                $crate::kernel::Decider::evolve(self, &event);
            }
        }
    };
}
