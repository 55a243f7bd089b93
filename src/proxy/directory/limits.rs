//! Every bound of what a proxy holds and waits for, in one place (`docs/wire.md` §4, §6, §7, §9, §12).

use std::time::Duration;

/// How long a request waits for the answer about a name that the proxy does not hold.
pub const FIRST_CONTACT_WAIT: Duration = Duration::from_secs(5);

/// How many requests wait for such answers at a time; the next one is refused at once.
pub const MAX_WAITING: usize = 1024;

/// How long a request with a token that no known key has signed waits for newer keys.
pub const KEYS_WAIT: Duration = Duration::from_secs(2);

/// How long after newer keys were asked for they may be asked for again.
pub const KEYS_AGAIN: Duration = Duration::from_secs(10);

/// How many names the workload may have asked for; beyond it, the one idle for longest is given up.
pub const MAX_ASKED_NAMES: usize = 4096;

/// How many names are subscribed to in all, of every type.
pub const MAX_NAMES: usize = 65_536;

/// How long new routes, listeners or a new scope wait for what they name before they take force as they are.
pub const WARMING: Duration = Duration::from_secs(10);

/// How often use is looked at. A name's idle time is counted in these.
pub const TICK: Duration = Duration::from_secs(10);

/// A name that was not used in this many ticks (10 minutes) is unsubscribed.
pub const IDLE_TICKS: u32 = 60;
