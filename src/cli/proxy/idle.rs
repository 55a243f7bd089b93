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

/// Page faults since memory was given back that are worth giving it back again: each may have mapped 64 KiB of the program.
const FAULTS: i64 = 32;

/// Gives memory back whenever the process has become idle, and while it is when little things have brought much of it in again. Never
/// ends.
pub(super) async fn settle_when_idle() -> Infallible {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.tick().await;
    // Starting is work as well.
    let mut phases = Phases { used: usage().0, faults: 0, settled: false };
    loop {
        looks.tick().await;
        let (used, faults) = usage();
        if phases.look(used, faults) {
            net::settle();
        }
    }
}

/// Milliseconds of CPU that the process has used, and its page faults that read no file. Where the system does not say, it seems
/// idle, and settles once.
fn usage() -> (i64, i64) {
    getrusage(UsageWho::RUSAGE_SELF).map_or((0, 0), |usage| {
        let used = usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds();
        (used, usage.minor_page_faults())
    })
}

/// Tells when a busy phase has ended.
struct Phases {
    used: i64,
    /// Page faults until memory was last given back.
    faults: i64,
    settled: bool,
}

impl Phases {
    /// Takes note of the CPU time used and the page faults so far. Whether the process has become idle and was not before, or is
    /// and has grown.
    fn look(&mut self, used: i64, faults: i64) -> bool {
        let idle = used - self.used <= IDLE;
        self.used = used;
        let was_settled = std::mem::replace(&mut self.settled, idle);
        let settles = idle && (!was_settled || faults - self.faults > FAULTS);
        if settles {
            self.faults = faults;
        }
        settles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_for_each_busy_phase_and_when_it_has_grown_again() {
        let mut phases = Phases { used: 0, faults: 0, settled: false };
        let looks = [
            ((500, 900), false),
            ((505, 910), true),
            ((506, 930), false),
            ((508, 960), true),
            ((510, 961), false),
            ((900, 2_000), false),
            ((2_000, 2_000), false),
            ((2_010, 2_010), true),
            ((2_020, 2_011), false),
        ];
        for ((used, faults), expected) in looks {
            assert_eq!(phases.look(used, faults), expected, "{used} {faults}");
        }
    }
}
