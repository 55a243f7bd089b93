//! What long-running commands say about themselves: lines on standard error, filtered by `RUST_LOG`, and by who asks for more while
//! they run.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

/// What is said unless somebody asks for something else.
const DEFAULT: &str = "info,h2=error,hyper=warn,tower=warn";

/// Shows what is said, after it was changed to the given filter if there is one.
type Change = dyn Fn(Option<&str>) -> Result<String, String> + Send + Sync;

/// How much is said. A clone changes the same.
#[derive(Clone)]
pub struct Level {
    change: Arc<Change>,
    first: Arc<str>,
}

impl Level {
    /// What is said: a filter as `RUST_LOG` has it.
    pub fn get(&self) -> String {
        (self.change)(None).unwrap_or_default()
    }

    /// Says what this filter asks for from now on.
    ///
    /// # Errors
    /// It is no filter.
    pub fn set(&self, filter: &str) -> Result<String, String> {
        (self.change)(Some(filter))
    }

    /// Says again what was said at the start.
    pub fn reset(&self) -> Result<String, String> {
        self.set(&self.first)
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Level").field(&self.get()).finish()
    }
}

/// Starts logging. A second call changes nothing of what the first one has started.
pub fn start() -> Level {
    let first = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| EnvFilter::try_new(text).is_ok());
    let first = first.unwrap_or_else(|| DEFAULT.to_owned());
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&first))
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    // An error means that somebody has started it already.
    let _ = subscriber.try_init();
    let change = move |wanted: Option<&str>| {
        if let Some(wanted) = wanted {
            let filter = EnvFilter::try_new(wanted).map_err(|error| format!("{wanted:?} is no filter: {error}"))?;
            handle.reload(filter).map_err(|error| error.to_string())?;
        }
        handle.with_current(ToString::to_string).map_err(|error| error.to_string())
    };
    Level { change: Arc::new(change), first: first.into() }
}
