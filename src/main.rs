//! The `mesh` executable: installs the cryptography provider, then hands over to the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    mesh::net::configure_heap();
    if let Some(code) = mesh::cli::pod_exec::run(std::env::args_os()) {
        return code;
    }
    // Libraries that open TLS connections by themselves (the Kubernetes client) look for the process's default provider; an
    // error here means that one is installed already, which serves as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    mesh::cli::main(std::env::args_os())
}
