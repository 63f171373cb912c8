//! A TLS hello: whatever comes, no panic, and what was seen in a part is not taken back when more comes.
#![no_main]

use claw_wire::tls::{Peek, peek};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = peek(bytes);
    for end in [bytes.len() / 3, bytes.len() / 2] {
        match peek(&bytes[..end]) {
            Peek::More => {}
            Peek::Hello(hello) => assert_eq!(Peek::Hello(hello), whole),
            other => assert_eq!(std::mem::discriminant(&other), std::mem::discriminant(&whole)),
        }
    }
});
