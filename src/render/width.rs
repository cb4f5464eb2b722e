//! How many columns of a terminal text takes up.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns of `text`, which has no control characters: two for a wide character of East Asia and for most emoji, none
/// for a mark that is put on the character before it.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The longest beginning of `text` of at most `limit` columns.
pub fn beginning(text: &str, limit: usize) -> &str {
    let mut taken = 0;
    let end = text.char_indices().find(|(_, character)| {
        taken += character.width().unwrap_or(0);
        taken > limit
    });
    &text[..end.map_or(text.len(), |(position, _)| position)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns_and_marks_none() {
        let check = |text: &str, expected: usize| assert_eq!(width(text), expected, "{text}");
        check("", 0);
        check("backup", 6);
        check("caf\u{e9}", 4);
        check("cafe\u{301}", 4);
        check("Ωж…", 3);
        check("日本語", 6);
        check("한국", 4);
        check("🙂x", 3);
        check("ﾃｽﾄ", 3);
    }

    #[test]
    fn a_beginning_does_not_end_in_half_a_character() {
        let check = |text: &str, limit: usize, expected: &str| assert_eq!(beginning(text, limit), expected, "{text}");
        check("日本語", 6, "日本語");
        check("日本語", 5, "日本");
        check("日本語", 1, "");
        check("abc", 2, "ab");
        check("e\u{301}x", 1, "e\u{301}");
    }
}
