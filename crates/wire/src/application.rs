//! What a client speaks, named from its first bytes.
//!
//! A name is for records and people: no decision depends on it, and whoever wants to can imitate any of them. Only what
//! a client says is looked at, so a protocol in which the server speaks first has no name here.

/// What is none of the others.
pub const UNKNOWN: &str = "unknown";

/// Names what a client says on a connection; `None` while more bytes may tell.
pub fn stream(buf: &[u8]) -> Option<&'static str> {
    if let Some((_, name)) = OPENINGS.iter().find(|(opening, _)| buf.starts_with(opening)) {
        return Some(name);
    }
    if METHODS
        .iter()
        .any(|method| buf.strip_prefix(method.as_bytes()).is_some_and(|rest| rest.starts_with(b" ")))
    {
        return request(buf);
    }
    if let Some((_, name)) = SHAPES.iter().find(|(holds, _)| holds(buf)) {
        return Some(name);
    }
    (buf.len() >= ENOUGH).then_some(UNKNOWN)
}

/// Names what a datagram is. `port` tells protocols apart that look alike.
pub fn datagram(buf: &[u8], port: u16) -> &'static str {
    match buf {
        _ if quic(buf) => "quic",
        [0x16, 0xfe, 0xfd | 0xff, ..] => "dtls",
        _ if stun(buf) => "stun",
        _ if buf.get(236..240) == Some(&[0x63, 0x82, 0x53, 0x63]) => "dhcp",
        // RFC 5905, 7.3: version, and mode 3 for a client
        [first, ..] if matches!(buf.len(), 48..=96) && first & 7 == 3 && matches!(first >> 3 & 7, 1..=4) => {
            "ntp"
        }
        [1, 0, 0, 0, ..] if buf.len() == 148 => "wireguard",
        _ if question(buf) && port == 5353 => "mdns",
        _ if question(buf) => "dns",
        _ if buf.starts_with(b"M-SEARCH ") => "ssdp",
        [b'<', digit, ..] if digit.is_ascii_digit() && buf.iter().take(6).any(|byte| *byte == b'>') => {
            "syslog"
        }
        _ if statsd(buf) => "statsd",
        _ => UNKNOWN,
    }
}

/// Begins with the name of a method and a space: a request, if its line says so.
fn request(buf: &[u8]) -> Option<&'static str> {
    if buf.starts_with(b"CONNECT {") {
        return Some("nats");
    }
    let seen = buf.get(..LONGEST_LINE).unwrap_or(buf);
    match seen.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = seen.get(..end).unwrap_or_default();
            let version = line.windows(6).rev().take(5).any(|part| part == b" HTTP/");
            let rtsp = line.windows(6).rev().take(5).any(|part| part == b" RTSP/");
            Some(if version {
                "http"
            } else if rtsp {
                "rtsp"
            } else {
                UNKNOWN
            })
        }
        None if buf.len() >= LONGEST_LINE => Some("http"),
        None => None,
    }
}

/// A message of `length` bytes in front, as PostgreSQL's first one is: it has no type (its protocol, 55.7).
fn postgresql(buf: &[u8]) -> bool {
    let (Some(length), Some(code)) = (be32(buf, 0), be32(buf, 4)) else { return false };
    // 1234.5678 to 1234.5680: cancel, TLS, GSSAPI; 3.0 and 3.2: the protocol's own version
    matches!((length, code), (8, 80_877_103 | 80_877_104) | (16, 80_877_102))
        || ((9..=10_000).contains(&length) && matches!(code, 0x0003_0000 | 0x0003_0002))
}

/// Length, request, response to (0), operation: all little-endian (MongoDB's wire protocol).
fn mongodb(buf: &[u8]) -> bool {
    let number = |at: usize| be32(buf, at).map(u32::swap_bytes);
    let length = number(0).is_some_and(|length| (16..=48_000_000).contains(&length));
    length && number(8) == Some(0) && matches!(number(12), Some(2_004 | 2_010 | 2_012 | 2_013))
}

/// An array of bulk strings (RESP).
fn redis(buf: &[u8]) -> bool {
    let Some(rest) = buf.strip_prefix(b"*") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=9).contains(&digits) && rest.get(digits..).is_some_and(|rest| rest.starts_with(b"\r\n$"))
}

/// CONNECT, its remaining length, and the protocol's name (MQTT 5.0, 3.1).
fn mqtt(buf: &[u8]) -> bool {
    let Some(rest) = buf.strip_prefix(&[0x10]) else { return false };
    let length = rest.iter().take(4).take_while(|byte| **byte & 0x80 != 0).count().saturating_add(1);
    let name = rest.get(length..).unwrap_or_default();
    name.starts_with(b"\0\x04MQTT") || name.starts_with(b"\0\x06MQIsdp")
}

/// Length, request 18 (ApiVersions) or 3 (Metadata), version, a small correlation number (Kafka's protocol).
fn kafka(buf: &[u8]) -> bool {
    let small = be32(buf, 0).is_some_and(|length| (10..=100_000).contains(&length));
    let kind = matches!(buf.get(4..6), Some([0, 18 | 3])) && matches!(buf.get(6..8), Some([0, 0..=15]));
    small && kind && be32(buf, 8).is_some_and(|number| number < 1_000)
}

/// A request frame: version, flags, stream, OPTIONS or STARTUP (Cassandra's native protocol).
fn cassandra(buf: &[u8]) -> bool {
    matches!(buf, [3..=5, 0 | 0x10, 0, _, 1 | 5, 0, 0, ..]) && buf.len() >= 9
}

/// A message, its number, then a bind request (RFC 4511, 4.2).
fn ldap(buf: &[u8]) -> bool {
    matches!(buf, [0x30, length, 2, 1, _, 0x60, ..] if *length < 0x80)
}

/// A pre-login packet (MS-TDS, 2.2.3.1).
fn tds(buf: &[u8]) -> bool {
    matches!(buf, [0x12, 1, _, _, 0, 0, _, 0, ..])
}

/// TPKT and a connection request (MS-RDPBCGR, 2.2.1.1).
fn rdp(buf: &[u8]) -> bool {
    matches!(buf, [3, 0, 0, _, _, 0xe0, ..])
}

/// Methods (RFC 1928, 3), or a request of version 4.
fn socks(buf: &[u8]) -> bool {
    match buf {
        [5, count, rest @ ..] => {
            *count > 0 && rest.len() == usize::from(*count) && rest.iter().all(|one| *one < 10)
        }
        [4, 1, _, _, ..] => buf.len() >= 9 && buf.last() == Some(&0),
        _ => false,
    }
}

/// A question with its length in front (RFC 7766, 8).
fn framed_question(buf: &[u8]) -> bool {
    let Some((&[high, low], rest)) = buf.split_first_chunk::<2>() else { return false };
    usize::from(u16::from_be_bytes([high, low])) == rest.len() && question(rest)
}

/// One question and no answers (RFC 1035, 4.1), its name whole.
fn question(buf: &[u8]) -> bool {
    let plain = matches!(buf, [_, _, flags, _, 0, 1, 0, 0, 0, 0, 0, 0..=2, ..] if flags & 0xf8 == 0);
    let mut rest = buf.get(12..).unwrap_or_default();
    while let Some((&length, after)) = rest.split_first() {
        match length {
            0 => return plain && after.len() >= 4,
            1..=63 => rest = after.get(usize::from(length)..).unwrap_or_default(),
            _ => return false,
        }
    }
    false
}

/// A long header (RFC 9000, 17.2) with a version that clients send.
fn quic(buf: &[u8]) -> bool {
    let [first, ..] = buf else { return false };
    let known = be32(buf, 1).is_some_and(|version| {
        // versions 1 and 2 (RFC 9369), drafts, those that exercise negotiation, and Google's own
        matches!(version, 1 | 0x6b33_43cf)
            || version >> 8 == 0x00ff_0000
            || version & 0x0f0f_0f0f == 0x0a0a_0a0a
            || version >> 24 == u32::from(b'Q')
    });
    first & 0xc0 == 0xc0 && known && buf.get(5).is_some_and(|length| *length <= 20)
}

/// The magic cookie (RFC 8489, 5).
fn stun(buf: &[u8]) -> bool {
    buf.first().is_some_and(|first| first & 0xc0 == 0) && be32(buf, 4) == Some(0x2112_a442)
}

/// `name:1|c`.
fn statsd(buf: &[u8]) -> bool {
    let line = buf.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let printable = line.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    let kind = line.windows(2).any(|part| matches!(part, [b'|', b'c' | b'g' | b'm' | b'h' | b's' | b'd']));
    printable && kind && line.contains(&b':')
}

fn be32(buf: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*buf.get(at..)?.first_chunk::<4>()?))
}

/// Protocols whose first bytes are always the same.
const OPENINGS: &[(&[u8], &str)] = &[
    (b"\x16\x03", "tls"),
    (b"PRI * HTTP/2.0\r\n", "http"),
    (b"SSH-", "ssh"),
    (b"AMQP", "amqp"),
    (b"EHLO ", "smtp"),
    (b"HELO ", "smtp"),
    (b"USER ", "ftp"),
    (b"\x13BitTorrent protocol", "bittorrent"),
    (b"<?xml ", "xmpp"),
    (b"<stream:stream", "xmpp"),
    (b"get ", "memcached"),
    (b"gets ", "memcached"),
    (b"set ", "memcached"),
    (b"version\r\n", "memcached"),
];

/// Methods that clients use, and those of WebDAV.
const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "CONNECT",
    "OPTIONS",
    "TRACE",
    "PATCH",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
    "PURGE",
    "QUERY",
];

/// Protocols that are known by their shape.
type Shape = (fn(&[u8]) -> bool, &'static str);
const SHAPES: &[Shape] = &[
    (postgresql, "postgresql"),
    (mongodb, "mongodb"),
    (redis, "redis"),
    (mqtt, "mqtt"),
    (kafka, "kafka"),
    (cassandra, "cassandra"),
    (ldap, "ldap"),
    (tds, "tds"),
    (rdp, "rdp"),
    (stun, "stun"),
    (socks, "socks"),
    (framed_question, "dns"),
];

/// With so many bytes, what has no name yet has none.
const ENOUGH: usize = 64;
/// A request line that is longer is taken for one.
const LONGEST_LINE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn protocols_are_named_from_what_their_clients_say_first() {
        let pg = [&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f][..], &[0, 0, 0, 41, 0, 3, 0, 0]].map(<[u8]>::to_vec);
        let mongo = [&[58u8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xdd, 7, 0, 0][..]].concat();
        let dns = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
        let framed = [&[0, u8::try_from(dns.len()).unwrap()][..], dns].concat();
        let cases: Vec<(&[u8], &str)> = vec![
            (b"\x16\x03\x01\x02\0\x01", "tls"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n", "http"),
            (b"POST /v1/x?y HTTP/1.0\r\n", "http"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http"),
            (b"OPTIONS rtsp://a RTSP/1.0\r\n", "rtsp"),
            (b"CONNECT {\"verbose\":false}\r\n", "nats"),
            (b"GET key\r\n", "unknown"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh"),
            (&pg[0], "postgresql"),
            (&pg[1], "postgresql"),
            (&mongo, "mongodb"),
            (b"*1\r\n$4\r\nPING\r\n", "redis"),
            (b"\x10\x0e\0\x04MQTT\x05\x02", "mqtt"),
            (b"AMQP\0\0\x09\x01", "amqp"),
            (b"EHLO me\r\n", "smtp"),
            (b"\0\0\0\x23\0\x12\0\x04\0\0\0\x01\0\x07", "kafka"),
            (b"\x04\0\0\0\x05\0\0\0\0", "cassandra"),
            (b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0", "ldap"),
            (b"\x12\x01\0\x2f\0\0\x01\0", "tds"),
            (b"\x05\x01\0", "socks"),
            (&framed, "dns"),
            (&[b'z'; ENOUGH], "unknown"),
        ];
        for (bytes, name) in cases {
            assert_eq!(stream(bytes), Some(name), "{bytes:?}");
        }
        assert_eq!(stream(b""), None);
        assert_eq!(stream(b"GET /a"), None, "the line may still say what it is");
        assert_eq!(stream(b"\x16"), None);
    }

    #[test]
    fn datagrams_are_named() {
        let mut ntp = [0u8; 48];
        ntp[0] = 0x23;
        let mut quic = vec![0xc3, 0, 0, 0, 1, 8];
        quic.resize(1200, 0);
        let dns =
            b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x01a\x04test\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";
        assert_eq!(datagram(&quic, 443), "quic");
        assert_eq!(datagram(&ntp, 123), "ntp");
        assert_eq!(datagram(dns, 5300), "dns");
        assert_eq!(datagram(dns, 5353), "mdns");
        assert_eq!(datagram(b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl", 3478), "stun");
        assert_eq!(datagram(b"\x16\xfe\xfd\0\0", 5684), "dtls");
        assert_eq!(datagram(b"<34>1 2026-01-01T00:00:00Z a b - - - hi", 514), "syslog");
        assert_eq!(datagram(b"agent.runs:1|c|#tag:x", 8125), "statsd");
        assert_eq!(datagram(b"M-SEARCH * HTTP/1.1\r\n", 1900), "ssdp");
        assert_eq!(datagram(b"hello", 9), "unknown");
        assert_eq!(datagram(b"", 9), "unknown");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_a_name_stays(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            datagram(&bytes, 1);
            prop_assert!(bytes.len() < ENOUGH || stream(&bytes).is_some() || bytes.len() < LONGEST_LINE);
            let known = OPENINGS.iter().any(|(opening, _)| bytes.starts_with(opening));
            prop_assert!(!known || stream(&bytes) == stream(bytes.get(..32).unwrap_or(&bytes)));
        }

        #[test]
        fn a_method_and_anything_is_a_request_or_not(rest in proptest::collection::vec(any::<u8>(), 0..9_000)) {
            let bytes = [b"GET ", &rest[..]].concat();
            prop_assert!(bytes.len() < LONGEST_LINE || stream(&bytes).is_some());
        }
    }
}
