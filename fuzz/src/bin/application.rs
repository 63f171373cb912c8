//! What a client says first: no panic, and it has a name once enough of it is there.
#![no_main]

use claw_wire::application::{datagram, stream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let port = bytes.first().map_or(0, |byte| u16::from(*byte) * 257);
    assert!(!datagram(bytes, port).is_empty());
    assert!(bytes.len() < 8 * 1024 || stream(bytes).is_some());
});
