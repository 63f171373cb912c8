//! The head of an HTTP/1 request, for the gate's own page at `http://policy.internal/` and nothing else.
//!
//! Strict and small: a head that two readers could understand differently is refused.

/// The longest request head, in bytes.
pub const MAX: usize = 8 * 1024;
/// The most header fields.
pub const MAX_HEADERS: usize = 64;

/// What the bytes received so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// The beginning of a head: read more, then call again with all of it.
    More,
    /// A whole request head.
    Request {
        /// The method, as sent.
        method: String,
        /// The request target, as sent.
        target: String,
        /// The Host header, if there is one.
        host: Option<String>,
        /// How many bytes the head takes.
        consumed: usize,
    },
    /// Not a request head, or one that could be read in two ways.
    Bad,
    /// Longer than [`MAX`] or more than [`MAX_HEADERS`] fields.
    TooLong,
}

/// Reads the request head at the start of `buf`.
pub fn head(buf: &[u8]) -> Head {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let bounded = buf.get(..MAX).unwrap_or(buf);
    let consumed = match request.parse(bounded) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) if buf.len() >= MAX => return Head::TooLong,
        Ok(httparse::Status::Partial) => return Head::More,
        Err(httparse::Error::TooManyHeaders) => return Head::TooLong,
        Err(_) => return Head::Bad,
    };
    let (Some(method), Some(target)) = (request.method, request.path) else { return Head::Bad };
    let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) if host.value.iter().all(u8::is_ascii_graphic) => {
            Some(String::from_utf8_lossy(host.value).into_owned())
        }
        // RFC 9112, 3.2: more than one Host, or an invalid one, is a bad request.
        _ => return Head::Bad,
    };
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Head::Bad;
    }
    Head::Request { method: method.to_owned(), target: target.to_owned(), host, consumed }
}

/// A whole response, after which the connection closes. A content type that is not one becomes plain bytes.
pub fn response(status: u16, content_type: &str, body: &[u8]) -> Vec<u8> {
    let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    let content_type =
        if content_type.bytes().all(printable) { content_type } else { "application/octet-stream" };
    let status = if (200..=599).contains(&status) { status } else { 500 };
    let mut out = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n",
        reason = reason(status),
        length = body.len(),
    )
    .into_bytes();
    out.extend_from_slice(body);
    out
}

/// The same response as an answer to HEAD: its head alone (RFC 9110, section 9.3.2).
pub fn head_only(mut response: Vec<u8>) -> Vec<u8> {
    if let Some(end) = response.windows(4).position(|part| part == b"\r\n\r\n") {
        response.truncate(end.saturating_add(4));
    }
    response
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        // RFC 9112, 4: the phrase may be empty.
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(method: &str, target: &str, host: Option<&str>, consumed: usize) -> Head {
        Head::Request { method: method.into(), target: target.into(), host: host.map(Into::into), consumed }
    }

    #[test]
    fn a_head_that_could_be_read_in_two_ways_is_refused() {
        for bytes in [
            "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
            "GET /é HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "\x16\x03\x01\x02",
        ] {
            assert_eq!(head(bytes.as_bytes()), Head::Bad, "{bytes:?}");
        }
    }

    #[test]
    fn a_request_is_more_until_it_is_whole() {
        let bytes = b"GET /why?x HTTP/1.1\r\nHost: policy.internal\r\nAccept: */*\r\n\r\n";
        for end in 0..bytes.len() {
            assert_eq!(head(&bytes[..end]), Head::More, "{end}");
        }
        let expect = request("GET", "/why?x", Some("policy.internal"), bytes.len());
        assert_eq!(head(bytes), expect);
        assert_eq!(head(&[&bytes[..], b"body"].concat()), expect);
        assert_eq!(head(b"GET / HTTP/1.0\r\n\r\n"), request("GET", "/", None, 18));
    }

    #[test]
    fn long_heads_are_too_long() {
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(MAX));
        assert_eq!(head(long.as_bytes()), Head::TooLong);
        assert_eq!(head(&long.as_bytes()[..MAX - 1]), Head::More);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(head(many.as_bytes()), Head::TooLong);
    }

    #[test]
    fn a_response_closes_and_is_not_stored() {
        let expect = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\
                      Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\nhi\n";
        assert_eq!(response(200, "text/plain", b"hi\n"), expect.as_bytes());
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let whole = response(200, "text/plain", b"hi\n");
        assert_eq!([&head_only(whole.clone())[..], b"hi\n"].concat(), whole);
    }

    #[test]
    fn a_content_type_cannot_add_a_header() {
        let bytes = String::from_utf8(response(42, "text/plain\r\nX: y", b"")).unwrap();
        assert!(
            bytes.starts_with(
                "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/octet-stream\r\n"
            )
        );
        assert!(!bytes.contains("X: y"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            head(&bytes);
            head(&[b"GET / HTTP/1.1\r\n", &bytes[..]].concat());
        }
    }
}
