//! SPIFFE ids, keys and certificates.
