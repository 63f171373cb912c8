//! Which kind of credential a request carries, and what its query asks for by name. Never the values: they are not copied.

use http::header::{AUTHORIZATION, COOKIE, HeaderMap, PROXY_AUTHORIZATION};
use http::{HeaderName, Uri};

/// The kind of credential that a request carries, if any.
pub(crate) fn kind(headers: &HeaderMap, uri: &Uri) -> Option<&'static str> {
    if let Some(value) = headers.get(AUTHORIZATION) {
        return Some(scheme(value.as_bytes()));
    }
    if headers.keys().any(is_key) {
        return Some("api-key");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Some("basic");
    }
    if headers.contains_key(PROXY_AUTHORIZATION) {
        return Some("proxy");
    }
    if parameters(uri.query().unwrap_or_default()).any(|(name, _)| is_secret(name)) {
        return Some("query");
    }
    headers.contains_key(COOKIE).then_some("cookie")
}

/// The names of a query's parameters. A parameter without `=` may be a secret itself.
pub(crate) fn names(query: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, value) in parameters(query).take(MOST_PARAMETERS) {
        // what ends with `=` alone may be base64 and no name
        let padding =
            |value: &str| value.bytes().all(|byte| byte == b'=') && (name.len() > 16 || !value.is_empty());
        let bare = value.is_none_or(padding);
        let name = if bare { BARE.to_owned() } else { name.chars().take(LONGEST).collect() };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value))))
}

/// The scheme of an Authorization field (RFC 9110, 11.4). A field without one may be the secret.
fn scheme(value: &[u8]) -> &'static str {
    let Some(space) = value.iter().position(|byte| *byte == b' ') else { return "authorization" };
    let named = value.get(..space).unwrap_or_default();
    let known = SCHEMES.iter().find(|(scheme, _)| named.eq_ignore_ascii_case(scheme.as_bytes()));
    known.map_or("authorization", |(_, kind)| kind)
}

fn is_key(name: &HeaderName) -> bool {
    let name = name.as_str();
    KEYS.contains(&name) || name.ends_with("-api-key") || name.ends_with("-auth-token")
}

fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

const SCHEMES: &[(&str, &str)] = &[
    ("bearer", "bearer"),
    ("basic", "basic"),
    ("digest", "digest"),
    ("negotiate", "negotiate"),
    ("ntlm", "negotiate"),
    ("token", "token"),
    ("dpop", "bearer"),
    ("aws4-hmac-sha256", "aws-signature"),
];
const KEYS: &[&str] = &[
    "api-key",
    "x-api-key",
    "x-goog-api-key",
    "apikey",
    "x-auth-token",
    "x-access-token",
    "private-token",
    "x-amz-security-token",
    "x-vault-token",
    "xi-api-key",
];
const SECRETS: &[&str] = &[
    "key",
    "api_key",
    "apikey",
    "api-key",
    "token",
    "access_token",
    "auth",
    "sig",
    "signature",
    "x-amz-signature",
    "secret",
    "password",
    "client_secret",
];
/// Stands for a parameter that is a value alone.
const BARE: &str = "(bare)";
const MOST_PARAMETERS: usize = 32;
const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_credential_is_told_by_its_kind() {
        let with = |name: &str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
            kind(&headers, &Uri::from_static("/v1/x?limit=1"))
        };
        for (name, value, expect) in [
            ("authorization", "Bearer sk-1", Some("bearer")),
            ("authorization", "basic dTpw", Some("basic")),
            ("authorization", "AWS4-HMAC-SHA256 Credential=x", Some("aws-signature")),
            ("authorization", "sk-1", Some("authorization")),
            ("authorization", "Sk-1 more", Some("authorization")),
            ("x-api-key", "sk-1", Some("api-key")),
            ("ocp-apim-api-key", "sk-1", Some("api-key")),
            ("cookie", "session=1", Some("cookie")),
            ("proxy-authorization", "Basic x", Some("proxy")),
            ("accept", "*/*", None),
        ] {
            assert_eq!(with(name, value), expect, "{name}: {value}");
        }
        let bare = |uri: &'static str| kind(&HeaderMap::new(), &Uri::from_static(uri));
        assert_eq!(bare("/v1beta/models?key=sk-1"), Some("query"));
        assert_eq!(bare("http://user:sk-1@a.test/"), Some("basic"));
        assert_eq!(bare("/?q=1"), None);
    }

    #[test]
    fn a_query_is_told_by_its_names() {
        assert_eq!(names("a=1&key=sk-1&a=2"), ["a", "key"]);
        assert_eq!(names("sk-1&x="), ["(bare)", "x"]);
        assert_eq!(names("c2stc2VjcmV0LWtleTE="), ["(bare)"]);
        assert_eq!(names("c2stc2Vj==&page="), ["(bare)", "page"]);
        assert_eq!(names(""), Vec::<String>::new());
        let long = format!("{}=1", "n".repeat(500));
        assert_eq!(names(&long), ["n".repeat(64)]);
        let many = (0..100).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(names(&many).len(), 32);
    }
}
