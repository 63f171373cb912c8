//! Let through, and written down: the dangerous way to observe. Public addresses alone are dialled, and what TLS
//! hides stays hidden.

use std::rc::Rc;
use std::time::Duration;

use claw_policy::Decision;
use claw_wire::application::{self, UNKNOWN};
use claw_wire::tls::{self, Peek};
use tokio::net::TcpStream;

use super::seen::Said;
use super::wire::Again;
use crate::budget::{Counted, Way};
use crate::flow::{self, Slot};
use crate::live::Open;
use crate::{Attempt, Held, Shared, relay};

/// Takes one connection.
pub(crate) async fn carry(shared: Rc<Shared>, stream: TcpStream, attempt: Attempt, slot: Slot) {
    let permit = match shared.decide(&attempt) {
        Decision::Allow(permit) => permit,
        Decision::Deny(denial) => {
            shared.denied(&attempt, &denial);
            return flow::reset(stream);
        }
    };
    let open = Open::enter(&shared, attempt, &permit, Counted::default());
    let flow = Rc::clone(open.flow());
    let mut addresses = match Box::pin(open.resolve(&permit)).await {
        Ok(addresses) => addresses,
        Err(error) => return flow::not_dialled(&shared, &open, &permit, error, stream),
    };
    // order: written down before it takes effect
    match shared.allowed(&flow, &permit) {
        Ok(begun) => open.begun(begun),
        Err(_) => return flow::reset(stream),
    }
    let mut wire = Again::new(stream);
    *flow.said.borrow_mut() = Some(first(&shared, &mut wire).await);
    let (stream, first) = wire.apart();
    let dialled = match flow.take(Way::Out, first.len()) {
        Ok(()) => Box::pin(addresses.dial(&first)).await,
        Err(spent) => Err(spent.into()),
    };
    let end = match dialled {
        Ok(upstream) => relay::run(stream, upstream, &flow).await,
        Err(_) => {
            flow::reset(stream);
            "unreachable"
        }
    };
    flow.ends(end);
    drop((addresses, open, slot));
}

/// What the client says first, if it says it soon: one that waits for the server is not kept waiting.
async fn first(shared: &Shared, wire: &mut Again<TcpStream>) -> Said {
    let mut held = Held::new(shared);
    let read = async {
        loop {
            let named = application::stream(wire.seen());
            match (named, tls::peek(wire.seen())) {
                (Some("tls"), Peek::Hello(hello)) => return Said::of(&hello),
                (Some("tls"), Peek::More) | (None, _) => {}
                (Some(name), _) => return Said { application: Some(name), ..Said::default() },
            }
            match wire.more().await {
                Ok(length) if length > 0 && held.take(length) => {}
                _ => break,
            }
        }
        Said::default()
    };
    let said = tokio::time::timeout(SOON, read).await.unwrap_or_default();
    let fallback = if wire.seen().is_empty() { "silent" } else { UNKNOWN };
    Said { application: said.application.or(Some(fallback)), ..said }
}

const SOON: Duration = Duration::from_millis(200);
