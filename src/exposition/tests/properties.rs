//! Nothing that is read makes a panic, and what is written can be read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use exposition::{
    Entry, Family, FamilySample, Format, Options, check_openmetrics, check_text, parse, write_openmetrics,
    write_text,
};
use model::{Labels, Metadata, MetricType, Timestamp};
use proptest::prelude::*;

/// Text that is made of what the formats are made of.
fn almost_exposition() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("# HELP "),
        Just("# TYPE "),
        Just("# UNIT "),
        Just("# EOF"),
        Just("#"),
        Just("\n"),
        Just(" "),
        Just("\t"),
        Just("counter"),
        Just("histogram"),
        Just("summary"),
        Just("m"),
        Just("m_bucket"),
        Just("m_created"),
        Just("m_total"),
        Just("{"),
        Just("}"),
        Just("\""),
        Just("le"),
        Just("="),
        Just(","),
        Just("\\"),
        Just("\\n"),
        Just("1"),
        Just("+Inf"),
        Just("NaN"),
        Just("-0.5e3"),
        Just("0x1"),
        Just("ü"),
        Just("\0"),
        Just(" # {"),
        Just("m{le=\"1\"} 2\n"),
        Just("# TYPE m histogram\n"),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn read_everything(bytes: &[u8]) {
    for format in [Format::PrometheusText, Format::OpenMetrics, Format::Protobuf] {
        for bits in 0..16 {
            let options = Options {
                native_histograms: bits & 1 != 0,
                keep_classic: bits & 2 != 0,
                convert_classic: bits & 4 != 0,
                start_times: bits & 8 != 0,
            };
            for entry in parse(bytes, format, &options) {
                if let Ok(Entry::Sample(sample)) = entry {
                    let _ = (sample.labels(), sample.empty_labels(), sample.exemplars());
                }
            }
        }
    }
    let _ = (check_text(bytes), check_openmetrics(bytes));
}

fn family() -> impl Strategy<Value = Family> {
    let value = prop_oneof![any::<f64>(), Just(0.0), Just(1e6), Just(-1e-9)];
    let labels = proptest::collection::btree_map("[a-z_. ü]{1,4}", ".{1,4}", 0..4);
    let sample = (labels, value, proptest::option::of(0i64..4_000_000_000_000));
    let samples = proptest::collection::vec(sample, 1..5);
    ("[a-z][a-z_.:]{0,5}", "\\PC{0,8}", samples).prop_map(|(name, help, samples)| Family {
        samples: samples
            .into_iter()
            .map(|(labels, value, at)| FamilySample {
                labels: Labels::from_pairs(labels).with("__name__", &name),
                // Any NaN reads back as one NaN.
                value: if value.is_nan() { f64::NAN } else { value },
                at: at.map(Timestamp::from_millis),
            })
            .collect(),
        metadata: Metadata { kind: MetricType::Gauge, help, unit: String::new() },
        name,
    })
}

/// What is read back, in the form that was written.
fn read_back(text: &str, format: Format) -> Vec<FamilySample> {
    let entries = parse(text.as_bytes(), format, &Options::default());
    entries
        .filter_map(|entry| match entry.unwrap() {
            Entry::Sample(sample) => Some(FamilySample {
                labels: sample.labels().unwrap(),
                value: sample.value.as_float().unwrap(),
                at: sample.at,
            }),
            _ => None,
        })
        .collect()
}

fn same(got: &[FamilySample], wanted: &[FamilySample]) -> bool {
    got.len() == wanted.len()
        && got.iter().zip(wanted).all(|(got, wanted)| {
            got.labels == wanted.labels
                && got.at == wanted.at
                && got.value.to_bits() == wanted.value.to_bits()
        })
}

/// `# HELP` without a name, `# TYPE` without a name or a type. The strict reading passes over such a line, as
/// client_golang does; a scrape fails on it, as a scrape by Prometheus does.
fn is_unfinished_metadata(line: &str) -> bool {
    let blank = |c: char| c == ' ' || c == '\t';
    let Some(comment) = line.trim_start_matches(blank).strip_prefix('#') else { return false };
    let words: Vec<&str> = comment.split(blank).filter(|word| !word.is_empty()).collect();
    matches!(words[..], ["HELP"] | ["TYPE"] | ["TYPE", _])
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_everything(&bytes);
    }

    #[test]
    fn almost_expositions_are_read_or_refused(text in almost_exposition()) {
        read_everything(text.as_bytes());
    }

    #[test]
    fn what_the_strict_reading_accepts_the_lax_one_reads(text in almost_exposition()) {
        let finished = !text.lines().any(is_unfinished_metadata);
        for (format, accepted) in [
            (Format::PrometheusText, check_text(text.as_bytes()).is_ok()),
            (Format::OpenMetrics, check_openmetrics(text.as_bytes()).is_ok()),
        ] {
            if accepted && finished {
                prop_assert!(parse(text.as_bytes(), format, &Options::default()).all(|entry| entry.is_ok()));
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(family in family()) {
        let families = [family];
        let text = write_text(&families);
        prop_assert!(same(&read_back(&text, Format::PrometheusText), &families[0].samples), "{}", text);
        prop_assert!(check_text(text.as_bytes()).is_ok(), "{}: {:?}", text, check_text(text.as_bytes()));
        let text = write_openmetrics(&families);
        let read = read_back(&text, Format::OpenMetrics);
        prop_assert!(same(&read, &families[0].samples), "{}", text);
    }
}
