//! Matchers that were read are written, and mean the same when they are read again.
#![no_main]

use alerting::{MatcherMode, matchers_text, parse_matchers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for mode in [MatcherMode::Fallback, MatcherMode::Utf8, MatcherMode::Classic] {
        let Ok(matchers) = parse_matchers(text, mode) else { continue };
        let written = matchers_text(&matchers);
        if let Ok(again) = parse_matchers(&written, MatcherMode::Utf8) {
            assert_eq!(written, matchers_text(&again), "{text:?}");
        }
    }
});
