//! What is wrong with a policy file: every problem with its line, the text underlined, and what to write instead.

use std::fmt;
use std::sync::Arc;

use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

/// A policy file that was refused, with everything found wrong in it.
#[derive(Debug, Clone)]
pub struct PolicyError {
    source: Source,
    problems: Vec<Problem>,
    /// How many more there are than are shown.
    more: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    message: String,
    help: Option<String>,
    labels: Vec<(Place, String)>,
}

/// A place in the text: bytes, and the line they begin on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The first byte.
    pub start: usize,
    /// How many bytes.
    pub length: usize,
    /// The line, from 1.
    pub line: u32,
}

impl Problem {
    /// A problem at a place, with a word about the text there.
    pub fn new(message: impl Into<String>, place: Place, label: impl Into<String>) -> Problem {
        Problem { message: message.into(), help: None, labels: vec![(place, label.into())] }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// Another place that it speaks of.
    #[must_use]
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Problem {
        self.labels.push((place, label.into()));
        self
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The line it is on.
    pub fn line(&self) -> u32 {
        self.labels.first().map_or(1, |(place, _)| place.line)
    }

    /// Every line it speaks of, with what is said there.
    pub fn places(&self) -> impl Iterator<Item = (u32, &str)> {
        self.labels.iter().map(|(place, label)| (place.line, label.as_str()))
    }

    pub(crate) fn start(&self) -> usize {
        self.labels.first().map_or(0, |(place, _)| place.start)
    }

    fn spans(&self) -> impl Iterator<Item = LabeledSpan> + '_ {
        self.labels
            .iter()
            .map(|(place, label)| LabeledSpan::new(Some(label.clone()), place.start, place.length))
    }
}

impl PolicyError {
    /// A file that was refused for these problems.
    pub fn new(name: &str, text: &str, mut problems: Vec<Problem>) -> PolicyError {
        problems.sort_by_key(Problem::start);
        let more = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        PolicyError { source: Source::new(name, text), problems, more }
    }

    /// Everything found wrong, in file order; at most 20.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many problems were found, shown or not.
    pub fn count(&self) -> usize {
        self.problems.len() + self.more
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    fn only(&self) -> Option<&Problem> {
        match self.problems.as_slice() {
            [problem] => Some(problem),
            _ => None,
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.only() {
            Some(problem) => write!(f, "{}:{}: {}", self.source.name, problem.line(), problem.message),
            None => write!(f, "{} has {} problems", self.source.name, self.count()),
        }
    }
}

impl std::error::Error for PolicyError {}

impl Diagnostic for PolicyError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let more = (self.more > 0).then(|| format!("{} more are not shown", self.more));
        let text = self.only().and_then(|problem| problem.help.clone()).or(more)?;
        Some(Box::new(text))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.only()?.spans()))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.only().is_some() {
            return None;
        }
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// The source comes from the whole error: a printer hands it down to each problem.
impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.spans()))
    }
}

/// The file's text for showing: control characters are blanked, and of a very long line only a window is shown.
#[derive(Debug, Clone)]
struct Source {
    name: Arc<str>,
    text: Arc<str>,
}

impl Source {
    fn new(name: &str, text: &str) -> Source {
        let blank = |c: char| {
            if c.is_control() && c != '\n' && c != '\t' { " ".repeat(c.len_utf8()) } else { c.into() }
        };
        let plain = text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t');
        let text = if plain { Arc::from(text) } else { text.chars().map(blank).collect::<String>().into() };
        Source { name: name.into(), text }
    }

    /// The bytes around a span, on character boundaries.
    fn window(&self, span: &SourceSpan) -> (usize, usize) {
        let floor =
            |at: usize| (0..=at.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at));
        let start = floor(span.offset().saturating_sub(WINDOW)).unwrap_or(0);
        let end = floor(span.offset() + span.len().min(WINDOW) + WINDOW).unwrap_or(0);
        (start, end)
    }
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = self.text.read_span(span, before, after)?;
        let longest = whole.data().split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
        if longest <= 4 * WINDOW {
            return Ok(Box::new(MietteSpanContents::new_named(
                self.name.to_string(),
                whole.data(),
                *whole.span(),
                whole.line(),
                whole.column(),
                whole.line_count(),
            )));
        }
        let (start, end) = self.window(span);
        let lead = self.text.get(..start).unwrap_or_default();
        let line = lead.bytes().filter(|byte| *byte == b'\n').count();
        let column = start - lead.rfind('\n').map_or(0, |at| at + 1);
        let data = self.text.get(start..end).unwrap_or_default().as_bytes();
        let span = SourceSpan::new(start.into(), end - start);
        Ok(Box::new(MietteSpanContents::new_named(self.name.to_string(), data, span, line, column, 1)))
    }
}

/// More problems than this help nobody.
const SHOWN: usize = 20;
/// Bytes shown on each side of a span in a very long line.
const WINDOW: usize = 80;
