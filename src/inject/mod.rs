//! Sidecar injection as a pure function of a pod and its settings.
//!
//! [`decide`] answers whether a pod gets a sidecar and why, by Istio's table of labels; [`inject`] adds it. Both work
//! on plain JSON, so that the admission webhook, the built-in runtime and a command that injects files share them.
//!
//! Guarantees: injecting twice changes nothing the second time; nothing that a user wrote is removed or overwritten, the image
//! `auto` apart: what a pod says in a container that is called as an injected one is laid over it. What a pod says that is not
//! heeded is said ([`unheeded`]).
//! Refuses: pods on the host's network, and the namespaces that keep the cluster itself running.

mod annotation;
mod capture;
mod decision;
mod overlay;
mod probes;
mod proxy_config;
mod sidecar;
mod template;
mod unheeded;
mod workload;

#[cfg(test)]
mod kubelet_tests;
#[cfg(test)]
mod tests;

pub use capture::NAME as CAPTURE;
pub use decision::{Decision, Injector, Reason, decide, decide_for, decide_selected, is_ignored};
pub use probes::VARIABLE as APPLICATION_PROBES;
pub use proxy_config::ProxySettings;
pub use sidecar::{Host, InjectError, LINGER, Outcome, SIDECAR, Settings, inject};
pub use template::{inject_object, pod_of};
pub use unheeded::{UNHEEDED, unheeded};
pub use workload::{Standing, decide_for_pod, sidecar_revision, standing};

/// The revision that `istio-injection=enabled` stands for.
pub const DEFAULT_REVISION: &str = "default";
