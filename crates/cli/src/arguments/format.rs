//! Names of formats on the command line, each with what it is.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use claw_policy::import::Format;

/// Every format that is read.
pub(super) fn read() -> impl TypedValueParser<Value = Format> {
    names(|_| true)
}

/// Every format that is written.
pub(super) fn written() -> impl TypedValueParser<Value = Format> {
    names(Format::is_written)
}

fn names(which: fn(Format) -> bool) -> impl TypedValueParser<Value = Format> {
    let all = Format::all().filter(|format| which(*format));
    let values = all.map(|format| PossibleValue::new(format.as_str()).help(format.help()));
    PossibleValuesParser::new(values).try_map(|text| text.parse::<Format>())
}
