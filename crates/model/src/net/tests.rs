use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::host::HostName;

fn net(text: &str) -> Net {
    Net::parse(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_network_with_host_bits_is_refused_and_the_right_one_named() {
    assert_eq!(
        Net::parse("10.0.0.1/24").unwrap_err().to_string(),
        "`10.0.0.1/24` has bits set beyond its prefix: the network is `10.0.0.0/24`"
    );
    assert_eq!(
        Net::parse("::ffff:10.0.0.0/120").unwrap_err().to_string(),
        "`::ffff:10.0.0.0/120` is an IPv4 network spelled in IPv6: write `10.0.0.0/24`"
    );
    assert_eq!(
        Net::parse("10.0.0.0/33").unwrap_err().to_string(),
        "`/33` is longer than the address: at most /32"
    );
}

#[test]
fn what_is_not_a_network_is_refused() {
    for text in
        ["", "/", "10", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0/8", "010.0.0.0/8", "::/0/0", "a/8"]
    {
        assert!(matches!(Net::parse(text), Err(NetError::NotNet { .. })), "{text}");
    }
}

#[test]
fn special_ranges_are_told_apart() {
    let check = |text: &str, expect: Option<Special>| assert_eq!(special(ip(text)), expect, "{text}");
    check("8.8.8.8", None);
    check("2606:4700::1", None);
    check("127.9.9.9", Some(Special::Loopback));
    check("169.254.169.254", Some(Special::Metadata));
    check("169.254.1.1", Some(Special::LinkLocal));
    check("172.16.0.1", Some(Special::Private));
    check("172.32.0.1", None);
    check("100.64.0.1", Some(Special::Cgnat));
    check("100.100.100.200", Some(Special::Metadata));
    check("0.0.0.0", Some(Special::Unspecified));
    check("255.255.255.255", Some(Special::Broadcast));
    check("240.0.0.1", Some(Special::Reserved));
    check("239.1.1.1", Some(Special::Multicast));
    check("::1", Some(Special::Loopback));
    check("::", Some(Special::Unspecified));
    check("::ffff:127.0.0.1", Some(Special::Loopback));
    check("::ffff:8.8.8.8", Some(Special::Embedded));
    check("::ffff:0:8.8.8.8", Some(Special::Embedded));
    check("::ffff:0:127.0.0.1", Some(Special::Loopback));
    check("::ffff:0:169.254.169.254", Some(Special::Metadata));
    check("fd00:ec2::23", Some(Special::Metadata));
    check("169.254.170.23", Some(Special::Metadata));
    check("64:ff9b::a9fe:a9fe", Some(Special::Metadata));
    check("::ffff:0:8.8.8.8", Some(Special::Embedded));
    check("::ffff:0:127.0.0.1", Some(Special::Loopback));
    check("::ffff:0:10.0.0.1", Some(Special::Private));
    check("::ffff:0:169.254.169.254", Some(Special::Metadata));
    check("2002:7f00:1::", Some(Special::Loopback));
    check("2001::1", Some(Special::Embedded));
    check("2001:db8::1", Some(Special::Documentation));
    check("fd00:ec2::254", Some(Special::Metadata));
    check("fd00:ec2::23", Some(Special::Metadata));
    check("169.254.170.23", Some(Special::Metadata));
    check("169.254.170.2", Some(Special::Metadata));
    check("fd00::1", Some(Special::UniqueLocal));
    check("fe80::1", Some(Special::LinkLocal));
    check("ff02::1", Some(Special::Multicast));
}

#[test]
fn a_metadata_address_is_its_own_range() {
    assert_eq!(never_range(ip("169.254.169.254")), Some((Special::Metadata, net("169.254.169.254"))));
    assert_eq!(never_range(ip("169.254.1.1")), Some((Special::LinkLocal, net("169.254.0.0/16"))));
    assert_eq!(never_range(ip("::ffff:127.0.0.1")), Some((Special::Loopback, net("127.0.0.0/8"))));
    assert_eq!(never_range(ip("fd00:ec2::23")), Some((Special::Metadata, net("fd00:ec2::23"))));
    assert_eq!(never_range(ip("10.0.0.1")), None);
}

#[test]
fn an_address_that_is_carried_is_found() {
    let check = |text: &str, expect: Option<&str>| {
        let IpAddr::V6(six) = ip(text) else { panic!("{text}") };
        assert_eq!(carried(six).map(|four| four.to_string()).as_deref(), expect, "{text}");
    };
    check("::ffff:10.1.2.3", Some("10.1.2.3"));
    check("::ffff:0:10.1.2.3", Some("10.1.2.3"));
    check("64:ff9b::10.1.2.3", Some("10.1.2.3"));
    check("2002:a01:203::1", Some("10.1.2.3"));
    check("::10.1.2.3", None);
    check("2001:db8::a01:203", None);
}

#[test]
fn names_that_lead_to_metadata_are_known() {
    for name in [
        "metadata.google.internal",
        "METADATA",
        "instance-data",
        "a.169-254-169-254.nip.io",
        "169.254.170.23.nip.io",
        "169-254-170-23.nip.io",
    ] {
        assert!(metadata_name(&HostName::parse(name).unwrap()), "{name}");
    }
    assert!(!metadata_name(&HostName::parse("metadata.example.com").unwrap()));
}

fn any_net() -> impl Strategy<Value = Net> {
    // Few distinct addresses, so that nets meet often.
    let v4 = (0u32..8, 0u8..=32).prop_map(|(top, length)| Net::new(IpAddr::V4((top << 29).into()), length));
    let v6 =
        (0u128..8, 0u8..=128).prop_map(|(top, length)| Net::new(IpAddr::V6((top << 125).into()), length));
    prop_oneof![v4, v6].prop_map(Option::unwrap)
}

/// The smallest of the regions that an address is in.
fn region(address: IpAddr) -> Option<Net> {
    let around = never_regions().into_iter().filter(|net| net.0.contains(&address));
    around.max_by_key(Net::prefix)
}

/// An address at the edge of a region, a little beside it, or anywhere.
fn any_address() -> impl Strategy<Value = IpAddr> {
    let edge =
        (prop::sample::select(never_regions()), any::<bool>(), -2i8..=2).prop_map(|(net, last, off)| {
            let off = i128::from(off);
            match if last { net.last() } else { net.address() } {
                IpAddr::V4(ip) => IpAddr::V4(u32::from(ip).wrapping_add_signed(off as i32).into()),
                IpAddr::V6(ip) => IpAddr::V6(u128::from(ip).wrapping_add_signed(off).into()),
            }
        });
    let v6 =
        (prop::sample::select(never_regions()), any::<u128>()).prop_map(|(net, bits)| match net.address() {
            IpAddr::V4(ip) => IpAddr::V4(
                (u32::from(ip) | (bits as u32).checked_shr(net.prefix().into()).unwrap_or(0)).into(),
            ),
            IpAddr::V6(ip) => {
                IpAddr::V6((u128::from(ip) | bits.checked_shr(net.prefix().into()).unwrap_or(0)).into())
            }
        });
    prop_oneof![
        edge,
        v6,
        any::<u32>().prop_map(|ip| IpAddr::V4(ip.into())),
        any::<u128>().prop_map(|ip| IpAddr::V6(ip.into()))
    ]
}

proptest! {
    #[test]
    fn within_a_region_every_address_asks_for_the_same(address in any_address(), other in any_address()) {
        let asks = |ip: IpAddr| never_range(ip).map(|(_, range)| range.prefix());
        match region(address) {
            None => prop_assert_eq!(asks(address), None),
            // an IPv4 address in another spelling
            Some(net) if net.prefix() == 96 && net.address() == ip("::ffff:0:0") => {}
            Some(net) => {
                prop_assert!(asks(address).is_some(), "{} in {}", address, net);
                if region(other) == Some(net) {
                    prop_assert_eq!(asks(address), asks(other));
                }
                let inside = never_regions().iter().any(|own| *own != net && net.covers(own) && own.contains(net.address()));
                if !inside {
                    prop_assert_eq!(asks(address), asks(net.address()));
                }
            }
        }
    }

    #[test]
    fn a_network_prints_what_it_parses(net in any_net()) {
        prop_assume!(!net.address().to_string().starts_with("::ffff"));
        prop_assert_eq!(Net::parse(&net.to_string()), Ok(net));
    }

    #[test]
    fn overlap_is_a_common_address_and_cover_is_a_subset(a in any_net(), b in any_net()) {
        // Networks are nested or apart, so the ends decide.
        let common = a.contains(b.address()) || b.contains(a.address());
        prop_assert_eq!(a.overlaps(&b), common);
        prop_assert_eq!(a.covers(&b), a.contains(b.address()) && a.contains(b.last()));
    }

    #[test]
    fn parsing_a_network_never_panics(text in "\\PC{0,24}") {
        let _ = Net::parse(&text);
    }
}
