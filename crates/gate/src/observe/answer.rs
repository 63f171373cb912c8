//! Parts that are played so that an observed run goes further: a model that was not asked, an index that has nothing.
//!
//! Values in, values out. Requests are known by their path, whatever the host, so that a base URL of one's own works. What
//! is answered is made up, says so, and has the shape that the real clients of these services read.

mod anthropic;
mod gemini;
mod index;
mod openai;
mod sample;
mod turn;

use std::str::FromStr;

use http::HeaderMap;
use serde_json::{Value, json};

/// Which parts are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answers {
    /// Chat completions, responses, embeddings, models.
    pub openai: bool,
    /// Messages, and the counting of their tokens.
    pub anthropic: bool,
    /// `generateContent` and what belongs to it.
    pub gemini: bool,
    /// Package indexes of Python and Node.
    pub index: bool,
}

/// A part that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no part that can be played; there are openai, anthropic, gemini, index, and all", .0.escape_debug())]
pub struct NoPart(String);

impl FromStr for Answers {
    type Err = NoPart;

    fn from_str(text: &str) -> Result<Answers, NoPart> {
        let mut answers = Answers::default();
        for name in text.split(',').map(str::trim) {
            match name {
                "openai" => answers.openai = true,
                "anthropic" => answers.anthropic = true,
                "gemini" => answers.gemini = true,
                "index" => answers.index = true,
                "all" => answers = Answers { openai: true, anthropic: true, gemini: true, index: true },
                other => return Err(NoPart(other.to_owned())),
            }
        }
        Ok(answers)
    }
}

/// A request that one of the parts answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// OpenAI's.
    OpenAi(openai::Call),
    /// Anthropic's.
    Anthropic(anthropic::Call),
    /// Gemini's.
    Gemini(gemini::Call),
    /// A package index's.
    Index(index::Call),
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Answers {
    /// What is answered to a request of these parts: status, type of content, content. `None` where no part answers it. For
    /// whoever plays them outside of an observed run, as tests do.
    pub fn play(
        self,
        head: &http::request::Parts,
        body: &[u8],
        (now, number): (i64, u64),
    ) -> Option<(u16, &'static str, Vec<u8>)> {
        let uri = &head.uri;
        let part =
            self.part(head.method.as_str(), uri.path(), uri.query().unwrap_or_default(), &head.headers)?;
        let Reply { status, kind, body } = part.reply(body, Moment { now, number });
        Some((status, kind, body))
    }

    /// The part that answers a request, if it is played.
    pub(crate) fn part(self, method: &str, path: &str, query: &str, headers: &HeaderMap) -> Option<Part> {
        let gemini = || gemini::Call::of(method, path, query).filter(|_| self.gemini).map(Part::Gemini);
        let claude =
            || anthropic::Call::of(method, path, headers).filter(|_| self.anthropic).map(Part::Anthropic);
        let open = || openai::Call::of(method, path).filter(|_| self.openai).map(Part::OpenAi);
        let index = || index::Call::of(method, path, headers).filter(|_| self.index).map(Part::Index);
        gemini().or_else(claude).or_else(open).or_else(index)
    }
}

impl Part {
    /// The answer.
    pub(crate) fn reply(&self, body: &[u8], moment: Moment) -> Reply {
        let asked = || match body {
            [] => Some(Value::Null),
            body => serde_json::from_slice::<Value>(body).ok(),
        };
        let Some(asked) = (match self {
            Part::Index(call) => return call.reply(),
            _ => asked(),
        }) else {
            return Reply::error(400, "the body is not JSON");
        };
        match self {
            Part::OpenAi(call) => call.reply(&asked, moment),
            Part::Anthropic(call) => call.reply(&asked, moment),
            Part::Gemini(call) => call.reply(&asked, moment),
            Part::Index(call) => call.reply(),
        }
    }
}

/// When a reply is made, and which one of the run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Seconds since 1970.
    pub(crate) now: i64,
    /// Its number.
    pub(crate) number: u64,
}

impl Moment {
    /// An identifier that no other reply of the run has: clients put messages together by it.
    fn id(self, kind: &str) -> String {
        format!("{kind}_observed{:04}", self.number)
    }
}

impl Reply {
    fn json(value: &Value) -> Reply {
        Reply { status: 200, kind: "application/json", body: format!("{value}\n").into_bytes() }
    }

    fn events(text: String) -> Reply {
        Reply { status: 200, kind: "text/event-stream; charset=utf-8", body: text.into_bytes() }
    }

    /// In the shape that the large model APIs use for errors.
    pub(crate) fn error(status: u16, message: &str) -> Reply {
        let body = json!({
            "type": "error",
            "error": { "type": "observed", "code": "observed", "message": message }
        });
        Reply { status, ..Reply::json(&body) }
    }
}

/// One server-sent event.
fn event(name: Option<&str>, data: &Value) -> String {
    let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
    format!("{name}data: {data}\n\n")
}

/// Text in the pieces in which it is streamed.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

/// The flag of a request.
fn is_true(asked: &Value, name: &str) -> bool {
    asked.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// The model that was asked for, as it is called back.
fn model(asked: &Value) -> String {
    let named = asked.get("model").and_then(Value::as_str).unwrap_or(MODEL);
    named.chars().take(200).collect()
}

/// As many tokens as bytes could be, roughly.
fn tokens(asked: &Value) -> usize {
    asked.to_string().len().div_ceil(4)
}

/// A unit vector, another one for texts of another length.
fn vector(length: usize, width: usize) -> Vec<f32> {
    let mut numbers = vec![0.0; width];
    if let Some(number) = length.checked_rem(width).and_then(|at| numbers.get_mut(at)) {
        *number = 1.0;
    }
    numbers
}

const MODEL: &str = "observed-model";

#[cfg(test)]
mod tests;
