//! The times that a rule gives a request.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::model::Handling;
use crate::proxy::timer::Deadline;

/// Which time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// That of the request, all tries together.
    Whole,
    /// That of one try.
    Try,
}

/// The times of one request. They run from its last byte on, as Envoy has it: a slow upload is no slow answer. The time of a try
/// ends with the head of its response, behind which there is no other try.
#[derive(Debug, Default)]
pub(super) struct Times {
    whole: Deadline,
    whole_left: Option<Duration>,
    one: Deadline,
    one_left: Option<Duration>,
    per_try: Option<Duration>,
}

impl Times {
    /// Takes what a rule says; nothing runs yet.
    pub fn begin(&mut self, handling: Option<&Handling>) {
        self.whole.clear();
        self.whole_left = handling.and_then(|handling| handling.timeout);
        self.per_try = handling.and_then(|handling| handling.retry.per_try_timeout);
        self.begin_try();
    }

    /// A try begins.
    pub fn begin_try(&mut self) {
        self.one.clear();
        self.one_left = self.per_try;
    }

    /// The head of the response is here.
    pub fn end_try(&mut self) {
        self.one.clear();
        self.one_left = None;
    }

    /// The request is complete: time runs.
    pub fn run(&mut self) {
        if let Some(left) = self.whole_left.take() {
            self.whole.set(left);
        }
        if let Some(left) = self.one_left.take() {
            self.one.set(left);
        }
    }

    /// Which time is over; else the task is woken when one is.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        if self.whole.poll_passed(cx).is_ready() {
            return Poll::Ready(Expired::Whole);
        }
        self.one.poll_passed(cx).map(|()| Expired::Try)
    }
}
