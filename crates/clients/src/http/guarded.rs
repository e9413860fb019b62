//! A body that is sent only if the run may still write at that moment (R29).

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Asked before each attempt to write: whether the run still holds its lock (R29).
#[derive(Clone)]
pub struct MayWrite(Arc<dyn Fn() -> bool + Send + Sync>);

impl MayWrite {
    pub fn new(ask: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// For a client that only reads.
    pub fn never() -> Self {
        Self::new(|| false)
    }

    pub(crate) fn ask(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for MayWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MayWrite")
    }
}

/// The connection takes the body when it sends the request, which may be long after the request was made: a connection
/// is set up first, and the process may be frozen meanwhile.
pub(super) struct Guarded {
    pub(super) body: Bytes,
    pub(super) may_write: MayWrite,
    /// Set if the body was refused.
    pub(super) withdrawn: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
#[error("the run may no longer write")]
pub(super) struct Withdrawn;

impl Body for Guarded {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        if self.body.is_empty() {
            return Poll::Ready(None);
        }
        let body = std::mem::take(&mut self.body);
        if self.may_write.ask() {
            return Poll::Ready(Some(Ok(Frame::data(body))));
        }
        self.withdrawn.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(Withdrawn)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty()
    }

    /// An announced length, so that a request without its whole body is not carried out.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.body.len()).unwrap_or(u64::MAX))
    }
}
