//! Text tables: what people write, and what comes out.

mod html;
mod language;
mod layout;
mod messages;
mod printf;
mod robust;
mod rules;

use model::Timestamp;

use crate::{PlainData, RuleEnv, Trial, try_rule_text};

/// 2024-03-05 07:08:09.012 UTC, a Tuesday.
const NOW: Timestamp = Timestamp::from_millis(1_709_622_489_012);

/// A text with the functions of rules, about a list, a map and a few plain values.
fn expand(text: &str) -> Result<String, String> {
    let data = PlainData::map(vec![
        ("n".to_owned(), PlainData::int(3)),
        ("f".to_owned(), PlainData::float(2.5)),
        ("s".to_owned(), PlainData::text("a \"b\" <c>")),
        ("empty".to_owned(), PlainData::text("")),
        ("list".to_owned(), PlainData::list(["x", "y", "z"].map(PlainData::text).to_vec())),
        ("none".to_owned(), PlainData::list(Vec::new())),
        (
            "labels".to_owned(),
            PlainData::text_map(vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]),
        ),
        ("t".to_owned(), PlainData::time(NOW)),
    ]);
    expand_with(text, Trial::of(data))
}

fn expand_with(text: &str, trial: Trial) -> Result<String, String> {
    let mut query = |_: &str| Ok(Vec::new());
    try_rule_text(text, &trial, &mut RuleEnv { now: NOW, query: &mut query })
        .map_err(|error| error.to_string())
}

/// Each text gives what stands beside it; `!` before a text: an error that holds it.
fn table(cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        match (expand(text), wanted.strip_prefix('!')) {
            (Ok(got), None) => assert_eq!(got, *wanted, "{text}"),
            (Err(error), Some(part)) => {
                assert!(error.contains(part), "{text}\n  fails with {error}\n  not with {part}")
            }
            (got, _) => panic!("{text}\n  gives {got:?}\n  wanted {wanted:?}"),
        }
    }
}
