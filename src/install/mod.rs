//! Installing a mesh: profiles and settings become manifests, and manifests become a mesh in a cluster.
//!
//! ```text
//! profiles/ + files + --set → Settings (typed) → Plan (resolved) → manifests (objects, in order) → apply, prune, wait
//! ```
//!
//! Guarantees:
//! - The same settings yield the same manifests, byte for byte.
//! - A setting that does not exist, or has the wrong type, is refused with its path and what may have been meant. A value never
//!   becomes YAML: it is put into a manifest as a value.
//! - Installing again converges, whether the time before was interrupted or done by hand; what this revision installed before
//!   and no longer wants goes.
//! - One installer at a time per revision, by a lock that names its holder.
//! - An Istio that mesh did not install is never overwritten unasked, and CRDs and what users wrote outlive the mesh.
//!
//! It refuses to print, and to know proxies. Names of objects are those that Istio's users know (DESIGN.md section 6).

mod apply;
mod compare;
mod customise;
mod elsewhere;
mod error;
mod foreign;
mod manifest;
mod order;
mod plan;
mod profile;
mod remove;
mod render;
mod settings;
mod tag;
mod tree;
mod verify;
mod webhook;

#[cfg(test)]
mod tests;

pub use apply::{Event, Options, Summary, install, record};
pub use compare::{Change, Difference, compare, normalise};
pub use error::Error;
pub use foreign::Foreign;
pub use order::{component_of, revision_of};
pub use plan::{Plan, Platform};
pub use profile::{Assignment, Layers, profile_text, profiles};
pub use remove::{Extent, Place, Purge, Removal, left_behind, purge_extent, removable, remove};
pub use render::render;
pub use settings::Settings;
pub use tag::{Tag, injects_everywhere, remove_tag, set_tag, tag_manifest, tags};
pub use verify::{Verdict, installed_revisions, recorded_layers, verify};

/// The label that says that mesh installed an object, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "mesh");

/// The label that names the part of the mesh that an object belongs to.
pub const COMPONENT: &str = "operator.istio.io/component";

/// The label that names the revision that an object belongs to.
pub const REVISION: &str = "istio.io/rev";

/// What names of a revision's objects end in: nothing for the default revision.
fn suffix(revision: &str) -> String {
    if revision == DEFAULT_REVISION { String::new() } else { format!("-{revision}") }
}

/// The Lease whose holder writes what is written once, among the control planes of every revision.
pub const LEADER_LEASE: &str = "istio-leader";

/// The version of the program, which is the version that it installs.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The revision that is meant where none is named.
pub const DEFAULT_REVISION: &str = "default";
