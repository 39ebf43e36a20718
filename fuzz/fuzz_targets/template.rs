//! A template is filled in or refused, in bounded time and memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::Timestamp;
use template::{PlainData, Templates, Trial};

fuzz_target!(|text: &str| {
    let Ok(templates) = Templates::parse::<&str, &str>(&[]) else { return };
    let labels = PlainData::map(vec![
        ("alertname".to_owned(), PlainData::text("Up")),
        ("Labels".to_owned(), PlainData::map(vec![("job".to_owned(), PlainData::text("a\nb"))])),
        (
            "Values".to_owned(),
            PlainData::list(vec![PlainData::int(1), PlainData::float(0.5), PlainData::text("x")]),
        ),
        ("At".to_owned(), PlainData::time(Timestamp::from_secs(1_700_000_000))),
    ]);
    for html in [false, true] {
        let trial = Trial { html, ..Trial::of(labels.clone()) };
        let _ = templates.try_text(text, &trial, Timestamp::from_secs(1_700_000_000));
    }
});
