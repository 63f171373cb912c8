//! Where a permitted name leads: the addresses that it resolves to, or that its rule spells, and what closes them.
//!
//! A `deny` or `never` of a network means the network, by whatever name one comes to it. An address that carries an IPv4 one
//! is closed by what closes either. What a name resolves to is known only to whoever dials: it asks here, before it does.

use std::net::IpAddr;
use std::sync::Arc;

use claw_model::destination::Target;
use claw_model::net;
use claw_model::plane::Plane;

use crate::decide::{Denial, Host, Request, closers, closing};
use crate::policy::Policy;
use crate::rule::{Rule, RuleList};

/// Whether a flow that this rule permits may be dialled at this address, or which rule of the policy or of a ceiling above
/// closes it.
///
/// Requests of several planes share a connection: an address that is closed to one of them is dialled for none.
pub fn leads(policy: &Policy, request: &Request<'_>, rule: &Rule, address: IpAddr) -> Result<(), Denial> {
    let planes = policy.planes(request.phase, rule);
    let closer = with_ceilings(policy)
        .find_map(|policy| closer_at(policy, request, address, |rule| on(rule, &planes)));
    closer.map_or(Ok(()), |closer| Err(denial(request, closer, address)))
}

/// The first deny or never rule for an address that a request leads to, of which this can be said.
pub(crate) fn closer_at<'a>(
    policy: &'a Policy,
    request: &Request<'_>,
    address: IpAddr,
    speaks: impl Fn(&Rule) -> bool,
) -> Option<&'a Arc<Rule>> {
    faces(address)
        .find_map(|face| closers(policy, &Request { host: Host::Address(face), ..*request }, &speaks))
}

/// The address, and the one that it carries.
pub(crate) fn faces(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let carried = match address {
        IpAddr::V6(address) => net::carried(address).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    std::iter::once(address).chain(carried)
}

/// The rules that close networks to what a flow carries.
pub(crate) fn networks<'a>(
    policy: &'a Policy,
    request: &Request<'_>,
    rule: &Rule,
) -> impl Iterator<Item = &'a Arc<Rule>> {
    let planes = policy.planes(request.phase, rule);
    let (transport, port) = (request.transport, request.port);
    with_ceilings(policy).flat_map(Policy::rules).filter(move |closer| {
        closer.list.phase().is_none()
            && matches!(closer.destination.target, Target::Net(_))
            && closer.carries(transport)
            && closer.destination.ports.contains(port)
            && on(closer, &planes)
    })
}

fn with_ceilings(policy: &Policy) -> impl Iterator<Item = &Policy> {
    std::iter::successors(Some(policy), |policy| policy.ceiling())
}

fn on(closer: &Rule, planes: &[Plane]) -> bool {
    closer.plane.is_none_or(|plane| planes.contains(&plane))
}

fn denial(request: &Request<'_>, closer: &Arc<Rule>, address: IpAddr) -> Denial {
    let Request { host, port, .. } = request;
    let what = match closer.list {
        RuleList::Never => "is promised never to be reached",
        _ => "a deny rule closes, whatever name leads there",
    };
    let sentence =
        format!("{host}:{port} is refused: it leads to {address}, which {what} ({})", closer.location());
    Denial { reason: closing(closer), rule: Some(Arc::clone(closer)), sentence, suggestion: None }
}

#[cfg(test)]
mod tests;
