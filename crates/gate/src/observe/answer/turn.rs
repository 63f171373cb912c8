//! What the made-up model does next: it calls the first tool once, then it says something.

use serde_json::Value;

use super::sample;

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn {
    /// It says this.
    Say(String),
    /// It calls this tool with these arguments.
    Call { name: String, arguments: Value },
}

/// A tool that was offered.
pub(super) struct Tool<'a> {
    pub(super) name: &'a str,
    pub(super) schema: Option<&'a Value>,
}

/// What was asked, in words that all the services share.
pub(super) struct Asked<'a> {
    pub(super) tools: Vec<Tool<'a>>,
    /// Tools must not be called.
    pub(super) forbids: bool,
    /// This tool must be called.
    pub(super) wants: Option<&'a str>,
    /// A tool was called before, and its result came back.
    pub(super) called: bool,
    /// The answer must be JSON of this schema; `Null` for any.
    pub(super) shape: Option<&'a Value>,
}

impl Asked<'_> {
    pub(super) fn turn(&self) -> Turn {
        let wanted = self.tools.iter().find(|tool| self.wants == Some(tool.name));
        let tool = wanted.or(self.tools.first()).filter(|_| !self.forbids && !self.called);
        match (tool, self.shape) {
            (Some(Tool { name, schema }), _) => {
                let arguments = schema.map_or_else(|| Value::Object(Default::default()), sample::arguments);
                Turn::Call { name: (*name).to_owned(), arguments }
            }
            (None, Some(shape)) => Turn::Say(sample::arguments(shape).to_string()),
            (None, None) => Turn::Say(TEXT.to_owned()),
        }
    }
}

const TEXT: &str = "This answer is made up: the run is observed, and no model was asked.";
