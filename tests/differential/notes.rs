//! Notes and errors: what both sides say beside, or in place of, an answer. Texts and places have to be equal.
//!
//! What may differ is a table with reasons here, too: texts that changed after Prometheus 3.5.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::answer::Answer;

/// At most this many notes of a level are shown; which ones is chance.
const SHOWN_MAX: usize = 10;

/// A text that may be another one.
struct Change {
    reason: &'static str,
    /// Whether it may play a part in this expression.
    applies: fn(&str) -> bool,
    /// The text without what changed; `None` if it is left out altogether.
    without: fn(&str) -> Option<String>,
}

const CHANGES: &[Change] = &[
    Change {
        reason: "the note of repaired buckets tells bounds and times, and no name that is dropped (PR 15578, issue 16553)",
        applies: |expr| expr.contains("histogram_quantile"),
        without: |note| {
            let what = "PromQL info: input to histogram_quantile needed to be fixed for monotonicity";
            Some(if note.starts_with(what) { format!("{what} {}", place(note)) } else { note.to_owned() })
        },
    },
    Change {
        reason: "range queries warn of sort since 3.6",
        applies: |expr| expr.contains("sort"),
        without: |note| (!note.contains("sort is ineffective for range queries")).then(|| note.to_owned()),
    },
    Change {
        reason: "a metric name that is empty is no longer shown in the notes of bucket labels and of classic histograms",
        applies: |expr| expr.contains("histogram_"),
        without: |note| {
            let told = note.contains("bucket label \"le\"") || note.contains("classic and native histograms");
            Some(if told { note.replace(" for metric name \"\"", "") } else { note.to_owned() })
        },
    },
    Change {
        reason: "sort of 3.5 loses native histograms in a range query, and so what is said of them",
        applies: |expr| expr.contains("sort"),
        without: |note| (!note.contains("ignored histogram")).then(|| note.to_owned()),
    },
    Change {
        reason: "which series limitk and limit_ratio choose decides what is said",
        applies: |expr| expr.contains("limit"),
        without: |_| None,
    },
    Change {
        reason: "of a range that is a subquery Prometheus shows no place, but the first one",
        applies: |expr| expr.contains(':'),
        without: |note| Some(note.strip_suffix(place(note)).unwrap_or(note).to_owned()),
    },
];

/// `(LINE:COLUMN)` at the end.
fn place(note: &str) -> &str {
    note.rfind(" (").map_or("", |at| &note[at + 1..])
}

/// What came of comparing.
pub(crate) enum Verdict {
    Same,
    /// Different, for a reason.
    MayDiffer(&'static str),
    Differs(String),
}

/// Compares warnings and infos, or the errors if both fail.
pub(crate) fn compare(expr: &str, ours: &Answer, theirs: &Answer) -> Verdict {
    if ours.error.is_some() || theirs.error.is_some() {
        return errors(ours, theirs).map_or(Verdict::Same, Verdict::Differs);
    }
    let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
    let mut reason = None;
    let Some(first) = difference(&ours, &theirs) else { return Verdict::Same };
    for change in CHANGES {
        if !(change.applies)(expr) {
            continue;
        }
        let apply = |notes: &mut Vec<String>| {
            let changed: Vec<String> = notes.iter().filter_map(|note| (change.without)(note)).collect();
            let different = changed != *notes;
            *notes = changed;
            different
        };
        let mut applied = false;
        for answer in [&mut ours, &mut theirs] {
            applied |= apply(&mut answer.warnings);
            applied |= apply(&mut answer.infos);
        }
        if applied {
            reason = Some(change.reason);
        }
        if difference(&ours, &theirs).is_none() {
            break;
        }
    }
    match (difference(&ours, &theirs), reason) {
        (None, Some(reason)) => Verdict::MayDiffer(reason),
        (rest, _) => Verdict::Differs(rest.unwrap_or(first)),
    }
}

/// What is different in warnings and infos, or nothing.
fn difference(ours: &Answer, theirs: &Answer) -> Option<String> {
    level("warning", &ours.warnings, &theirs.warnings).or_else(|| level("info", &ours.infos, &theirs.infos))
}

fn level(name: &str, ours: &[String], theirs: &[String]) -> Option<String> {
    if ours.len() > SHOWN_MAX || theirs.len() > SHOWN_MAX {
        // The last one says how many are left out.
        let same = ours.len() == theirs.len() && ours.last() == theirs.last();
        return (!same).then(|| format!("{name}: {ours:?} here, {theirs:?} there"));
    }
    let set = |notes: &[String]| notes.iter().cloned().collect::<BTreeSet<String>>();
    let (ours, theirs) = (set(ours), set(theirs));
    if let Some(missing) = theirs.iter().find(|note| !ours.contains(*note)) {
        return Some(format!("only Prometheus has the {name} `{missing}`; here {ours:?}"));
    }
    let more = ours.iter().find(|note| !theirs.contains(*note));
    more.map(|note| format!("only Foghorn has the {name} `{note}`; there {theirs:?}"))
}

/// What is different in two errors, or nothing. Ours may go on behind their text with a hint and a place.
fn errors(ours: &Answer, theirs: &Answer) -> Option<String> {
    match (&ours.error, &theirs.error) {
        (Some(ours), Some(theirs)) => error_difference(ours, theirs),
        _ => None,
    }
}

fn error_difference(ours: &(String, String), theirs: &(String, String)) -> Option<String> {
    let same = ours.0 == theirs.0 && any_series(&ours.1).starts_with(&any_series(&theirs.1));
    (!same).then(|| format!("error {}: {}; there {}: {}", ours.0, ours.1, theirs.0, theirs.1))
}

/// The same for two answers in JSON, both of which are errors.
pub(crate) fn errors_of(ours: &Value, theirs: &Value) -> Option<String> {
    // Only some calls of Prometheus say which parameter is wrong.
    let error = |json: &Value| {
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        let error = text("error").replacen("invalid parameter \"match[]\": ", "", 1);
        (text("errorType"), error)
    };
    error_difference(&error(ours), &error(theirs))
}

/// The text with series left out: which of several is found first depends on the order in which they are stored.
fn any_series(error: &str) -> String {
    let mut text = String::new();
    let (mut depth, mut quoted) = (0, false);
    for c in error.chars() {
        quoted ^= c == '"' && depth > 0;
        match c {
            '{' if !quoted => depth += 1,
            '}' if !quoted => depth -= 1,
            _ if depth == 0 => text.push(c),
            _ => {}
        }
    }
    text
}
