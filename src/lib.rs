//! mesh: a service mesh in one binary.
//!
//! The package is one house of rooms on floors; a room imports only rooms on floors below its own
//! (`.ci/check-imports` holds this). From the ground up:
//!
//! | floor | rooms |
//! | --- | --- |
//! | 0 | [`yaml`], [`identity`], [`net`] |
//! | 1 | [`resources`], [`tls`], [`telemetry`], [`serve`] |
//! | 2 | [`model`] |
//! | 3 | [`compile`], [`kube`], [`wire`] |
//! | 4 | [`proxy`], [`inject`], [`install`] |
//! | 5 | [`control`] |
//! | 6 | [`runtime`] |
//! | 7 | [`cli`] |
//!
//! Two ways lead through it: configuration goes `resources` → `compile` → `model` → `wire` → `proxy`; a request goes
//! listener → codec → filters → `model::route::decide` → upstream.

pub mod analyze;
pub mod cli;
pub mod compile;
pub mod control;
pub mod identity;
pub mod inject;
pub mod install;
pub mod kube;
pub mod model;
pub mod net;
pub mod proxy;
pub mod resources;
pub mod runtime;
pub mod serve;
pub mod telemetry;
pub mod tls;
pub mod wire;
pub mod yaml;
