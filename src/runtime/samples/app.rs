//! The closed set of built-in apps, and what runs them.

use std::fmt;

use bytes::Bytes;
use http::{Request, Response};

use super::context::AppContext;
use super::httpbin::Flavour;
use super::{bookinfo, helloworld, httpbin, reply};

/// A built-in app with its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// Bookinfo's front end.
    Productpage,
    /// Bookinfo's book data.
    Details,
    /// Bookinfo's reviews; versions differ in whether and how they show ratings.
    Reviews(ReviewsVersion),
    /// Bookinfo's star ratings.
    Ratings,
    /// Echoes requests.
    Httpbin(Flavour),
    /// Says its version.
    Helloworld(&'static str),
    /// Sends every line back behind a word.
    TcpEcho,
    /// Takes connections and answers nothing: a database that nobody asks anything.
    Silent(u16),
    /// Does nothing until it is stopped (`curl`, `sleep`).
    Idle,
}

/// How reviews shows ratings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewsVersion {
    /// No stars; ratings is not called.
    V1,
    /// Black stars.
    V2,
    /// Red stars.
    V3,
}

impl App {
    /// The port the app listens on when its container declares none; `None` for an app that listens on nothing.
    pub const fn default_port(self) -> Option<u16> {
        match self {
            Self::Productpage | Self::Details | Self::Reviews(_) | Self::Ratings => Some(9080),
            Self::Httpbin(_) => Some(8080),
            Self::Helloworld(_) => Some(5000),
            Self::TcpEcho => Some(9000),
            Self::Silent(port) => Some(port),
            Self::Idle => None,
        }
    }

    /// Answers one request. Never fails: what goes wrong becomes a response.
    pub(super) async fn handle(self, context: &AppContext, request: Request<Bytes>) -> Response<Bytes> {
        match self {
            Self::Productpage => bookinfo::productpage::handle(context, request).await,
            Self::Details => bookinfo::details::handle(&request),
            Self::Reviews(version) => bookinfo::reviews::handle(version, context, &request).await,
            Self::Ratings => bookinfo::ratings::handle(context, &request),
            Self::Httpbin(flavour) => httpbin::handle(flavour, request).await,
            Self::Helloworld(version) => helloworld::handle(version, context, &request),
            Self::TcpEcho | Self::Silent(_) | Self::Idle => reply::not_found(),
        }
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Productpage => f.write_str("productpage"),
            Self::Details => f.write_str("details"),
            Self::Reviews(ReviewsVersion::V1) => f.write_str("reviews-v1"),
            Self::Reviews(ReviewsVersion::V2) => f.write_str("reviews-v2"),
            Self::Reviews(ReviewsVersion::V3) => f.write_str("reviews-v3"),
            Self::Ratings => f.write_str("ratings"),
            Self::Httpbin(_) => f.write_str("httpbin"),
            Self::Helloworld(version) => write!(f, "helloworld-{version}"),
            Self::TcpEcho => f.write_str("tcp-echo"),
            Self::Silent(port) => write!(f, "silent-{port}"),
            Self::Idle => f.write_str("sleep"),
        }
    }
}
