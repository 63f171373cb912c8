//! Host names and patterns, networks, ports, planes, phases and digests: the only parser of these.
//!
//! Every value here is parsed once, at the border, into a type that cannot be wrong, and prints back the text
//! it was parsed from (in canonical form). Nothing here reads a file, a clock or a socket, and nothing panics on
//! foreign input.

mod text;

pub mod assurance;
pub mod boxes;
pub mod destination;
pub mod digest;
pub mod host;
pub mod http;
pub mod json;
pub mod nearest;
pub mod net;
pub mod phase;
pub mod plane;
pub mod port;
pub mod protocol;
pub mod shown;
