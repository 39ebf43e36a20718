//! Matchers as routes, inhibition rules, silences and API filters write them.
//!
//! In: text. Out: [`Matcher`]s, or what is wrong and where. Two grammars: the newer one (`utf8`, any Unicode name, quoted
//! or bare) and the classic one. By default both read a text; the classic reading counts where the newer grammar refuses
//! it or the two disagree, so that files written for either keep their meaning.
//! Start at [`parse_matchers`].

mod classic;
mod utf8;

use model::{MatchOp, Matcher, MatcherError, is_legacy_label_name};

/// Which grammar reads matchers, and which label names are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MatcherMode {
    /// The newer grammar; the classic one where that refuses a text or reads it differently. The default.
    #[default]
    Fallback,
    /// Only the newer grammar.
    Utf8,
    /// Only the classic grammar, and only classic label names.
    Classic,
}

impl MatcherMode {
    /// Whether `name` may name a label.
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            MatcherMode::Classic => is_legacy_label_name(name),
            MatcherMode::Fallback | MatcherMode::Utf8 => !name.is_empty(),
        }
    }
}

/// A text that is not a list of matchers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherSyntaxError {
    /// The grammar does not allow it.
    #[error(
        "`{text}`: {what}; write matchers as `name=\"value\"` with `=`, `!=`, `=~` or `!~`, separated by commas"
    )]
    Syntax {
        /// The text that was read.
        text: String,
        /// Byte offset of the place.
        at: usize,
        /// What is wrong there.
        what: String,
    },
    /// A pattern is not a regular expression.
    #[error(transparent)]
    Pattern(#[from] MatcherError),
}

impl MatcherSyntaxError {
    /// Byte offset of the place in the text, if known.
    pub fn at(&self) -> Option<usize> {
        match self {
            MatcherSyntaxError::Syntax { at, .. } => Some(*at),
            MatcherSyntaxError::Pattern(_) => None,
        }
    }

    fn syntax(text: &str, at: usize, what: impl Into<String>) -> Self {
        MatcherSyntaxError::Syntax { text: text.to_owned(), at, what: what.into() }
    }
}

/// Reads `{a="b", c!~"d.*"}`: a list of matchers, braces optional, possibly empty, in the order written.
pub fn parse_matchers(text: &str, mode: MatcherMode) -> Result<Vec<Matcher>, MatcherSyntaxError> {
    read(text, mode, utf8::parse, classic::parse_list)
}

/// Reads exactly one matcher, as API filters give it.
pub fn parse_matcher(text: &str, mode: MatcherMode) -> Result<Matcher, MatcherSyntaxError> {
    let exactly_one = |text: &str| {
        let mut matchers = utf8::parse(text)?;
        match (matchers.pop(), matchers.len()) {
            (Some(matcher), 0) => Ok(matcher),
            (None, _) => Err(MatcherSyntaxError::syntax(text, 0, "no matcher")),
            (Some(_), more) => {
                Err(MatcherSyntaxError::syntax(text, 0, format!("expected 1 matcher, found {}", more + 1)))
            }
        }
    };
    read(text, mode, exactly_one, classic::parse_one)
}

fn read<T: PartialEq>(
    text: &str,
    mode: MatcherMode,
    utf8: impl Fn(&str) -> Result<T, MatcherSyntaxError>,
    classic: impl Fn(&str) -> Result<T, MatcherSyntaxError>,
) -> Result<T, MatcherSyntaxError> {
    match mode {
        MatcherMode::Utf8 => utf8(text),
        MatcherMode::Classic => classic(text),
        MatcherMode::Fallback => match (utf8(text), classic(text)) {
            (Ok(newer), Err(_)) => Ok(newer),
            (Err(error), Err(_)) => Err(error),
            // Equal, or a text of the classic grammar whose meaning must not change.
            (_, Ok(older)) => Ok(older),
        },
    }
}

/// The matcher of an entry in `match_re`: its text shows the anchors, as group keys and APIs always did.
pub fn match_re(name: &str, pattern: &str) -> Result<Matcher, MatcherError> {
    // Checked as it is written first: wrapping could make sense of `a)(b`.
    Matcher::for_alerts(name, MatchOp::Regex, pattern)?;
    Matcher::for_alerts(name, MatchOp::Regex, format!("^(?:{pattern})$"))
}

/// Sorts matchers by name, pattern and operator: the order of group keys.
pub fn sort_matchers(matchers: &mut [Matcher]) {
    matchers.sort_by(|a, b| (a.name(), a.pattern(), a.op()).cmp(&(b.name(), b.pattern(), b.op())));
}

/// A matcher as group keys write it: `name="value"`, the name quoted if it needs to be.
pub fn matcher_text(matcher: &Matcher) -> String {
    let (name, op, value) = (matcher.name(), matcher.op().as_str(), matcher.pattern());
    if name.contains(utf8::is_reserved) {
        format!("{}{op}{}", crate::group_key::go_quote(name), crate::group_key::go_quote(value))
    } else {
        let value = value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        format!("{name}{op}\"{value}\"")
    }
}

/// Matchers as group keys write them: `{a="b",c="d"}`.
pub fn matchers_text(matchers: &[Matcher]) -> String {
    let texts: Vec<String> = matchers.iter().map(matcher_text).collect();
    format!("{{{}}}", texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, mode: MatcherMode) -> String {
        match parse_matchers(text, mode) {
            Ok(matchers) => matchers_text(&matchers),
            Err(_) => "refused".to_owned(),
        }
    }

    #[test]
    fn reads_both_grammars() {
        for (text, utf8, classic, fallback) in [
            ("", "{}", "{}", "{}"),
            ("{}", "{}", "{}", "{}"),
            ("team=db", "{team=\"db\"}", "{team=\"db\"}", "{team=\"db\"}"),
            (
                "{team=\"db\", env!~'x',}",
                "refused",
                "{team=\"db\",env!~\"'x'\"}",
                "{team=\"db\",env!~\"'x'\"}",
            ),
            ("größe=\"1\"", "{größe=\"1\"}", "refused", "{größe=\"1\"}"),
            ("\"a b\"=~\"c|d\"", "{\"a b\"=~\"c|d\"}", "refused", "{\"a b\"=~\"c|d\"}"),
            ("a=\"\\x62\"", "{a=\"b\"}", "{a=\"\\\\x62\"}", "{a=\"\\\\x62\"}"),
            ("a=\"\\d+\"", "refused", "{a=\"\\\\d+\"}", "{a=\"\\\\d+\"}"),
            ("a=", "refused", "{a=\"\"}", "{a=\"\"}"),
            ("{a=b", "refused", "{a=\"b\"}", "{a=\"b\"}"),
            ("a=b}", "refused", "{a=\"b\"}", "{a=\"b\"}"),
            ("a=b c=d", "refused", "{a=\"b c=d\"}", "{a=\"b c=d\"}"),
            ("a=\"b\",,c=\"d\"", "refused", "refused", "refused"),
            ("a=\"b", "refused", "refused", "refused"),
            ("a=~\"(\"", "refused", "refused", "refused"),
            ("=b", "refused", "refused", "refused"),
            ("a!b", "refused", "refused", "refused"),
        ] {
            assert_eq!(shown(text, MatcherMode::Utf8), utf8, "{text}, utf8");
            assert_eq!(shown(text, MatcherMode::Classic), classic, "{text}, classic");
            assert_eq!(shown(text, MatcherMode::Fallback), fallback, "{text}, fallback");
        }
    }

    #[test]
    fn says_where() {
        let at = |text| parse_matchers(text, MatcherMode::Utf8).unwrap_err().at();
        assert_eq!(at("a=b, c"), Some(6));
        assert_eq!(at("{a=b"), Some(4));
        assert_eq!(at("a=\"b\" c"), Some(6));
        assert_eq!(at("ä!b"), Some(2));
    }

    #[test]
    fn wants_one_matcher_where_one_is_meant() {
        for text in ["", "{}", "a=b,c=d"] {
            assert!(parse_matcher(text, MatcherMode::Utf8).is_err(), "{text}");
        }
        assert_eq!(matcher_text(&parse_matcher("a!=\"x,y\"", MatcherMode::Fallback).unwrap()), "a!=\"x,y\"");
    }

    #[test]
    fn shows_the_anchors_of_match_re() {
        let matcher = match_re("owner", "a|b").unwrap();
        assert_eq!(matcher_text(&matcher), "owner=~\"^(?:a|b)$\"");
        assert!(matcher.matches("a") && !matcher.matches("ab"));
        assert!(match_re("owner", "a)(b").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[{}a-cä=!~\",\\\\ nx0-9\n]{0,24}") {
            for mode in [MatcherMode::Fallback, MatcherMode::Utf8, MatcherMode::Classic] {
                let _ = parse_matcher(&text, mode);
                let _ = parse_matchers(&text, mode);
            }
        }

        #[test]
        fn reads_what_it_writes(name in "[^\u{0}-\u{1f}]{1,8}", value in ".{0,8}") {
            let matcher = Matcher::equal(name, value);
            let text = matcher_text(&matcher);
            let read = parse_matchers(&text, MatcherMode::Utf8);
            proptest::prop_assert_eq!(read, Ok(vec![matcher]), "{}", text);
        }
    }
}
