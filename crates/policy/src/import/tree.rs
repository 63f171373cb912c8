//! A source as a tree with places: YAML, JSON and JSON with comments read alike, and TOML in `toml`.
//!
//! A value of the wrong kind is refused with its line, never taken for an absent one: a list of denials that cannot be
//! read must not become no denials.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{Place, Problem};
use crate::raw::{self, At, Key};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// What stands there.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Reads YAML, of which JSON is a part.
pub(super) fn yaml(text: &str) -> Result<Option<Node>, Problem> {
    raw::read::<Node>(text)
}

/// Reads JSON, where a tab is a space.
pub(super) fn json(text: &str) -> Result<Option<Node>, Problem> {
    yaml(&text.replace('\t', " "))
}

/// Reads JSON with `//` and `/* */` comments, which are blanked: places stay right.
pub(super) fn json_with_comments(text: &str) -> Result<Option<Node>, Problem> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let (mut quoted, mut escaped) = (false, false);
    let blank = |c: char| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) };
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            _ if quoted => {
                quoted = escaped || c != '"';
                escaped = !escaped && c == '\\';
                plain.push(c);
            }
            ('/', Some('/')) => {
                plain.push(' ');
                while let Some(c) = rest.next_if(|c| *c != '\n') {
                    plain.push_str(&blank(c));
                }
            }
            ('/', Some('*')) => {
                plain.push(' ');
                let mut last = ' ';
                for c in rest.by_ref() {
                    plain.push_str(&blank(c));
                    if (last, c) == ('*', '/') && plain.len() > 2 {
                        break;
                    }
                    last = c;
                }
            }
            _ => {
                quoted = c == '"';
                plain.push(c);
            }
        }
    }
    json(&plain)
}

impl Node {
    /// The line it begins on.
    pub(super) fn line(&self) -> u32 {
        self.place.line
    }

    /// The value of a key, where there is one.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        let found = entries.iter().find(|(name, _)| name == key).map(|(_, node)| node);
        found.filter(|node| !matches!(node.value, Value::Null))
    }

    /// The mapping below a key; an empty place is none.
    pub(super) fn map(&self, key: &str) -> Result<Option<&Node>, Problem> {
        self.get(key).map(|node| node.entries(key).map(|_| node)).transpose()
    }

    /// The list below a key; an absent one is empty.
    pub(super) fn list(&self, key: &str) -> Result<&[Node], Problem> {
        self.get(key).map_or(Ok(&[]), |node| node.items(key))
    }

    /// The list below a key, where one value alone stands for a list of one, as in Terraform.
    pub(super) fn some(&self, key: &str) -> &[Node] {
        match self.get(key) {
            Some(Node { value: Value::List(items), .. }) => items,
            Some(node) => std::slice::from_ref(node),
            None => &[],
        }
    }

    /// The text below a key; a number counts as it is written.
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, Problem> {
        self.get(key).map(|node| node.word(key)).transpose()
    }

    /// The flag below a key.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, Problem> {
        let flag = |node: &Node| match node.value {
            Value::Flag(flag) => Ok(flag),
            _ => Err(node.wrong(key, "`true` or `false`")),
        };
        self.get(key).map(flag).transpose()
    }

    /// The items of a list.
    pub(super) fn items(&self, what: &str) -> Result<&[Node], Problem> {
        match &self.value {
            Value::List(items) => Ok(items),
            _ => Err(self.wrong(what, "a list")),
        }
    }

    /// The keys and values of a mapping.
    pub(super) fn entries(&self, what: &str) -> Result<&[(String, Node)], Problem> {
        match &self.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(self.wrong(what, "a mapping of keys to values")),
        }
    }

    /// The text itself; a number counts as it is written.
    pub(super) fn word(&self, what: &str) -> Result<&str, Problem> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Ok(text),
            _ => Err(self.wrong(what, "text")),
        }
    }

    /// Refuses a value of the wrong kind.
    pub(super) fn wrong(&self, what: &str, expected: &str) -> Problem {
        let message = format!("`{}` is not {expected}", what.escape_debug());
        Problem::new(message, self.place, "wrong type")
            .help("see docs/import.md for what is read of each format")
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let At { value, place } = At::<Value>::deserialize(deserializer)?;
        Ok(Node { value, place })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            entries.push((key.0.into_owned(), map.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}
