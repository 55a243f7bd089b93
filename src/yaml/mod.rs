//! YAML with source positions, and YAML 1.1 scalars as Kubernetes reads them.
