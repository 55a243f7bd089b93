//! A proxy that nobody uses gives its memory back.

use std::convert::Infallible;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::time::MissedTickBehavior;

use crate::net;

/// How often it is looked whether the proxy is idle.
const LOOK: Duration = Duration::from_secs(10);

/// Milliseconds of CPU that an idle proxy may use between two looks: its connection to the control plane, probes, scrapes.
const IDLE: i64 = 20;

/// Gives memory back whenever the process has become idle. Never ends.
pub(super) async fn settle_when_idle() -> Infallible {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.tick().await;
    // Starting is work as well.
    let mut phases = Phases { used: cpu(), settled: false };
    loop {
        looks.tick().await;
        if phases.look(cpu()) {
            net::settle();
        }
    }
}

/// Milliseconds of CPU that the process has used. Where the system does not say, it seems idle, and settles once.
fn cpu() -> i64 {
    getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0, |usage| usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds())
}

/// Tells when a busy phase has ended.
struct Phases {
    used: i64,
    settled: bool,
}

impl Phases {
    /// Takes note of the CPU time used so far. Whether the process has become idle, and was not before.
    fn look(&mut self, used: i64) -> bool {
        let idle = used - self.used <= IDLE;
        self.used = used;
        let was_settled = std::mem::replace(&mut self.settled, idle);
        idle && !was_settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_for_each_busy_phase() {
        let mut phases = Phases { used: 0, settled: false };
        let looks = [500, 505, 506, 900, 2_000, 2_010, 2_020];
        assert_eq!(looks.map(|used| phases.look(used)), [false, true, false, false, false, true, false]);
    }
}
