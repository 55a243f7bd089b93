//! A `kube::Client` without a socket.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{Entry, HeaderValue, USER_AGENT};
use http::{Request, Response};

use super::auth::User;
use super::server::Inner;
use crate::serve::Body;

/// The client. What it writes is, unless it says otherwise, managed by the last part of `user`'s name.
pub(super) fn client(inner: Arc<Inner>, user: User) -> kube::Client {
    let name = user.name.rsplit(':').next().unwrap_or_default();
    let agent = HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("mesh"));
    kube::Client::new(InMemory { inner, user, agent }, "default")
}

#[derive(Clone)]
struct InMemory {
    inner: Arc<Inner>,
    user: User,
    agent: HeaderValue,
}

impl tower::Service<Request<kube::client::Body>> for InMemory {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<kube::client::Body>) -> Self::Future {
        if let Entry::Vacant(agent) = request.headers_mut().entry(USER_AGENT) {
            agent.insert(self.agent.clone());
        }
        let answer = Arc::clone(&self.inner).answer_as(self.user.clone(), request);
        Box::pin(async move { Ok(answer.await) })
    }
}
