//! A DNS question: whatever comes, no panic; every answer is a message that fits its transport.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use claw_wire::dns::Query;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Query::parse(bytes) {
        Ok(query) => {
            let address = IpAddr::V4(Ipv4Addr::new(11, 64, 1, 0));
            for answer in [query.addresses(&[address], 60), query.refuse("no rule"), query.servfail("x"), query.ptr("a.test")] {
                assert!(answer.len() >= 12 && answer.get(..2) == bytes.get(..2));
            }
            let _ = query.over_stream().addresses(&[address], 60);
        }
        Err(error) => drop(error.answer()),
    }
});
