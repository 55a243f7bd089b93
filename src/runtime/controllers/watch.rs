//! Watches as the controllers see them: what was touched, with broken watches started again.

use std::fmt::Debug;

use futures_util::{Stream, StreamExt};
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

/// One thing a watch says.
#[derive(Debug)]
pub(super) enum Seen<K> {
    /// The object is there, new or changed.
    There(K),
    /// The object is gone.
    Gone(K),
    /// Everything that is there has been seen since the watch (re)started; what was not seen is gone.
    Complete,
}

/// Watches until `stop` is cancelled.
pub(super) fn watch<K>(api: Api<K>, stop: CancellationToken) -> impl Stream<Item = Seen<K>> + Send
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api, watcher::Config::default())
        .default_backoff()
        .filter_map(|event| async move {
            match event {
                Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => Some(Seen::There(object)),
                Ok(watcher::Event::Delete(object)) => Some(Seen::Gone(object)),
                Ok(watcher::Event::InitDone) => Some(Seen::Complete),
                Ok(watcher::Event::Init) => None,
                Err(error) => {
                    tracing::warn!(%error, "a controller's watch broke; it is started again");
                    None
                }
            }
        })
        .take_until(stop.cancelled_owned())
}
