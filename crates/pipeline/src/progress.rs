//! What a run tells while it works. It only tells; whoever listens prints.

use std::sync::Arc;

use crate::{Step, StepReport};

/// Something worth telling.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step begins.
    StepBegun(Step),
    /// How far a step is: done, and how much there is in all as far as it is known.
    Progress {
        /// The step.
        step: Step,
        /// Units done.
        done: u64,
        /// Units in all; grows while more is found.
        total: u64,
    },
    /// A step ended.
    StepEnded(Box<StepReport>),
    /// A sentence for people.
    Note(String),
    /// A sentence for people about something that went wrong and was survived.
    Warning(String),
}

/// Who listens.
#[derive(Clone)]
pub struct Listener(Arc<dyn Fn(Event) + Send + Sync>);

impl Listener {
    /// Calls a function for every event.
    pub fn new(listen: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(listen))
    }

    /// Nobody.
    pub fn nobody() -> Self {
        Self::new(|_| {})
    }

    /// Tells.
    pub fn tell(&self, event: Event) {
        (self.0)(event);
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}
