//! Every public address, in boxes: what an observed run that lets everything through may be steered to at most.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First and last addresses of the boxes. What is not in them the kernel refuses, as in any run.
pub(super) fn boxes() -> Vec<(IpAddr, IpAddr)> {
    let mut boxes = Vec::new();
    let mut next = 0u32;
    for (first, last) in CLOSED4.map(|(from, to)| (u32::from_be_bytes(from), u32::from_be_bytes(to))) {
        if first > next {
            boxes.push((Ipv4Addr::from(next).into(), Ipv4Addr::from(first.saturating_sub(1)).into()));
        }
        next = last.saturating_add(1);
    }
    let mut next = u128::from(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0));
    for (address, prefix) in CLOSED6 {
        let first = u128::from(Ipv6Addr::from(*address));
        if first > next {
            boxes.push((Ipv6Addr::from(next).into(), Ipv6Addr::from(first.saturating_sub(1)).into()));
        }
        next = first.saturating_add(1u128.checked_shl(128u32.saturating_sub(*prefix)).unwrap_or(u128::MAX));
    }
    boxes
}

/// What is special in IPv4 (RFC 6890 and its registry, and Azure's address for agents), in order, to the last address.
const CLOSED4: [([u8; 4], [u8; 4]); 15] = [
    ([0, 0, 0, 0], [0, 255, 255, 255]),
    ([10, 0, 0, 0], [10, 255, 255, 255]),
    ([100, 64, 0, 0], [100, 127, 255, 255]),
    ([127, 0, 0, 0], [127, 255, 255, 255]),
    ([168, 63, 129, 16], [168, 63, 129, 16]),
    ([169, 254, 0, 0], [169, 254, 255, 255]),
    ([172, 16, 0, 0], [172, 31, 255, 255]),
    ([192, 0, 0, 0], [192, 0, 0, 255]),
    ([192, 0, 2, 0], [192, 0, 2, 255]),
    ([192, 88, 99, 0], [192, 88, 99, 255]),
    ([192, 168, 0, 0], [192, 168, 255, 255]),
    ([198, 18, 0, 0], [198, 19, 255, 255]),
    ([198, 51, 100, 0], [198, 51, 100, 255]),
    ([203, 0, 113, 0], [203, 0, 113, 255]),
    ([224, 0, 0, 0], [255, 255, 255, 255]),
];

/// What is special in 2000::/3, in order, and everything behind it. Before it there is nothing public.
const CLOSED6: &[([u16; 8], u32)] = &[
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
    ([0x4000, 0, 0, 0, 0, 0, 0, 0], 2),
];

#[cfg(test)]
mod tests {
    use claw_model::net::special;
    use proptest::prelude::*;

    use super::*;

    fn opened(address: IpAddr) -> bool {
        boxes().iter().any(|(from, to)| (*from..=*to).contains(&address))
    }

    #[test]
    fn what_is_special_is_in_no_box_and_its_neighbours_are() {
        for (from, to) in boxes() {
            assert!(from <= to && special(from).is_none() && special(to).is_none(), "{from} {to}");
        }
        for (from, to) in CLOSED4 {
            for edge in [from, to] {
                assert!(special(edge.into()).is_some() && !opened(edge.into()), "{edge:?}");
            }
        }
        for public in ["8.8.8.8", "11.64.1.0", "2606:4700:4700::1111", "2608:100:c1a0::1"] {
            assert!(opened(public.parse().unwrap()), "{public}");
        }
        for closed in
            ["::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "fd00:ec2::254", "fe80::1", "2002:a00:1::1"]
        {
            assert!(!opened(closed.parse().unwrap()), "{closed}");
        }
    }

    proptest! {
        #[test]
        fn every_ipv4_address_is_open_if_and_only_if_it_is_public(number: u32) {
            let address = IpAddr::V4(number.into());
            prop_assert_eq!(opened(address), special(address).is_none());
        }

        #[test]
        fn no_special_ipv6_address_is_open(high in 0x1ff0u16..0x4010, rest: [u16; 7]) {
            let [b, c, d, e, f, g, h] = rest;
            let address = IpAddr::V6(Ipv6Addr::new(high, b, c, d, e, f, g, h));
            prop_assert!(!opened(address) || special(address).is_none());
        }
    }
}
