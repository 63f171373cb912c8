//! Malformed queries first, then answers read back by hickory's own parser.

use hickory_proto::rr::rdata::opt::EdnsCode;
use proptest::prelude::*;

use super::*;

/// A query built by hand: flags, counts, then raw bytes.
fn raw(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34];
    bytes.extend(flags.to_be_bytes());
    bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    bytes.extend(rest);
    bytes
}

fn labels(labels: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in labels {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(*label);
    }
    bytes.push(0);
    bytes
}

fn question(name: &[&[u8]], kind: u16) -> Vec<u8> {
    [labels(name), kind.to_be_bytes().to_vec(), vec![0, 1]].concat()
}

fn opt(size: u16, version: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 41];
    bytes.extend(size.to_be_bytes());
    bytes.extend([0, version, 0, 0, 0, 0]);
    bytes
}

const RD: u16 = 0x0100;

fn plain(name: &[&[u8]], kind: u16) -> Query {
    Query::parse(&raw(RD, [1, 0, 0, 0], &question(name, kind))).unwrap()
}

fn with_edns(name: &[&[u8]], kind: u16, size: u16) -> Query {
    let rest = [question(name, kind), opt(size, 0)].concat();
    Query::parse(&raw(RD, [1, 0, 0, 1], &rest)).unwrap()
}

fn read(bytes: &[u8]) -> Message {
    Message::from_vec(bytes).unwrap()
}

fn extended_error(message: &Message) -> Option<(u16, String)> {
    let option = message.edns.as_ref()?.option(EdnsCode::Unknown(15))?;
    let EdnsOption::Unknown(_, data) = option else { return None };
    Some((u16::from_be_bytes([data[0], data[1]]), String::from_utf8(data[2..].to_vec()).unwrap()))
}

#[test]
fn malformed_queries_are_refused() {
    let good = question(&[b"a", b"test"], 1);
    let format = DnsError::Format(0x1234);
    let check = |bytes: &[u8], error: DnsError| {
        assert_eq!(Query::parse(bytes).err(), Some(error), "{bytes:?}");
    };
    for end in 0..12 {
        check(&raw(RD, [1, 0, 0, 0], &good)[..end], DnsError::Drop);
    }
    for end in 12..12 + good.len() {
        check(&raw(RD, [1, 0, 0, 0], &good)[..end], format);
    }
    check(&raw(0x8180, [1, 0, 0, 0], &good), DnsError::Drop);
    check(&raw(0x2800, [1, 0, 0, 0], &good), DnsError::NotImplemented(0x1234));
    check(&raw(0x1000, [0, 0, 0, 0], &[]), DnsError::NotImplemented(0x1234));
    check(&raw(RD, [0, 0, 0, 0], &[]), format);
    check(&raw(RD, [0, 0, 0, 0], &good), format);
    check(&raw(RD, [2, 0, 0, 0], &[good.clone(), good.clone()].concat()), format);
    check(&raw(RD, [2, 0, 0, 0], &good), format);
    check(&raw(RD, [1, 1, 0, 0], &good), format);
    check(&raw(RD, [1, 0, 1, 0], &good), format);
    check(&raw(RD, [1, 0, 0, 65535], &good), format);
    check(&raw(RD, [1, 0, 0, 0], &[&good[..], b"x"].concat()), format);
    // Pointers: to itself, forward, after a label, into the header, and to a zero there that would be the root.
    let pointers =
        [&[0xc0, 12][..], &[0xc0, 14], &[0xc0, 0], &[0xc0, 3], &[1, b'a', 0xc0, 12], &[1, b'a', 0xc0, 3]];
    for name in pointers {
        check(&raw(RD, [1, 0, 0, 0], &[name, &[0, 1, 0, 1]].concat()), format);
    }
    // Reserved label types.
    check(&raw(RD, [1, 0, 0, 0], &[0x41, b'a', 0, 0, 1, 0, 1]), format);
    check(&raw(RD, [1, 0, 0, 0], &[0x80, b'a', 0, 0, 1, 0, 1]), format);
    // 256 bytes of name.
    let long = [&[b'a'; 63][..]; 4];
    check(&raw(RD, [1, 0, 0, 0], &question(&long, 1)), format);
    // Class CHAOS and class ANY.
    check(&raw(RD, [1, 0, 0, 0], &[labels(&[b"version", b"bind"]), vec![0, 16, 0, 3]].concat()), format);
    check(&raw(RD, [1, 0, 0, 0], &[labels(&[b"a"]), vec![0, 1, 0, 255]].concat()), format);
    // Two OPT records; an EDNS version nobody speaks; an OPT cut short.
    let twice = [good.clone(), opt(1232, 0), opt(1232, 0)].concat();
    check(&raw(RD, [1, 0, 0, 2], &twice), format);
    check(&raw(RD, [1, 0, 0, 1], &[good.clone(), opt(1232, 1)].concat()), format);
    check(&raw(RD, [1, 0, 0, 1], &[&good[..], &opt(1232, 0)[..7]].concat()), format);
}

#[test]
fn error_answers_carry_the_id_and_nothing_else() {
    assert_eq!(format_error(0x1234), [0x12, 0x34, 0x80, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(not_implemented(0x1234), [0x12, 0x34, 0x80, 0x84, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(DnsError::Drop.answer(), None);
    assert_eq!(DnsError::Format(7).answer(), Some(format_error(7)));
    assert_eq!(read(&format_error(7)).metadata.response_code, ResponseCode::FormErr);
}

#[test]
fn names_are_lower_case_and_strange_bytes_are_escaped() {
    let name = |labels: &[&[u8]]| plain(labels, 1).name().to_owned();
    assert_eq!(name(&[b"WwW", b"ExAmPle", b"test"]), "www.example.test");
    assert_eq!(name(&[]), ".");
    assert_eq!(name(&[b"_dns", b"a-b"]), "_dns.a-b");
    assert_eq!(name(&[b"good\0", b"test"]), "good\\000.test");
    assert_eq!(name(&[b"good.test", b"evil"]), "good\\.test.evil");
    assert_eq!(name(&[b"a\\b"]), "a\\\\b");
    assert_eq!(name(&[b"a b\x7f\xff\n"]), "a\\032b\\127\\255\\010");
    assert_eq!(name(&[b"XN--bcher-kva", b"test"]), "xn--bcher-kva.test");
}

#[test]
fn the_question_is_read_whole() {
    for (kind, number) in [
        (Kind::A, 1),
        (Kind::Aaaa, 28),
        (Kind::Https, 65),
        (Kind::Svcb, 64),
        (Kind::Ptr, 12),
        (Kind::Other(16), 16),
        (Kind::Other(65280), 65280),
    ] {
        let query = plain(&[b"a", b"test"], number);
        assert_eq!((query.kind(), query.id(), query.edns_size()), (kind, 0x1234, None));
    }
    assert_eq!(with_edns(&[b"a"], 1, 1232).edns_size(), Some(1232));
    assert_eq!(with_edns(&[b"a"], 1, 100).edns_size(), Some(512));
    let reverse = |labels: &[&[u8]]| plain(labels, 12).reverse();
    assert_eq!(reverse(&[b"7", b"2", b"0", b"192", b"in-addr", b"arpa"]), Some([192, 0, 2, 7].into()));
    assert_eq!(reverse(&[b"2", b"0", b"192", b"in-addr", b"arpa"]), None);
    assert_eq!(reverse(&[b"a", b"test"]), None);
}

#[test]
fn addresses_echo_the_question_and_keep_to_the_family() {
    let addresses: [IpAddr; 3] =
        ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
    let bytes = plain(&[b"WwW", b"TeSt"], 1).addresses(&addresses, 60);
    // The case of the question comes back byte for byte (0x20), and the owner points at it.
    assert_eq!(bytes[12..26], question(&[b"WwW", b"TeSt"], 1));
    let message = read(&bytes);
    let flags = message.metadata;
    assert_eq!(
        (flags.id, flags.message_type, flags.response_code),
        (0x1234, MessageType::Response, ResponseCode::NoError)
    );
    assert!(
        flags.recursion_available && flags.recursion_desired && !flags.authoritative && !flags.truncation
    );
    let answers: Vec<String> = message.answers.iter().map(ToString::to_string).collect();
    assert_eq!(answers, ["WwW.TeSt. 60 IN A 192.0.2.1", "WwW.TeSt. 60 IN A 192.0.2.2"]);
    assert!(message.edns.is_none());

    let message = read(&with_edns(&[b"a"], 28, 1232).addresses(&addresses, 9));
    let answers: Vec<String> = message.answers.iter().map(ToString::to_string).collect();
    assert_eq!(answers, ["a. 9 IN AAAA 2001:db8::1"]);
    assert_eq!(message.edns.unwrap().max_payload(), 1232);
    for kind in [28, 65, 16] {
        let query = plain(&[b"a"], kind);
        assert_eq!(query.addresses(&addresses[..1], 9), query.nodata());
    }
}

#[test]
fn a_refusal_says_why_and_is_soon_forgotten() {
    let message = read(&with_edns(&[b"Evil", b"test"], 1, 1232).refuse("no rule: evil.test\n\x1b[31m"));
    assert_eq!(message.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(extended_error(&message), Some((18, "no rule: evil.test  [31m".to_owned())));
    assert_eq!(message.authorities.len(), 1);
    let soa = &message.authorities[0];
    assert_eq!((soa.ttl, soa.record_type(), soa.name.is_root()), (5, RecordType::SOA, true));
    assert!(matches!(&soa.data, RData::SOA(soa) if soa.minimum == 5));

    let message = read(&plain(&[b"evil", b"test"], 1).refuse("no rule"));
    assert_eq!((message.metadata.response_code, message.edns), (ResponseCode::NXDomain, None));

    let message = read(&with_edns(&[b"a"], 1, 1232).servfail("upstream timed out"));
    assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(extended_error(&message), Some((0, "upstream timed out".to_owned())));

    let message = read(&plain(&[b"a"], 1).nodata());
    assert_eq!((message.metadata.response_code, message.authorities.len()), (ResponseCode::NoError, 1));
}

#[test]
fn a_pointer_answer_names_the_host() {
    let query = plain(&[b"7", b"2", b"0", b"192", b"in-addr", b"arpa"], 12);
    let answers = read(&query.ptr("host.test")).answers;
    assert_eq!(answers[0].to_string(), "7.2.0.192.in-addr.arpa. 5 IN PTR host.test.");
    assert_eq!(query.ptr("not..a name"), query.nodata());
}

#[test]
fn an_answer_never_passes_the_size_the_client_takes() {
    let many: Vec<IpAddr> = (0..200u8).map(|last| [192, 0, 2, last].into()).collect();
    let message = read(&plain(&[b"a"], 1).addresses(&many, 60));
    assert!(message.metadata.truncation && message.answers.is_empty());
    let bytes = with_edns(&[b"a"], 1, 1232).addresses(&many, 60);
    assert!(read(&bytes).metadata.truncation && bytes.len() <= 1232);
    assert_eq!(read(&with_edns(&[b"a"], 1, 4096).addresses(&many, 60)).answers.len(), 200);
    let stream = plain(&[b"a"], 1).over_stream().addresses(&many, 60);
    assert_eq!(read(&stream).answers.len(), 200);
    // A long name and a long reason: the reason is dropped, the refusal stays whole.
    let long = [&[b'a'; 63][..], &[b'b'; 63], &[b'c'; 63], &[b'd'; 60]];
    let bytes = with_edns(&long, 1, 512).refuse(&"é".repeat(500));
    let message = read(&bytes);
    assert!(bytes.len() <= 512 && !message.metadata.truncation);
    assert_eq!((extended_error(&message), message.authorities.len()), (None, 1));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Query::parse(&bytes);
        let _ = Query::parse(&raw(RD, [1, 0, 0, 1], &[question(&[b"a"], 1), bytes.clone()].concat()));
        let opt = [question(&[b"a"], 1), opt(1232, 0)[..9].to_vec(), bytes.clone()].concat();
        let _ = Query::parse(&raw(RD, [1, 0, 0, 1], &opt));
        let _ = Query::parse(&raw(RD, [1, 0, 0, 0], &bytes));
    }

    #[test]
    fn every_answer_to_every_name_can_be_read_back(
        name in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..63), 0..4),
        kind: u16,
        text in ".{0,300}",
        size: u16,
    ) {
        let name: Vec<&[u8]> = name.iter().map(Vec::as_slice).collect();
        // OPT and the types of transactions are no question's type, hickory need not take them.
        let rest = [question(&name, kind), opt(size, 0)].concat();
        let Ok(query) = Query::parse(&raw(RD, [1, 0, 0, 1], &rest)) else { return Ok(()) };
        let address = [IpAddr::from([192, 0, 2, 1])];
        for bytes in [query.refuse(&text), query.servfail(&text), query.nodata(), query.addresses(&address, 1), query.ptr(&text)] {
            let echoed = question(&name, kind);
            prop_assert_eq!(&bytes[12..12 + echoed.len()], &echoed[..]);
            prop_assert!(bytes.len() <= usize::from(size.max(512)));
            prop_assert_eq!(read(&bytes).metadata.id, 0x1234);
        }
        prop_assert!(query.name().bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
