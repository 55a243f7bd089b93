//! The node of the built-in runtime: runs the pods that the API server holds, as processes of this machine.

pub mod network;
pub mod pod_exec;
