//! Capital and small letters, as the functions of templates change them: character by character, where a standard
//! library would write `SS` for `ß`.

/// The capital of a character, if that is one character.
fn upper(c: char) -> char {
    // Capitals with a small iota below are one character here, and two in full case mapping.
    match c {
        '\u{1f80}'..='\u{1faf}' => return char::from_u32(c as u32 | 8).unwrap_or(c),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => return char::from_u32(c as u32 + 9).unwrap_or(c),
        _ => {}
    }
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

/// The small form of a character.
fn lower(c: char) -> char {
    if c == '\u{130}' { 'i' } else { c.to_lowercase().next().unwrap_or(c) }
}

/// The form at the start of a word, where the rest is small: it differs from the capital for letters that are two.
fn title(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has capitals, but does not start words with them.
        '\u{10d0}'..='\u{10ff}' => c,
        _ => upper(c),
    }
}

/// A text in capitals.
pub(crate) fn to_upper(text: &str) -> String {
    text.chars().map(upper).collect()
}

/// A text in small letters.
pub(crate) fn to_lower(text: &str) -> String {
    text.chars().map(lower).collect()
}

/// Every word with a capital first letter; the other letters as they are.
pub(crate) fn capitals_first(text: &str) -> String {
    titled(text, false)
}

/// Every word with a capital first letter and small other letters.
pub(crate) fn title_words(text: &str) -> String {
    titled(text, true)
}

fn titled(text: &str, small: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_word, mut after_joiner) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let joiner = joins(c);
        in_word &= !(after_joiner && joiner);
        after_joiner = joiner;
        if !is_cased(c) {
            out.push(c);
            in_word &= !ends_word(c);
            continue;
        }
        if !in_word {
            start_word(c, &mut out);
        } else if !small {
            out.push(c);
        } else if c == 'Σ' && !chars.peek().is_some_and(|next| next.is_alphabetic()) {
            out.push('ς');
        } else {
            out.extend(c.to_lowercase());
        }
        in_word = true;
    }
    out
}

/// The first letter of a word; one that has no capital becomes a capital and small letters: `Ss`.
fn start_word(c: char, out: &mut String) {
    let capital = title(c);
    let full = c.to_uppercase();
    if capital != c || full.len() == 1 {
        out.push(capital);
        return;
    }
    for (i, part) in full.enumerate() {
        // The apostrophe of `ŉ` stands before its letter.
        if i == 0 || c == 'ŉ' {
            out.push(part);
        } else {
            out.extend(part.to_lowercase());
        }
    }
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || matches!(c, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}')
}

/// Between two letters it is a part of the word: `don't`, `e.g`.
fn joins(c: char) -> bool {
    matches!(
        c,
        '\'' | '.'
            | ':'
            | '·'
            | '\u{387}'
            | '\u{55f}'
            | '\u{5f4}'
            | '\u{2018}'
            | '\u{2019}'
            | '\u{2024}'
            | '\u{2027}'
            | '\u{fe13}'
            | '\u{fe52}'
            | '\u{fe55}'
            | '\u{ff07}'
            | '\u{ff0e}'
            | '\u{ff1a}'
    )
}

/// Whether a character without case ends a word.
fn ends_word(c: char) -> bool {
    // Scripts that write words without spaces between them.
    let words_unmarked = matches!(c as u32, 0xe00..=0xeff | 0x2e80..=0x30ff | 0x3400..=0x9fff | 0x20000..);
    let marks = matches!(c as u32, 0x300..=0x36f | 0x200c..=0x200f | 0xfe00..=0xfe0f);
    let connects = matches!(c, '_' | '\u{203f}' | '\u{2040}' | '\u{2054}');
    words_unmarked || !(c.is_alphanumeric() || marks || connects || joins(c))
}
