//! Analysis of a mesh's configuration: what is accepted and does not work.
//!
//! An analysis looks at a [`Snapshot`]: objects from files, from a cluster, or files laid over a cluster. Each analyzer of one
//! table looks for faults of one sort. What Istio's analyzers find is found here under the same codes and severities, from
//! files alone where they hold the pods and Services; what only this mesh knows has codes of its own ([`codes`]).
//!
//! Guarantees:
//! - The same objects give the same messages in the same order.
//! - Objects need not be sound: an analyzer reads what it understands of one and leaves the rest.
//! - The time grows with the number of objects, not with its square, but for pairs that do conflict, and for what is looked for
//!   among all Gateways or all ProxyConfigs.
//!
//! Refused: talking to clusters or proxies, printing, and changing anything.

mod analyzers;
mod annotation_table;
pub mod codes;
mod hosts;
mod installation;
mod message;
mod object;
mod report;
mod selection;
mod shadow;
mod snapshot;

#[cfg(test)]
mod documentation;
#[cfg(test)]
mod own_tests;
#[cfg(test)]
mod tests;

pub use analyzers::{ANALYZERS, Analyzer};
pub use codes::{CODES, Code, Level};
pub use installation::installation;
pub use message::{Found, Message};
pub use object::Object;
pub use report::{junit, sarif};
pub use selection::{Suppression, Wanted};
pub use snapshot::{Options, Snapshot, parsed};

/// Runs these analyzers; what they find is sorted by severity, code and object.
pub fn analyze<'a>(snapshot: &Snapshot, analyzers: impl IntoIterator<Item = &'a Analyzer>) -> Vec<Message> {
    let mut found = Found::default();
    for analyzer in analyzers {
        analyzer.run(snapshot, &mut found);
    }
    found.into_messages()
}
