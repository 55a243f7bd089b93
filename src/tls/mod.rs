//! TLS configurations and verifiers.
