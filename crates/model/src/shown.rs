//! What of a foreign text can be seen.

/// True for characters that move, reorder or hide text: Unicode's Cc, Cf, Zl, Zp, the invisible fillers and
/// the variation selectors.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::is_hidden;

    #[test]
    fn what_moves_or_hides_is_told_from_what_is_seen() {
        assert!(
            ['\n', '\u{1b}', '\u{9b}', '\u{202e}', '\u{200b}', '\u{e0041}', '\u{ad}']
                .into_iter()
                .all(is_hidden)
        );
        assert!(['a', ' ', 'ü', '漢', '🦀'].into_iter().all(|seen| !is_hidden(seen)));
    }
}
