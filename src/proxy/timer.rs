//! Deadlines that are moved for every request and hardly ever fire.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A deadline. Moving it later costs nothing: the timer behind it stays where it is, and looks again when it fires.
#[derive(Debug, Default)]
pub struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Sets it to `after` from now.
    pub fn set(&mut self, after: Duration) {
        self.at = Some(Instant::now() + after);
    }

    /// Sets it to `after` from now; takes it away where there is none.
    pub fn set_or_clear(&mut self, after: Option<Duration>) {
        self.at = after.map(|after| Instant::now() + after);
    }

    /// Sets it earlier by so much.
    pub fn bring_forward(&mut self, by: Duration) {
        self.at = self.at.map(|at| at.checked_sub(by).unwrap_or_else(Instant::now));
    }

    /// Takes it away.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// Whether it has passed; else the task is woken when it has.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= at {
                self.at = None;
                self.timer = None;
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_fires_where_it_was_moved_to() {
        let start = Instant::now();
        let mut deadline = Deadline::default();
        deadline.set(Duration::from_secs(5));
        poll_fn(|cx| Poll::Ready(deadline.poll_passed(cx).is_pending())).await;
        tokio::time::advance(Duration::from_secs(3)).await;
        deadline.set(Duration::from_secs(5));
        poll_fn(|cx| deadline.poll_passed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 8);
        deadline.set(Duration::from_secs(60));
        poll_fn(|cx| Poll::Ready(deadline.poll_passed(cx).is_pending())).await;
        deadline.set(Duration::from_secs(1));
        poll_fn(|cx| deadline.poll_passed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 9);
        deadline.set(Duration::from_secs(60));
        poll_fn(|cx| Poll::Ready(deadline.poll_passed(cx).is_pending())).await;
        deadline.bring_forward(Duration::from_secs(58));
        poll_fn(|cx| deadline.poll_passed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 11);
    }
}
