//! Text in columns. Everything that is shown passes through [`fit`], so no text from elsewhere moves the cursor, hides,
//! changes its direction, or takes more room than its column has.

use claw_ledger::show;
use ratatui::text::Span;

use crate::print;

/// One column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    /// Its heading.
    pub(crate) title: &'static str,
    /// The least it takes.
    pub(crate) width: u16,
    /// Its share of what is left over.
    pub(crate) grow: u16,
    /// Where its text stands.
    pub(crate) side: Side,
    /// When it goes if the room is too small: the highest first; 0 never.
    pub(crate) drop: u8,
}

/// Where a text stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// At the left; cut at its end.
    Left,
    /// At the left; cut in its middle: the end of a host name says whose it is.
    Middle,
    /// At the right.
    Right,
}

/// A column that has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the columns.
    pub(crate) index: usize,
    /// Where it begins.
    pub(crate) start: u16,
    /// What it takes.
    pub(crate) width: u16,
    /// Where its text stands.
    pub(crate) side: Side,
}

/// Gives columns their places; what does not fit is dropped.
pub(crate) fn places(columns: &[Column], width: u16) -> Vec<Place> {
    let mut kept: Vec<(usize, Column)> = columns.iter().copied().enumerate().collect();
    while least(&kept) > width {
        let last = kept.iter().map(|(_, column)| column.drop).max().unwrap_or_default();
        if last == 0 {
            break;
        }
        kept.retain(|(_, column)| column.drop != last);
    }
    let shares: u16 = kept.iter().map(|(_, column)| column.grow).sum();
    let spare = width.saturating_sub(least(&kept));
    let (mut start, mut left) = (0_u16, spare);
    let mut places = Vec::with_capacity(kept.len());
    for (index, column) in kept {
        let more = (spare.saturating_mul(column.grow)).checked_div(shares).unwrap_or_default().min(left);
        left = left.saturating_sub(more);
        let width = column.width.saturating_add(more).min(width.saturating_sub(start));
        places.push(Place { index, start, width, side: column.side });
        start = start.saturating_add(width).saturating_add(GAP);
    }
    places
}

/// Whether every column has the least it takes.
pub(crate) fn fits(columns: &[Column], width: u16) -> bool {
    let all: Vec<(usize, Column)> = columns.iter().copied().enumerate().collect();
    least(&all) <= width
}

fn least(columns: &[(usize, Column)]) -> u16 {
    let gaps = u16::try_from(columns.len().saturating_sub(1)).unwrap_or(u16::MAX).saturating_mul(GAP);
    columns.iter().map(|(_, column)| column.width).fold(gaps, u16::saturating_add)
}

/// Text that is as wide as its place.
pub(crate) fn padded(text: &str, place: Place) -> String {
    let text = match place.side {
        Side::Middle => fit_middle(text, place.width),
        Side::Left | Side::Right => fit(text, place.width),
    };
    let space = " ".repeat(usize::from(place.width.saturating_sub(width(&text))));
    if place.side == Side::Right { format!("{space}{text}") } else { format!("{text}{space}") }
}

/// Text in at most this width; an ellipsis tells that its end is missing.
pub(crate) fn fit(text: &str, room: u16) -> String {
    let text = clean(text);
    if width(&text) <= room {
        return text;
    }
    let mut kept = head(&text, room.saturating_sub(1));
    if room > 0 {
        kept.push('…');
    }
    kept
}

/// The same; a third of the beginning and the end are kept.
fn fit_middle(text: &str, room: u16) -> String {
    let text = clean(text);
    if width(&text) <= room {
        return text;
    }
    let begin = head(&text, room.saturating_sub(1) / 3);
    let rest = room.saturating_sub(1).saturating_sub(width(&begin));
    let backwards: String = text.chars().rev().collect();
    let end: String = head(&backwards, rest).chars().rev().collect();
    if room == 0 { String::new() } else { format!("{begin}…{end}") }
}

/// Text as lines of at most this width, at most so many.
pub(crate) fn wrapped(text: &str, room: u16, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = clean(text);
    while !rest.is_empty() && room > 1 && lines.len() < most {
        if lines.len().saturating_add(1) == most {
            lines.push(fit(&rest, room));
            break;
        }
        let mut line = head(&rest, room);
        // between words, unless that leaves most of the line empty
        if line.len() < rest.len()
            && let Some((words, _)) = line.rsplit_once(' ')
            && width(words) > room / 2
        {
            line = format!("{words} ");
        }
        rest = rest.chars().skip(line.chars().count()).collect();
        lines.push(line);
    }
    lines
}

/// Columns a text takes: the sum of its characters, none of which joins another.
pub(crate) fn width(text: &str) -> u16 {
    text.chars().map(wide).fold(0, u16::saturating_add)
}

/// Text without characters that move the cursor, reorder or hide text, or join the one before.
pub(crate) fn clean(text: &str) -> String {
    print::plain(text)
        .chars()
        .map(|character| {
            let shows = character != '\n' && show::is_visible(character) && wide(character) > 0;
            if shows { character } else { '\u{fffd}' }
        })
        .collect()
}

fn head(text: &str, room: u16) -> String {
    let mut used = 0_u16;
    text.chars()
        .take_while(|&character| {
            used = used.saturating_add(wide(character));
            used <= room
        })
        .collect()
}

fn wide(character: char) -> u16 {
    let mut bytes = [0; 4];
    let text: &str = character.encode_utf8(&mut bytes);
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}

const GAP: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_hides() {
        let check = |text, expect: &str| assert_eq!(clean(text), expect);
        check("evil.test", "evil.test");
        check("a\u{1b}[2J\r\n\tb", "a\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}b");
        check("a\u{202e}b\u{200b}c\u{2028}\u{9b}", "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}");
        check("e\u{301}", "e\u{fffd}");
        check("語🦀", "語🦀");
    }

    #[test]
    fn text_is_cut_to_its_room() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdefg", 6), "abcde…");
        assert_eq!(fit("語語語", 4), "語…");
        assert_eq!((fit("ab", 1), fit("ab", 0)), ("…".to_owned(), String::new()));
        assert_eq!(fit_middle("api.openai.com.evil.test:443", 16), "api.o…l.test:443");
        assert_eq!(wrapped("abcdefgh", 3, 5), ["abc", "def", "gh"]);
        assert_eq!(wrapped("abcd efgh", 7, 5), ["abcd ", "efgh"]);
        assert_eq!(wrapped("a bcdefgh", 7, 5), ["a bcdef", "gh"]);
        assert_eq!(wrapped("abcdefgh", 3, 2), ["abc", "de…"]);
    }

    #[test]
    fn a_narrow_screen_drops_columns() {
        let column = |width, grow, drop| Column { title: "", width, grow, side: Side::Left, drop };
        let columns = [column(10, 1, 0), column(5, 0, 2), column(5, 0, 1)];
        let check = |width, expect: &[(usize, u16, u16)]| {
            let places = places(&columns, width);
            let found: Vec<_> = places.iter().map(|place| (place.index, place.start, place.width)).collect();
            assert_eq!(found, expect, "{width}");
        };
        check(30, &[(0, 0, 18), (1, 19, 5), (2, 25, 5)]);
        check(22, &[(0, 0, 10), (1, 11, 5), (2, 17, 5)]);
        check(21, &[(0, 0, 15), (2, 16, 5)]);
        check(12, &[(0, 0, 12)]);
        check(4, &[(0, 0, 4)]);
    }
}
