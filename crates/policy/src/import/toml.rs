//! TOML as a tree with places.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::tree::{Node, Value};
use crate::error::{Place, Problem};
use crate::raw::line_at;

/// Reads one TOML document.
pub(super) fn read(text: &str) -> Result<Option<Node>, Problem> {
    if text.len() > LARGEST {
        let what = format!("the file has {} bytes: at most {LARGEST} are read", text.len());
        return Err(Problem::new(what, Place::default(), "too large"));
    }
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let message: String = error.message().chars().take(200).collect();
        Problem::new(message, place(text, span), "here").help("this is not TOML 1.0")
    })?;
    let span = table.span();
    let value = map(text, table.get_ref(), 0)?;
    Ok(Some(Node { value, place: place(text, span) }))
}

fn map(text: &str, table: &DeTable<'_>, depth: u8) -> Result<Value, Problem> {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        Ok((key.to_string(), node(text, value, depth)?))
    };
    table.iter().map(entry).collect::<Result<_, Problem>>().map(Value::Map)
}

fn node(text: &str, value: &Spanned<DeValue<'_>>, depth: u8) -> Result<Node, Problem> {
    let place = place(text, value.span());
    if depth > DEEPEST {
        return Err(Problem::new(format!("nested deeper than {DEEPEST} levels"), place, "too deep here"));
    }
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Number(number.to_string()),
        DeValue::Float(number) => Value::Number(number.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(items) => {
            let item = |item| node(text, item, depth.saturating_add(1));
            Value::List(items.iter().map(item).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => map(text, table, depth.saturating_add(1))?,
    };
    Ok(Node { value, place })
}

fn place(text: &str, span: std::ops::Range<usize>) -> Place {
    Place { start: span.start, length: span.len(), line: line_at(text, span.start) }
}

/// Deeper than any profile.
const DEEPEST: u8 = 16;
/// Larger than any profile.
const LARGEST: usize = 16 << 20;
