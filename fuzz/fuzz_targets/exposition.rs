//! A page of a target is read or refused.
#![no_main]

use exposition::{Format, Options, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, body)) = bytes.split_first() else { return };
    let format = match choice % 3 {
        0 => Format::PrometheusText,
        1 => Format::OpenMetrics,
        _ => Format::Protobuf,
    };
    let options = Options {
        native_histograms: choice & 4 != 0,
        keep_classic: choice & 8 != 0,
        convert_classic: choice & 16 != 0,
        start_times: choice & 32 != 0,
    };
    for entry in parse(body, format, &options) {
        if let Ok(exposition::Entry::Sample(sample)) = entry {
            let _ = sample.labels();
        }
    }
    let _ = exposition::check_text(body);
    let _ = exposition::check_openmetrics(body);
});
