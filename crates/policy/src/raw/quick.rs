//! The plain part of YAML, which nearly every policy keeps to, straight from the scanner's events.
//!
//! What it reads comes out as [`super::read`] would read it, value by value and place by place: the scanner is the same.
//! Whatever is unusual (an anchor, a tag, a key that is not a word, a key written twice, a number with a fraction) and
//! whatever is wrong it leaves: the text is then read in whole by the general reader, which alone tells errors.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, Span, StrInput};

use crate::error::Place;

/// What a value with its place calls itself: it gets the place's three numbers, then itself.
pub(super) const PLACED: &str = "claw: placed";

/// Reads one document, if all of it is plain.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    if text.len() > LARGEST || text.starts_with('\u{feff}') {
        return None;
    }
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut reader = Reader { parser: Parser::with_options(StrInput::new(text), options), depth: 0 };
    reader.expect(|event| matches!(event, Event::StreamStart)).ok()?;
    reader.expect(|event| matches!(event, Event::DocumentStart(false, None))).ok()?;
    let value = T::deserialize(&mut reader).ok()?;
    reader.expect(|event| matches!(event, Event::DocumentEnd)).ok()?;
    reader.expect(|event| matches!(event, Event::StreamEnd)).ok()?;
    Some(value)
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    depth: usize,
}

/// Something is not plain, or wrong: not told here.
#[derive(Debug)]
struct Left;

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("left to the general reader")
    }
}

impl std::error::Error for Left {}

impl serde::de::Error for Left {
    fn custom<T: fmt::Display>(_: T) -> Left {
        Left
    }
}

impl<'t> Reader<'t> {
    fn peek(&mut self) -> Result<&(Event<'t>, Span), Left> {
        self.parser.peek().and_then(Result::ok).ok_or(Left)
    }

    fn next(&mut self) -> Result<Event<'t>, Left> {
        self.parser.next_event().and_then(Result::ok).map(|(event, _)| event).ok_or(Left)
    }

    fn expect(&mut self, wanted: impl FnOnce(&Event<'t>) -> bool) -> Result<(), Left> {
        if wanted(&self.next()?) { Ok(()) } else { Err(Left) }
    }

    /// A scalar without anchor and tag that does not stand for nothing.
    fn scalar(&mut self) -> Result<(Cow<'t, str>, ScalarStyle), Left> {
        match self.next()? {
            Event::Scalar(text, style, 0, None) if !is_nothing(&text, style) => Ok((text, style)),
            _ => Err(Left),
        }
    }

    fn enter(&mut self) -> Result<(), Left> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEEPEST { Err(Left) } else { Ok(()) }
    }

    fn list<V: Visitor<'t>>(&mut self, visitor: V) -> Result<V::Value, Left> {
        self.enter()?;
        let value = visitor.visit_seq(Items { reader: self })?;
        self.depth = self.depth.saturating_sub(1);
        self.expect(|event| matches!(event, Event::SequenceEnd))?;
        Ok(value)
    }

    fn mapping<V: Visitor<'t>>(&mut self, visitor: V) -> Result<V::Value, Left> {
        self.enter()?;
        let value = visitor.visit_map(Entries { reader: self, keys: Vec::new() })?;
        self.depth = self.depth.saturating_sub(1);
        self.expect(|event| matches!(event, Event::MappingEnd))?;
        Ok(value)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Left;

    /// Only what is certainly a word, a plain number, a list or a mapping.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        match self.next()? {
            Event::SequenceStart(_, 0, None) => self.list(visitor),
            Event::MappingStart(_, 0, None) => self.mapping(visitor),
            Event::Scalar(text, ScalarStyle::Plain, 0, None) => match (number(&text), text) {
                (Some(number), _) => visitor.visit_i64(number.cast_signed()),
                (None, Cow::Borrowed(text)) if is_word(text) => visitor.visit_borrowed_str(text),
                _ => Err(Left),
            },
            _ => Err(Left),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        match self.scalar()?.0 {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        self.deserialize_str(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        match self.scalar()? {
            (text, ScalarStyle::Plain) => visitor.visit_u64(number(&text).ok_or(Left)?),
            _ => Err(Left),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        match &self.peek()?.0 {
            Event::Scalar(text, style, 0, None) if is_nothing(text, *style) => {
                self.next()?;
                visitor.visit_none()
            }
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) => {
                visitor.visit_some(self)
            }
            _ => Err(Left),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        self.expect(|event| matches!(event, Event::SequenceStart(_, 0, None)))?;
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Left> {
        self.expect(|event| matches!(event, Event::MappingStart(_, 0, None)))?;
        self.mapping(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Left> {
        if name != PLACED {
            return Err(Left);
        }
        let span = &self.peek()?.1;
        let (start, end) = (span.start.byte_offset().ok_or(Left)?, span.end.byte_offset().ok_or(Left)?);
        let line = u32::try_from(span.start.line()).map_err(|_| Left)?;
        let place = Place { start, length: end.saturating_sub(start), line };
        visitor.visit_seq(Placed { reader: self, place, given: 0 })
    }

    // What is ignored is a key that nobody knows; of the rest no policy has any.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Left> {
        Err(Left)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Left> {
        Err(Left)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, _: V) -> Result<V::Value, Left> {
        Err(Left)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Left> {
        Err(Left)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Left> {
        Err(Left)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Left> {
        Err(Left)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Left> {
        Err(Left)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Left> {
        Err(Left)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Left> {
        Err(Left)
    }

    forward_to_deserialize_any! { bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char identifier }
}

struct Items<'r, 't> {
    reader: &'r mut Reader<'t>,
}

impl<'t> SeqAccess<'t> for Items<'_, 't> {
    type Error = Left;

    fn next_element_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Left> {
        if matches!(self.reader.peek()?.0, Event::SequenceEnd) {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

struct Entries<'r, 't> {
    reader: &'r mut Reader<'t>,
    keys: Vec<&'t str>,
}

impl<'t> MapAccess<'t> for Entries<'_, 't> {
    type Error = Left;

    fn next_key_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Left> {
        if matches!(self.reader.peek()?.0, Event::MappingEnd) {
            return Ok(None);
        }
        let (Cow::Borrowed(key), ScalarStyle::Plain) = self.reader.scalar()? else { return Err(Left) };
        if !is_key(key) || self.keys.len() >= MOST_KEYS || self.keys.contains(&key) {
            return Err(Left);
        }
        self.keys.push(key);
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Left> {
        seed.deserialize(&mut *self.reader)
    }
}

/// The numbers of a place, then what stands there.
struct Placed<'r, 't> {
    reader: &'r mut Reader<'t>,
    place: Place,
    given: u8,
}

impl<'t> SeqAccess<'t> for Placed<'_, 't> {
    type Error = Left;

    fn next_element_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Left> {
        self.given = self.given.saturating_add(1);
        match self.given {
            1 => seed.deserialize(self.place.start.into_deserializer()),
            2 => seed.deserialize(self.place.length.into_deserializer()),
            3 => seed.deserialize(self.place.line.into_deserializer()),
            4 => seed.deserialize(&mut *self.reader),
            _ => return Ok(None),
        }
        .map(Some)
    }
}

/// What the general reader takes for nothing at all.
fn is_nothing(text: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && (text.is_empty() || text == "~" || text.eq_ignore_ascii_case("null"))
}

/// A number that is written in one way only.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits && (text == "0" || !text.starts_with('0')) { text.parse().ok() } else { None }
}

/// A key that is nothing but a word.
fn is_key(text: &str) -> bool {
    is_word(text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Text that is neither a number nor a truth value in any version of YAML.
fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !SPECIAL.iter().any(|special| text.eq_ignore_ascii_case(special))
}

const SPECIAL: [&str; 12] =
    ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "infinity"];
/// Rules stand four levels deep.
const DEEPEST: usize = 10;
/// Keys are compared with each other.
const MOST_KEYS: usize = 32;
/// Of so many bytes no budget of the general reader can be exceeded.
const LARGEST: usize = 32 << 20;

#[cfg(test)]
mod tests;
