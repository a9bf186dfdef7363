//! What of a stranger's text may reach a terminal.

use std::borrow::Cow;

/// `text` with every character that a terminal acts upon, or that reorders its neighbours, shown as `�`.
///
/// A torrent's name may hold escape sequences that rename the window or worse, and bidirectional overrides
/// that make `exe.txt` read `txt.exe`.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unsafe) {
        text.chars().map(|c| if is_unsafe(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
    } else {
        Cow::Borrowed(text)
    }
}

/// Controls, bidirectional marks, line separators, invisible fillers, tags.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_move_the_cursor_or_turn_itself_around() {
        assert_eq!(printable("\x1b]0;mine\x07.iso"), "�]0;mine�.iso");
        assert_eq!(printable("photo\u{202e}gpj.exe"), "photo�gpj.exe");
        assert_eq!(printable("two\nlines\u{9b}"), "two�lines�");
    }

    #[test]
    fn every_script_is_left_as_it_is() {
        for name in ["日本語.txt", "می‌خواهم", "Ünïcödé", "👩‍🚀.png", "عربى"] {
            assert_eq!(printable(name), name);
        }
    }
}
