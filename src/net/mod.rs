//! Sockets, namespaces, traffic capture.
