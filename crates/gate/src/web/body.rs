//! Bodies on their way: counted, held to the rule's limits, and cut off when their request is no longer permitted.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::session::Exchanging;
use crate::budget::Way;

/// A body, passed on or the gate's own.
pub(super) enum Passed {
    /// Somebody's, on its way.
    Theirs { body: Incoming, way: Way, exchange: Rc<Exchanging> },
    /// The gate's own words.
    Own(Option<Bytes>),
}

/// Why a body stops. The connection, or the stream of it, breaks with it.
pub(super) type Broken = Box<dyn std::error::Error + Send + Sync>;

impl Body for Passed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let spent = match &mut *self {
            Passed::Own(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Passed::Theirs { body, way, exchange } => {
                if exchange.stopped(context.waker()) {
                    return Poll::Ready(Some(Err("the request is no longer permitted".into())));
                }
                let frame = match std::task::ready!(Pin::new(body).poll_frame(context)) {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => {
                        exchange.broke(*way);
                        return Poll::Ready(Some(Err(error.into())));
                    }
                    Some(Ok(frame)) => frame,
                };
                let length = frame.data_ref().map_or_else(
                    || frame.trailers_ref().map_or(0, super::session::fields_length),
                    Bytes::len,
                );
                match exchange.take(*way, length) {
                    Ok(()) => return Poll::Ready(Some(Ok(frame))),
                    Err(sentence) => sentence,
                }
            }
        };
        if let Passed::Theirs { body, way: Way::Out, exchange } =
            std::mem::replace(&mut *self, Passed::Own(None))
        {
            exchange.leaves(body);
        }
        Poll::Ready(Some(Err(spent.into())))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Passed::Own(bytes) => bytes.is_none(),
            Passed::Theirs { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Passed::Own(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or_default())
            }
            Passed::Theirs { body, .. } => body.size_hint(),
        }
    }
}
