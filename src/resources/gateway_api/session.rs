//! Requests of one client that go to one endpoint.

use super::text::{HeaderName, PathText, Span};
use crate::resources::field::{Limit, names, record};
use crate::resources::rules::gateway_api as rules;

record! {
    /// Keeps the requests of one client at one endpoint.
    pub struct SessionPersistence {
        /// What tells clients apart.
        session_type: Option<SessionType> = "type" [Limit::Default("\"Cookie\"")];
        /// The cookie.
        cookie: Option<SessionCookie> = "cookie";
        /// The header.
        header: Option<SessionHeader> = "header";
        /// How long it holds at most.
        absolute_timeout: Option<Span> = "absoluteTimeout";
    }
    check: rules::session;
}

names! {
    /// What tells clients apart.
    pub enum SessionType {
        /// A cookie.
        Cookie = "Cookie",
        /// A header.
        Header = "Header",
    }
}

record! {
    /// A cookie that tells clients apart.
    pub struct SessionCookie {
        /// Its name.
        name: Option<HeaderName> = "name" ;
        /// How long clients keep it.
        lifetime_type: Option<CookieLifetime> = "lifetimeType" [Limit::Default("\"Session\"")];
        /// The paths that it is for.
        path: Option<PathText> = "path" [Limit::Default("\"/\"")];
    }
}

names! {
    /// How long clients keep a cookie.
    pub enum CookieLifetime {
        /// Until a time.
        Permanent = "Permanent",
        /// For their session.
        Session = "Session",
    }
}

record! {
    /// A header that tells clients apart.
    pub struct SessionHeader {
        /// Its name.
        name: HeaderName = "name";
    }
}
