//! What HTTPRoute and GRPCRoute do alike with requests on the way.

use super::reference::BackendObjectRef;
use super::text::{HeaderName, HeaderValue};
use crate::resources::field::{Limit, record};
use crate::resources::rules::gateway_api as rules;

record! {
    /// Changes to headers.
    pub struct HeaderFilter {
        /// Headers that get this value instead of any they have.
        set: Vec<Header> = "set" [Limit::MaxItems(16), Limit::UniqueBy("name")];
        /// Headers that get this value beside those they have.
        add: Vec<Header> = "add" [Limit::MaxItems(16), Limit::UniqueBy("name")];
        /// Headers that are taken away.
        remove: Vec<String> = "remove" [Limit::MaxItems(16), Limit::Set];
    }
}

record! {
    /// A header.
    pub struct Header {
        /// Its name.
        name: HeaderName = "name";
        /// Its value.
        value: HeaderValue = "value";
    }
}

record! {
    /// A place where copies of requests go.
    pub struct Mirror {
        /// The place.
        backend_ref: BackendObjectRef = "backendRef";
        /// How many of a hundred requests are copied.
        percent: Option<i32> = "percent" [Limit::Between(0, 100)];
        /// Which share of requests is copied.
        fraction: Option<Fraction> = "fraction";
    }
    check: rules::mirror;
}

record! {
    /// A share.
    pub struct Fraction {
        /// So many
        numerator: i32 = "numerator" [Limit::Min(0)];
        /// of so many.
        denominator: Option<i32> = "denominator" [Limit::Min(1), Limit::Default("100")];
    }
    check: rules::fraction;
}
