//! Attacks on the reader first, then what real clients send.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;

use super::*;

/// The first flight of a real client for `name` (a DNS name or an address).
fn rustls_hello(name: &str, alpn: &[&str]) -> Vec<u8> {
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut out = Vec::new();
    client.write_tls(&mut out).unwrap();
    out
}

fn block(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().to_vec(), block(content)].concat()
}

fn name_entry(kind: u8, name: &[u8]) -> Vec<u8> {
    [vec![kind], block(name)].concat()
}

fn sni(entries: &[Vec<u8>]) -> Vec<u8> {
    extension(SERVER_NAME, &block(&entries.concat()))
}

fn host(name: &str) -> Vec<u8> {
    sni(&[name_entry(0, name.as_bytes())])
}

/// A handshake message holding a ClientHello with these bytes as its extensions' block and what follows.
fn message(tail: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]); // random
    body.push(0); // session id
    body.extend(block(&[0x13, 0x01])); // cipher suites
    body.extend([1, 0]); // compression
    body.extend(tail);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[1], &length[1..], &body].concat()
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [vec![22, 3, 1], block(part)].concat()).collect()
}

fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    records(&message(&block(&extensions.concat())), MAX_FRAGMENT)
}

fn named(name: &str, consumed: usize) -> Peek {
    Peek::Hello(ClientHello {
        server_name: Sni::Name(name.to_owned()),
        ech: false,
        alpn: Vec::new(),
        consumed,
    })
}

fn sni_of(bytes: &[u8]) -> Sni {
    match peek(bytes) {
        Peek::Hello(hello) => hello.server_name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_names_or_strange_names_are_ambiguous() {
    let (a, b) = (name_entry(0, b"good.test"), name_entry(0, b"evil.test"));
    for entries in [
        vec![a.clone(), b],
        vec![a.clone(), a.clone()],
        vec![name_entry(1, b"good.test")],
        vec![a.clone(), name_entry(1, b"x")],
        vec![name_entry(0, b"good.test\0.evil.test")],
        vec![name_entry(0, b"")],
        vec![name_entry(0, b"good.test ")],
        vec![name_entry(0, b"\xff\xfe")],
        vec![name_entry(0, "gооd.test".as_bytes())],
    ] {
        assert_eq!(sni_of(&hello(&[sni(&entries)])), Sni::Ambiguous, "{entries:?}");
    }
    assert_eq!(sni_of(&hello(&[host("a.test"), host("b.test")])), Sni::Ambiguous);
    assert_eq!(sni_of(&hello(&[host("a.test"), host("a.test"), host("a.test")])), Sni::Ambiguous);
}

#[test]
fn a_malformed_hello_is_refused_and_says_why() {
    let check = |bytes: &[u8], flaw: &'static str| assert_eq!(peek(bytes), Peek::Malformed(flaw));
    let sni_flaw = "the server name extension is malformed";
    check(&hello(&[extension(SERVER_NAME, &[])]), sni_flaw);
    check(&hello(&[extension(SERVER_NAME, &[0, 0])]), sni_flaw);
    check(&hello(&[extension(SERVER_NAME, &[0, 9, 0, 0, 1, b'a'])]), sni_flaw);
    // tls-parser alone would read one good name here and skip the rest.
    check(&hello(&[extension(SERVER_NAME, &[0, 4, 0, 0, 1, b'a', 9])]), sni_flaw);
    check(&hello(&[extension(SERVER_NAME, &[0, 5, 0, 0, 1, b'a', 9])]), sni_flaw);
    check(&hello(&[extension(ALPN, &[0, 1, 0])]), "the ALPN extension is malformed");
    check(&hello(&[extension(43, &[2, 3, 4]), extension(43, &[2, 3, 3])]), "an extension is repeated");
    check(&hello(&[vec![0, 0, 0, 9, 1]]), "an extension runs past the end");
    let mut tail = block(&host("a.test"));
    tail.push(0);
    let flaw = "the client hello has bytes after its extensions";
    check(&records(&message(&tail), MAX_FRAGMENT), flaw);
    check(&records(&message(&[0, 9, 1]), MAX_FRAGMENT), flaw);
    check(&records(&[1, 0, 0, 2, 3, 3], MAX_FRAGMENT), "the client hello cannot be parsed");
    check(&records(&[2, 0, 0, 2, 3, 3], MAX_FRAGMENT), "the first handshake message is not a client hello");
    let two = [message(&block(&host("a.test"))), message(&block(&host("b.test")))].concat();
    check(&records(&two, MAX_FRAGMENT), "more bytes after the client hello in its record");
    check(&[22, 3, 1, 0, 0], "an empty handshake record");
    check(&[22, 3, 1, 0x40, 1], "a record longer than 2^14 bytes");
    let part = records(&message(&block(&host("a.test"))), 20);
    check(&[&part[..25], &[21, 3, 3, 0, 2, 1, 0]].concat(), "another record type inside the client hello");
    check(&[&part[..25], &[22, 2]].concat(), "the record version changes inside the client hello");
    check(&[&part[..25], &[22, 3, 1, 0, 0]].concat(), "an empty handshake record");
}

#[test]
fn plaintext_is_refused_at_the_first_byte_that_shows_it() {
    for bytes in [&b"G"[..], b"GET / HTTP/1.1\r\n", b"SSH-2.0-x", b"\0", b"\x15\x03", b"\x16\x02", b"\x16G"] {
        assert_eq!(peek(bytes), Peek::NotTls, "{bytes:?}");
    }
    // An SSLv2 hello: two bytes of length with the top bit set, then type 1.
    assert_eq!(peek(&[0x80, 0x2e, 1, 3, 1]), Peek::NotTls);
    for bytes in [&b""[..], b"\x16", b"\x16\x03", b"\x16\x03\x01\x02"] {
        assert_eq!(peek(bytes), Peek::More, "{bytes:?}");
    }
}

#[test]
fn a_real_client_is_read_at_every_split_and_never_before_the_end() {
    for (name, alpn) in [("registry.example.test", &["h2", "http/1.1"][..]), ("a.test", &[])] {
        let bytes = rustls_hello(name, alpn);
        for end in 0..bytes.len() {
            assert_eq!(peek(&bytes[..end]), Peek::More, "{end}");
        }
        let expect = Peek::Hello(ClientHello {
            server_name: Sni::Name(name.to_owned()),
            ech: false,
            alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
            consumed: bytes.len(),
        });
        assert_eq!(peek(&bytes), expect);
        assert_eq!(peek(&[&bytes[..], b"\x14\x03\x03\x00\x01\x01more"].concat()), expect);
    }
    assert_eq!(sni_of(&rustls_hello("192.0.2.7", &[])), Sni::None);
}

#[test]
fn a_real_hello_split_over_records_reads_the_same() {
    let whole = rustls_hello("registry.example.test", &["h2"]);
    let body = &whole[5..];
    for size in [1, 2, 3, 4, 5, 17, 100, body.len() - 1] {
        let bytes = records(body, size);
        for end in (0..bytes.len()).step_by(7) {
            assert_eq!(peek(&bytes[..end]), Peek::More, "{size} {end}");
        }
        match peek(&bytes) {
            Peek::Hello(hello) => {
                assert_eq!(hello.server_name, Sni::Name("registry.example.test".to_owned()));
                assert_eq!(hello.consumed, bytes.len());
            }
            other => panic!("{size}: {other:?}"),
        }
    }
}

#[test]
fn a_name_behind_a_large_key_share_is_found() {
    let bytes = hello(&[extension(51, &vec![5; 9000]), host("late.test")]);
    assert_eq!(peek(&bytes), named("late.test", bytes.len()));
    assert_eq!(peek(&bytes[..1400]), Peek::More);
    let long = message(&block(&[extension(51, &vec![5; 40_000]), host("late.test")].concat()));
    let bytes = records(&long, MAX_FRAGMENT);
    assert_eq!(peek(&bytes), named("late.test", bytes.len()));
}

#[test]
fn an_encrypted_hello_is_seen_whatever_it_holds() {
    for (kind, content) in [(ECH, &[0, 0, 1][..]), (ECH, &[1]), (ECH, &[]), (ESNI, &[9])] {
        match peek(&hello(&[host("cover.test"), extension(kind, content)])) {
            Peek::Hello(hello) => assert!(hello.ech),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_hello_without_extensions_has_no_name() {
    let bytes = records(&message(&[]), MAX_FRAGMENT);
    let expect = ClientHello { server_name: Sni::None, ech: false, alpn: vec![], consumed: bytes.len() };
    assert_eq!(peek(&bytes), Peek::Hello(expect));
}

#[test]
fn too_long_is_said_as_soon_as_it_is_known() {
    assert_eq!(peek(&[22, 3, 1, 0x40, 0, 1, 1, 0, 0]), Peek::TooLong);
    // Every byte in a record of its own: the headers count too.
    let long = message(&block(&extension(21, &vec![0; 20_000])));
    let bytes = records(&long, 1);
    assert_eq!(peek(&bytes), Peek::TooLong);
    assert_eq!(peek(&bytes[..MAX]), Peek::TooLong);
    assert_eq!(peek(&bytes[..MAX - 1]), Peek::More);
}

#[test]
fn an_alert_is_seven_bytes() {
    assert_eq!(alert(ACCESS_DENIED), [21, 3, 3, 0, 2, 2, 49]);
    assert_eq!(alert(UNRECOGNIZED_NAME), [21, 3, 3, 0, 2, 2, 112]);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        peek(&bytes);
        peek(&[&[22, 3, 1], &bytes[..]].concat());
        peek(&records(&message(&block(&bytes)), 50));
        peek(&hello(&[extension(SERVER_NAME, &bytes)]));
        peek(&hello(&[extension(ALPN, &bytes)]));
    }

    #[test]
    fn a_changed_byte_never_panics_and_a_verdict_never_turns_back_into_more(at in 0usize..250, value: u8) {
        let mut bytes = rustls_hello("registry.example.test", &["h2"]);
        let at = at.min(bytes.len() - 1);
        bytes[at] = value;
        let mut decided = None;
        for end in 0..=bytes.len() {
            let now = peek(&bytes[..end]);
            if let Some(before) = &decided {
                prop_assert_eq!(&now, before);
            } else if now != Peek::More {
                decided = Some(now);
            }
        }
    }
}

#[test]
fn what_follows_a_hello_is_told_apart() {
    let change = [20, 3, 3, 0, 1, 1];
    let hello = [22, 3, 3, 0, 5, 1, 0, 0, 1, 0];
    let key = [22, 3, 3, 0, 5, 16, 0, 0, 1, 0];
    let data = [23, 3, 3, 0, 1, 0];
    let join = |parts: &[&[u8]]| parts.concat();
    assert_eq!(then(&[]), Then::More(0));
    assert_eq!(then(&data), Then::More(6), "early data");
    assert_eq!(then(&key), Then::Other);
    assert_eq!(then(&hello), Then::Hello(0));
    assert_eq!(then(&join(&[&change, &hello])), Then::Hello(6));
    let warning = [21, 3, 3, 0, 2, 1, 90];
    assert_eq!(then(&join(&[&change, &data, &warning, &hello])), Then::Hello(19));
    assert_eq!(then(&join(&[&change, &key])), Then::Other);
    for cut in 0..5 {
        assert_eq!(then(&join(&[&change, hello.get(..cut).unwrap()])), Then::More(6), "{cut}");
    }
    assert_eq!(then(&change[..5]), Then::More(0));
    // an empty fragment hides what comes next
    assert_eq!(then(&[22, 3, 3, 0, 0]), Then::Hello(0));
}

#[test]
fn only_a_retry_leaves_room_for_another_hello() {
    let message = |random: &[u8]| [&[22, 3, 3, 0, 40, 2, 0, 0, 36, 3, 3][..], random, &[0, 0]].concat();
    let (retry, hello) = (message(RETRY), message(&[7; 32]));
    let change = [20, 3, 3, 0, 1, 1];
    assert_eq!(answered(&[]), Answered::Open(0));
    assert_eq!(answered(&hello), Answered::Settled);
    assert_eq!(answered(&retry), Answered::Open(retry.len()));
    assert_eq!(answered(&[&retry[..], &change].concat()), Answered::Open(retry.len() + 6));
    assert_eq!(answered(&[&retry[..], &change, &hello].concat()), Answered::Settled);
    for cut in 0..43 {
        assert_eq!(answered(&hello[..cut]), Answered::Open(0), "{cut}");
    }
    assert_eq!(answered(&[23, 3, 3, 0, 1, 0]), Answered::Settled);
}
