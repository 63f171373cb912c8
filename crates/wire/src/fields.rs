//! HTTP fields that speak of one connection, not of the message (RFC 9110, section 7.6.1; RFC 9112, section 6.1).

use http::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};

/// A length beside a coding is gone already: the library drops it, and the connection after this request (RFC 9112,
/// section 6.3). What is left are codings that the destination would have to undo.
pub fn coding(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = codings.next() else { return Ok(()) };
    match codings.next().is_none() && first.as_bytes().eq_ignore_ascii_case(b"chunked") {
        true => Ok(()),
        false => Err("its Transfer-Encoding is not `chunked` alone"),
    }
}

/// Removes what speaks of one connection only.
pub fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    // what a message cannot be read without is not the client's to take away (RFC 9110, section 7.6.1)
    let kept = [HOST, http::header::CONTENT_LENGTH, http::header::AUTHORIZATION, http::header::CONTENT_TYPE];
    for name in named.into_iter().filter(|name| !kept.contains(name)) {
        headers.remove(name);
    }
    for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "http2-settings"] {
        headers.remove(name);
    }
}

/// Whether a list of words holds this one.
pub fn holds(value: &HeaderValue, word: &str) -> bool {
    value.to_str().is_ok_and(|text| text.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
}

/// Whether the fields name the protocol of RFC 6455.
pub fn is_web_socket(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let one = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        list.iter().map(one).collect()
    }

    #[test]
    fn what_a_connection_names_goes_with_it_but_never_what_a_message_needs() {
        let mut headers = fields(&[
            ("connection", "close, x-hop, host, content-length"),
            ("x-hop", "1"),
            ("host", "a.test"),
            ("content-length", "5"),
            ("keep-alive", "3"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("proxy-connection", "close"),
            ("accept", "x"),
        ]);
        strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "content-length", "host"]);
    }

    #[test]
    fn only_one_coding_is_passed_on() {
        assert!(coding(&fields(&[])).is_ok());
        assert!(coding(&fields(&[("transfer-encoding", "Chunked")])).is_ok());
        for value in ["gzip, chunked", "chunked, chunked", "identity", "x"] {
            assert!(coding(&fields(&[("transfer-encoding", value)])).is_err(), "{value}");
        }
        let mut twice = fields(&[("transfer-encoding", "chunked")]);
        twice.append(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        assert!(coding(&twice).is_err());
    }
}
