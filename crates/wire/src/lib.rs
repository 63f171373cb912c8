//! Sans-IO readers of foreign bytes: TLS ClientHello, DNS messages, HTTP/1 heads, first words, the kernel's list of measured files.
//!
//! Bytes in, values out: no sockets, no clock, no panics, and every reader has a size it will not pass.
//! Where two parsers could read the same bytes differently, the reader refuses instead of choosing.

pub mod application;
pub mod dns;
pub mod fields;
pub mod http;
pub mod ima;
pub mod tls;
