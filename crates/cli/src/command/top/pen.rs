//! What a screen is drawn with: colours, frames, cells, marks. Nothing is written outside the buffer.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Widget};

use super::cell::{self, Column, Place};
use super::rate::speed;

/// Whether colours may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// The terminal's sixteen, so that its theme decides what they are.
    Colour,
    /// None; bold and dim only.
    Plain,
}

/// A frame with a title; what is inside is returned.
pub(crate) fn frame(
    title: &[(&str, Style)],
    scroll: Scroll,
    (ink, focused): (Ink, bool),
    area: Rect,
    buffer: &mut Buffer,
) -> Rect {
    let style = if focused { ink.accent() } else { ink.dim() };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let room = area.width.saturating_sub(16);
    let words = title.iter().map(|(text, style)| Span::styled(cell::fit(text, room), bold.patch(*style)));
    let title: Vec<Span<'_>> =
        std::iter::once(Span::raw(" ")).chain(words).chain(std::iter::once(Span::raw(" "))).collect();
    let mut block =
        Block::bordered().border_type(BorderType::Rounded).border_style(style).title(Line::from(title));
    if let Some(part) = scroll.told() {
        block = block.title_bottom(Line::styled(part, ink.dim()).right_aligned());
    }
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

pub(crate) fn heading(
    columns: &[Column],
    places: &[Place],
    (ink, indent): (Ink, u16),
    inner: Rect,
    buffer: &mut Buffer,
) {
    let indent = indent.saturating_sub(GUTTER);
    let row = Rect {
        x: inner.x.saturating_add(indent),
        width: inner.width.saturating_sub(indent),
        height: 1,
        ..inner
    };
    for place in places.iter().filter(|_| inner.height > 0) {
        let title = columns.get(place.index).map(|column| column.title).unwrap_or_default();
        put(title, *place, ink.dim(), row, buffer);
    }
}

pub(crate) fn put(text: &str, place: Place, style: Style, row: Rect, buffer: &mut Buffer) {
    let x = row.x.saturating_add(GUTTER).saturating_add(place.start);
    write(&cell::padded(text, place), style, Rect { x, width: place.width, ..row }, buffer);
}

pub(crate) fn text(text: &str, style: Style, inner: Rect, buffer: &mut Buffer) {
    let width = inner.width.saturating_sub(MARGINS);
    let row = Rect { x: inner.x.saturating_add(GUTTER), width, height: inner.height.min(1), ..inner };
    write(&cell::fit(text, width), style, row, buffer);
}

pub(crate) fn gutter(chosen: Chosen, ink: Ink, row: Rect, buffer: &mut Buffer) {
    match chosen {
        Chosen::Focused => write("▌", ink.accent(), row, buffer),
        Chosen::Aside => write("▌", ink.dim(), row, buffer),
        Chosen::Other => {}
    }
}

pub(crate) fn rate_cell(rate: Option<u64>, ink: Ink) -> (String, Style) {
    (speed(rate), if rate.unwrap_or_default() == 0 { ink.dim() } else { ink.good() })
}

/// A count of at most six characters.
pub(crate) fn count(count: u64) -> String {
    if count > MOST_COUNTED { format!("{MOST_COUNTED}+") } else { count.to_string() }
}

/// Writes the parts that there is room for, each whole or not at all; nothing is written outside the buffer.
pub(crate) fn parted(parts: Vec<Vec<Span<'_>>>, row: Rect, buffer: &mut Buffer) {
    let mut left = row.width;
    let mut spans = Vec::new();
    for part in parts {
        let width = part.iter().map(|span| cell::width(&span.content)).fold(0, u16::saturating_add);
        if width > left {
            break;
        }
        left = left.saturating_sub(width);
        spans.extend(part);
    }
    if row.height > 0 && !row.intersection(*buffer.area()).is_empty() {
        buffer.set_line(row.x, row.y, &Line::from(spans), row.width);
    }
}

pub(crate) fn write(text: &str, style: Style, row: Rect, buffer: &mut Buffer) {
    parted(vec![vec![Span::styled(text.to_owned(), style)]], row, buffer);
}

/// Whether a line is the selected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// And the keys are for its list.
    Focused,
    /// And the keys are for another list.
    Aside,
    /// It is not.
    Other,
}

impl Chosen {
    pub(crate) fn new(chosen: bool, focused: bool) -> Chosen {
        match (chosen, focused) {
            (true, true) => Chosen::Focused,
            (true, false) => Chosen::Aside,
            (false, _) => Chosen::Other,
        }
    }

    pub(crate) fn style(self) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        if self == Chosen::Other { Style::new() } else { bold.remove_modifier(Modifier::DIM) }
    }
}

/// Which lines of a list are shown: those around the selected one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scroll {
    pub(crate) first: usize,
    pub(crate) shown: usize,
    pub(crate) all: usize,
}

impl Scroll {
    pub(crate) fn around(chosen: usize, all: usize, height: u16) -> Scroll {
        let height = usize::from(height);
        let first = chosen.saturating_sub(height / 2).min(all.saturating_sub(height));
        Scroll { first, shown: height.min(all), all }
    }

    fn told(self) -> Option<String> {
        let Scroll { first, shown, all } = self;
        (0 < shown && shown < all)
            .then(|| format!(" {}-{} of {all} ", first.saturating_add(1), first.saturating_add(shown)))
    }
}

impl Ink {
    fn colour(self, colour: Color) -> Style {
        if self == Ink::Colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(crate) fn accent(self) -> Style {
        self.colour(Color::Cyan)
    }

    pub(crate) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    pub(crate) fn bad(self) -> Style {
        self.colour(Color::Red)
    }

    pub(crate) fn out(self) -> Style {
        self.colour(Color::Yellow)
    }

    pub(crate) fn back(self) -> Style {
        self.colour(Color::Blue)
    }

    pub(crate) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(crate) fn plane(self, name: &str) -> Style {
        match name {
            "inference" => self.colour(Color::Magenta),
            "tool" => self.colour(Color::Cyan),
            "update" => self.colour(Color::Yellow),
            "control" | "attestation" | "time" | "revocation" => self.colour(Color::Blue),
            _ => self.colour(Color::Green),
        }
    }
}

/// The selection's mark and a space.
pub(crate) const GUTTER: u16 = 2;
/// With the space at the right.
pub(crate) const MARGINS: u16 = 3;
const MOST_COUNTED: u64 = 99_999;
