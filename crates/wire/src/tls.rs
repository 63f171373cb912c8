//! The name a TLS client asks for, read from its ClientHello without answering it (RFC 8446, RFC 6066).
//!
//! [`peek`] is called with everything received so far. It is stricter than a server has to be: a hello that
//! two parsers could read differently is refused, because the server behind us may be the other parser.
//! It does not check that the hello is one a server would accept.

/// Everything up to and including a ClientHello must fit in this many bytes, record headers included.
pub const MAX: usize = 64 * 1024;

/// Alert: the peer is not allowed to do this (RFC 8446, 6.2).
pub const ACCESS_DENIED: u8 = 49;
/// Alert: the message cannot be decoded.
pub const DECODE_ERROR: u8 = 50;
/// Alert: no server of that name is to be had here.
pub const UNRECOGNIZED_NAME: u8 = 112;

/// What the bytes received so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peek {
    /// The beginning of a ClientHello: read more, then call again with all of it.
    More,
    /// A whole ClientHello.
    Hello(ClientHello),
    /// Not TLS (or SSLv2): the first bytes cannot be a handshake record.
    NotTls,
    /// TLS, but not one well-formed ClientHello; says what is wrong.
    Malformed(&'static str),
    /// The ClientHello is longer than [`MAX`].
    TooLong,
}

/// What a ClientHello says about where the client wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name.
    pub server_name: Sni,
    /// An encrypted ClientHello (or the older encrypted SNI) is present: the name shown may not be the real one.
    pub ech: bool,
    /// The protocols offered (ALPN), in the client's order.
    pub alpn: Vec<Vec<u8>>,
    /// How many bytes of the buffer the hello and its record headers take. What follows came after it.
    pub consumed: usize,
}

/// The server name indication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sni {
    /// The client names no server.
    None,
    /// One name: printable ASCII, as sent, not yet checked to be a host name.
    Name(String),
    /// More than one name or extension, an unknown kind of name, or bytes no host name has.
    Ambiguous,
}

/// Reads the ClientHello at the start of `buf`, which is everything received on the connection so far.
pub fn peek(buf: &[u8]) -> Peek {
    match reassemble(buf) {
        Ok((body, consumed)) => match parse(&body, consumed) {
            Ok(hello) => Peek::Hello(hello),
            Err(flaw) => Peek::Malformed(flaw),
        },
        Err(other) => other,
    }
}

/// What a client sends after its hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Not enough to tell. So many bytes at the start are whole and harmless.
    More(usize),
    /// Another hello, as a server may ask for (RFC 8446, 4.1.4), begins after so many harmless bytes.
    Hello(usize),
    /// Anything else: no hello in the clear comes any more.
    Other,
}

/// Reads on behind a hello: changes of cipher, alerts and early data are passed over (RFC 8446, 4.2.10 and D.4), a handshake
/// message is looked at.
pub fn then(buf: &[u8]) -> Then {
    let mut at = 0usize;
    loop {
        let rest = buf.get(at..).unwrap_or_default();
        match rest.first() {
            None => return Then::More(at),
            Some(&(CHANGE_CIPHER_SPEC | ALERT | APPLICATION_DATA)) => match record(rest) {
                Some(length) => at += length,
                None => return Then::More(at),
            },
            Some(&HANDSHAKE) => {
                return match (rest.get(3..5), rest.get(5)) {
                    // an empty fragment is no message yet: a hello is read strictly, and refuses it
                    (Some([0, 0]), _) | (_, Some(1)) => Then::Hello(at),
                    (_, None) => Then::More(at),
                    _ => Then::Other,
                };
            }
            Some(_) => return Then::Other,
        }
    }
}

/// What a server's answer to a hello amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// It may still ask for another hello. So many bytes at the start need not be seen again.
    Open(usize),
    /// It took the hello, or refused it: another one means nothing to it.
    Settled,
}

/// Reads a server's first messages: only a hello retry request (RFC 8446, 4.1.4) leaves room for a second hello.
pub fn answered(buf: &[u8]) -> Answered {
    // type, version, length; then type, length, version, random
    const RANDOM: std::ops::Range<usize> = 11..43;
    let mut at = 0usize;
    loop {
        let rest = buf.get(at..).unwrap_or_default();
        match rest.first() {
            None => return Answered::Open(at),
            Some(&(CHANGE_CIPHER_SPEC | ALERT)) => {}
            Some(&HANDSHAKE) => match (rest.get(5), rest.get(RANDOM)) {
                (Some(2), Some(random)) if random == RETRY => {}
                (Some(2) | None, None) if rest.len() < RANDOM.end => return Answered::Open(at),
                _ => return Answered::Settled,
            },
            Some(_) => return Answered::Settled,
        }
        match record(rest) {
            Some(length) => at += length,
            None => return Answered::Open(at),
        }
    }
}

/// The length of the whole record at the start, if it is all there.
fn record(buf: &[u8]) -> Option<usize> {
    let &[_, _, _, high, low] = buf.first_chunk::<5>()?;
    let length = 5 + usize::from(u16::from_be_bytes([high, low]));
    (length <= buf.len()).then_some(length)
}

/// The random of a hello retry request: SHA-256 of `HelloRetryRequest` (RFC 8446, 4.1.3).
const RETRY: &[u8] = &[
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A fatal alert record, to be sent before closing (RFC 8446, 6.2).
pub const fn alert(description: u8) -> [u8; 7] {
    const FATAL: u8 = 2;
    [ALERT, 3, 3, 0, 2, FATAL, description]
}

/// Joins the fragments of handshake records into the body of one ClientHello; also says where it ends in `buf`.
fn reassemble(buf: &[u8]) -> Result<(Vec<u8>, usize), Peek> {
    let more = || if buf.len() >= MAX { Peek::TooLong } else { Peek::More };
    let mut message = Vec::new();
    let mut rest = buf;
    loop {
        let first = rest.len() == buf.len();
        // Judge each header byte as it comes: plaintext must be refused without waiting for a fifth byte.
        match rest.first() {
            None => return Err(more()),
            Some(&HANDSHAKE) => {}
            Some(_) if first => return Err(Peek::NotTls),
            Some(_) => return Err(Peek::Malformed("another record type inside the client hello")),
        }
        match rest.get(1) {
            None => return Err(more()),
            Some(3) => {}
            Some(_) if first => return Err(Peek::NotTls),
            Some(_) => return Err(Peek::Malformed("the record version changes inside the client hello")),
        }
        let Some((&[_, _, _, high, low], after)) = rest.split_first_chunk::<5>() else { return Err(more()) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        match length {
            // RFC 8446, 5.1: zero-length fragments of handshake types must not be sent.
            0 => return Err(Peek::Malformed("an empty handshake record")),
            // RFC 8446, 5.1: the length must not exceed 2^14 bytes.
            _ if length > MAX_FRAGMENT => return Err(Peek::Malformed("a record longer than 2^14 bytes")),
            _ => {}
        }
        let before = message.len();
        let (fragment, next) = match after.split_at_checked(length) {
            Some((fragment, next)) => (fragment, Some(next)),
            None => (after, None),
        };
        message.extend_from_slice(fragment);
        let need = announced(&message)?;
        // RFC 8446, 5.1: nothing can follow a ClientHello in its own record.
        if need.is_some_and(|need| before + length > need) {
            return Err(Peek::Malformed("more bytes after the client hello in its record"));
        }
        let Some(next) = next else { return Err(more()) };
        rest = next;
        let consumed = buf.len() - rest.len();
        if consumed > MAX {
            return Err(Peek::TooLong);
        }
        if need == Some(message.len()) {
            message.drain(..HEADER);
            return Ok((message, consumed));
        }
    }
}

/// The length of the handshake message, header included, once its header is here.
fn announced(message: &[u8]) -> Result<Option<usize>, Peek> {
    const CLIENT_HELLO: u8 = 1;
    if message.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(Peek::Malformed("the first handshake message is not a client hello"));
    }
    let Some(&[_, a, b, c]) = message.first_chunk::<HEADER>() else { return Ok(None) };
    let need = HEADER + usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX - HEADER);
    if need > MAX { Err(Peek::TooLong) } else { Ok(Some(need)) }
}

fn parse(body: &[u8], consumed: usize) -> Result<ClientHello, &'static str> {
    let (left, hello) = tls_parser::parse_tls_handshake_client_hello(body)
        .map_err(|_| "the client hello cannot be parsed")?;
    if !left.is_empty() {
        return Err("the client hello has bytes after its extensions");
    }
    let mut answer = ClientHello { server_name: Sni::None, ech: false, alpn: Vec::new(), consumed };
    let mut seen = Vec::new();
    let mut reader = Reader(hello.ext.unwrap_or_default());
    // Extensions are walked here and not by tls-parser, which skips what it cannot read inside one.
    while !reader.0.is_empty() {
        let (kind, content) = reader.extension().ok_or("an extension runs past the end")?;
        let repeated = seen.contains(&kind);
        seen.push(kind);
        match kind {
            SERVER_NAME if repeated => answer.server_name = Sni::Ambiguous,
            SERVER_NAME => answer.server_name = server_name(content)?,
            // RFC 8446, 4.2: there must not be more than one extension of the same type.
            _ if repeated => return Err("an extension is repeated"),
            ALPN => answer.alpn = alpn(content).ok_or("the ALPN extension is malformed")?,
            ECH | ESNI => answer.ech = true,
            _ => {}
        }
        if seen.len() > MAX_EXTENSIONS {
            return Err("too many extensions");
        }
    }
    Ok(answer)
}

/// RFC 6066, 3: a list of names, in practice of exactly one host name.
fn server_name(content: &[u8]) -> Result<Sni, &'static str> {
    const HOST_NAME: u8 = 0;
    const FLAW: &str = "the server name extension is malformed";
    let mut outer = Reader(content);
    let mut list = Reader(outer.block().filter(|list| !list.is_empty()).ok_or(FLAW)?);
    if !outer.0.is_empty() {
        return Err(FLAW);
    }
    let mut sni = Sni::None;
    while !list.0.is_empty() {
        let kind = list.u8().ok_or(FLAW)?;
        let name = list.block().ok_or(FLAW)?;
        // ASCII only: "ToASCII" is the client's work, and a parser behind us would not redo it as we do.
        let plain = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        sni = match (&sni, kind, std::str::from_utf8(name)) {
            (Sni::None, HOST_NAME, Ok(name)) if plain => Sni::Name(name.to_owned()),
            _ => Sni::Ambiguous,
        };
    }
    Ok(sni)
}

/// RFC 7301, 3.1: a list of protocol names, none of them empty.
fn alpn(content: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut outer = Reader(content);
    let mut list = Reader(outer.block()?);
    let mut names = Vec::new();
    while !list.0.is_empty() {
        let length = usize::from(list.u8()?);
        names.push(list.take(length).filter(|name| !name.is_empty())?.to_vec());
    }
    (outer.0.is_empty() && !names.is_empty()).then_some(names)
}

/// A reader of length-prefixed bytes; every step is None when the bytes end too early.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        let (first, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*first))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    fn block(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.u16()?);
        self.take(length)
    }

    fn extension(&mut self) -> Option<(u16, &'a [u8])> {
        Some((self.u16()?, self.block()?))
    }
}

/// Record type (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const APPLICATION_DATA: u8 = 23;
/// The handshake message's own header: type and a 24-bit length.
const HEADER: usize = 4;
const MAX_FRAGMENT: usize = 1 << 14;
/// Real clients send about twenty; the bound keeps the search for repeats cheap.
const MAX_EXTENSIONS: usize = 256;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
/// Encrypted ClientHello (RFC 9849).
const ECH: u16 = 0xfe0d;
/// Its draft forerunner, encrypted SNI.
const ESNI: u16 = 0xffce;

#[cfg(test)]
mod tests;
