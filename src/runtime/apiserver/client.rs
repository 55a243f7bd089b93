//! A `kube::Client` without a socket.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};

use super::auth::User;
use super::server::Inner;
use crate::serve::Body;

/// The client.
pub(super) fn client(inner: Arc<Inner>, user: User) -> kube::Client {
    kube::Client::new(InMemory { inner, user }, "default")
}

#[derive(Clone)]
struct InMemory {
    inner: Arc<Inner>,
    user: User,
}

impl tower::Service<Request<kube::client::Body>> for InMemory {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<kube::client::Body>) -> Self::Future {
        let answer = Arc::clone(&self.inner).answer_as(self.user.clone(), request);
        Box::pin(async move { Ok(answer.await) })
    }
}
