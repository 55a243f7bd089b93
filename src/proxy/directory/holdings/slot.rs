//! The state of one subscribed name.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::{Listener, Routes};

use super::super::cluster::RoutesInForce;

/// What the control plane has said about a name.
#[derive(Debug, Default)]
pub(super) enum Slot<T> {
    /// Nothing yet.
    #[default]
    Asked,
    /// That there is no such resource.
    Absent,
    /// Something that could not be used, and nothing usable before it.
    Refused,
    /// Nothing, because it was not asked: the proxy holds as many names as it may.
    Excess,
    /// This.
    Held { version: Arc<str>, value: T },
}

impl<T> Slot<T> {
    /// A name that is asked for, unless there are too many.
    pub(super) fn new(too_many: bool) -> Self {
        if too_many { Self::Excess } else { Self::Asked }
    }

    /// Whether the control plane knows that the name is wanted.
    pub(super) fn is_asked_for(&self) -> bool {
        !matches!(self, Self::Excess)
    }

    pub(super) fn held(&self) -> Option<&T> {
        match self {
            Self::Held { value, .. } => Some(value),
            _ => None,
        }
    }

    pub(super) fn version(&self) -> Option<&Arc<str>> {
        match self {
            Self::Held { version, .. } => Some(version),
            _ => None,
        }
    }

    /// Notes that an answer could not be used, and tells whether that settles the name.
    pub(super) fn refuse(&mut self) -> bool {
        let settles = !matches!(self, Self::Held { .. });
        if settles {
            *self = Self::Refused;
        }
        settles
    }

    /// Whether it is settled that there is nothing.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Absent | Self::Refused | Self::Excess)
    }
}

/// Routes, which take force later than they come.
#[derive(Debug, Default)]
pub(super) struct RoutesSlot {
    pub(super) latest: Slot<Arc<Routes>>,
    pub(super) in_force: Option<Arc<RoutesInForce>>,
    /// While the latest wait for what they name: until when at most.
    pub(super) warming_until: Option<Instant>,
    /// The names that led to them.
    pub(super) asked_by: BTreeSet<Arc<str>>,
    /// Whether a listener led to them.
    pub(super) of_listener: bool,
}

impl RoutesSlot {
    pub(super) fn new(too_many: bool) -> Self {
        Self { latest: Slot::new(too_many), ..Self::default() }
    }

    /// Whether there is something to serve with, or never will be by what is known.
    pub(super) fn is_settled(&self) -> bool {
        self.in_force.is_some() || self.latest.is_nothing()
    }
}

/// A listener, which takes force together with its routes.
#[derive(Debug, Default)]
pub(super) struct ListenerSlot {
    pub(super) latest: Slot<Listener>,
    pub(super) in_force: Option<Listener>,
    pub(super) warming_until: Option<Instant>,
}
