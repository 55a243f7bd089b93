//! Sidecar injection as a pure function of a pod and its settings.
//!
//! [`decide`] answers whether a pod gets a sidecar and why, by Istio's table of labels; [`inject`] adds it. Both work
//! on plain JSON, so that the admission webhook, the built-in runtime and a command that injects files share them.
//!
//! Guarantees: injecting twice changes nothing the second time; nothing that a user wrote is removed or overwritten,
//! a gateway's image `auto` apart.
//! Refuses: pods on the host's network, and the namespaces that keep the cluster itself running.

mod annotation;
mod capture;
mod decision;
mod probes;
mod sidecar;
mod template;
mod workload;

#[cfg(test)]
mod kubelet_tests;
#[cfg(test)]
mod tests;

pub use capture::NAME as CAPTURE;
pub use decision::{Decision, Injector, Reason, decide, decide_for, decide_selected, is_ignored};
pub use probes::VARIABLE as APPLICATION_PROBES;
pub use sidecar::{Host, InjectError, LINGER, Outcome, SIDECAR, Settings, inject};
pub use template::{inject_object, pod_of};
pub use workload::{Standing, decide_for_pod, sidecar_revision, standing};

/// The revision that `istio-injection=enabled` stands for.
pub const DEFAULT_REVISION: &str = "default";
