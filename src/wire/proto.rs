//! The generated messages, clients and servers. Written by `wire::generated`, from the `.proto` files beside them.

/// mesh's own messages.
pub mod mesh {
    /// The resources that the control plane sends.
    #[allow(missing_docs, clippy::all, clippy::pedantic, rust_2018_idioms, rustdoc::all)]
    pub mod v1 {
        include!("gen/mesh.v1.rs");
    }
}

/// Envoy's messages.
pub mod envoy {
    /// Envoy's services.
    pub mod service {
        /// The authorization service.
        pub mod auth {
            /// Its messages.
            #[allow(missing_docs, clippy::all, clippy::pedantic, rust_2018_idioms, rustdoc::all)]
            pub mod v3 {
                include!("gen/envoy.service.auth.v3.rs");
            }
        }

        /// The discovery service.
        pub mod discovery {
            /// Delta ADS.
            #[allow(missing_docs, clippy::all, clippy::pedantic, rust_2018_idioms, rustdoc::all)]
            pub mod v3 {
                include!("gen/envoy.service.discovery.v3.rs");
            }
        }
    }
}

/// Istio's messages.
pub mod istio {
    /// Version 1.
    pub mod v1 {
        /// The certificate service.
        #[allow(missing_docs, clippy::all, clippy::pedantic, rust_2018_idioms, rustdoc::all)]
        pub mod auth {
            include!("gen/istio.v1.auth.rs");
        }
    }
}

/// OpenTelemetry's messages.
pub mod opentelemetry {
    /// What a collector of spans is told.
    pub mod trace {
        /// Version 1.
        #[allow(missing_docs, clippy::all, clippy::pedantic, rust_2018_idioms, rustdoc::all)]
        pub mod v1 {
            include!("gen/opentelemetry.proto.trace.v1.rs");
        }
    }
}
