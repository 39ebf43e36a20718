//! Whatever is parsed is printed as an expression that is parsed again, and printed the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use promql::ParseOptions;

fuzz_target!(|text: &str| {
    let options = ParseOptions::all();
    let Ok(expr) = promql::parse(text, &options) else { return };
    let printed = expr.to_string();
    let again = promql::parse(&printed, &options)
        .unwrap_or_else(|error| panic!("`{text}` is printed as `{printed}`, which is none: {error}"));
    assert_eq!(printed, again.to_string(), "`{text}`");
});
