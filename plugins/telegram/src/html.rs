//! HTML as Telegram reads it: a few tags, and characters written as `&lt;` or `&#34;`.

/// A piece of a text.
enum Piece<'a> {
    /// What stands between `<` and `>`.
    Tag(&'a str),
    /// One character, as it is written.
    Character(&'a str),
}

/// The pieces of a text, each with where it begins.
fn pieces(text: &str) -> impl Iterator<Item = (usize, Piece<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (begin, rest) = (at, &text[at..]);
        let first = rest.chars().next()?;
        let tag = rest.strip_prefix('<').and_then(|behind| behind.split_once('>')).map(|(tag, _)| tag);
        if let Some(tag) = tag {
            at += tag.len() + 2;
            return Some((begin, Piece::Tag(tag)));
        }
        let length = entity(rest).unwrap_or(first.len_utf8());
        at += length;
        Some((begin, Piece::Character(&rest[..length])))
    })
}

/// The length of `&name;` at the beginning of a text.
fn entity(text: &str) -> Option<usize> {
    let name = text.strip_prefix('&')?.split_once(';')?.0;
    let is_name = name.starts_with(|c: char| c == '#' || c.is_ascii_alphabetic())
        && name[1..].bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_name && name.len() <= 8).then_some(name.len() + 2)
}

/// At most `limit` characters, as Telegram counts them: without tags. The last is `…` if something was cut off, and what is
/// open there is closed.
pub(crate) fn truncate(text: &str, limit: usize) -> String {
    let (mut count, mut open, mut cut) = (0, Vec::new(), None);
    for (begin, piece) in pieces(text) {
        match piece {
            Piece::Tag(tag) if tag.starts_with('/') => drop(open.pop()),
            Piece::Tag(tag) => open.push(tag.split_whitespace().next().unwrap_or_default()),
            Piece::Character(_) => {
                count += 1;
                if count == limit {
                    cut = Some((begin, open.clone()));
                }
            }
        }
        if let Some((end, open)) = cut.as_ref().filter(|_| count > limit) {
            let closed: String = open.iter().rev().map(|name| format!("</{name}>")).collect();
            return format!("{}…{closed}", &text[..*end]);
        }
    }
    text.to_owned()
}

/// The text without tags.
pub(crate) fn plain(text: &str) -> String {
    pieces(text)
        .filter_map(|(_, piece)| match piece {
            Piece::Tag(_) => None,
            Piece::Character(written) => Some(decoded(written)),
        })
        .collect()
}

fn decoded(written: &str) -> String {
    let name = written.strip_prefix('&').and_then(|rest| rest.strip_suffix(';')).unwrap_or_default();
    let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    });
    match name {
        "lt" => "<".to_owned(),
        "gt" => ">".to_owned(),
        "amp" => "&".to_owned(),
        "quot" => "\"".to_owned(),
        _ => number.and_then(char::from_u32).map_or_else(|| written.to_owned(), String::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_cut_between_characters_and_closed() {
        for (text, limit, expected) in [
            ("<b>abc</b>", 3, "<b>abc</b>"),
            ("<b>abcd</b>", 3, "<b>ab…</b>"),
            ("<b>a<i class='x'>bcd</i></b>", 3, "<b>a<i class='x'>b…</i></b>"),
            ("<b>a</b>bcd", 3, "<b>a</b>b…"),
            ("&lt;&#34;&gt;", 3, "&lt;&#34;&gt;"),
            ("&lt;&#34;&gt;é", 3, "&lt;&#34;…"),
            ("a & b; c", 4, "a &…"),
            ("a < b", 4, "a <…"),
            ("", 4, ""),
        ] {
            assert_eq!(truncate(text, limit), expected, "{text} {limit}");
        }
    }

    #[test]
    fn is_read_as_text() {
        for (text, expected) in [
            ("<b>a</b> &lt; &amp;lt; &#34;&#x27;&nbsp;", "a < &lt; \"'&nbsp;"),
            ("1 < 2 & 3", "1 < 2 & 3"),
            ("&#1114112; &; &", "&#1114112; &; &"),
        ] {
            assert_eq!(plain(text), expected);
        }
    }
}
