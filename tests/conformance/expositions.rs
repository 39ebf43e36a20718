//! Scrape bodies: what is read from them, and what is refused.

use std::path::Path;

use exposition::{
    BucketMessage, BucketSpanMessage, Entry, Exemplar, Format, HistogramMessage, MetricFamilyMessage,
    MetricMessage, Options, Protocol, SampleEntry, check_openmetrics, check_text, choose_format,
    encode_families, parse,
};
use model::{Histogram, Labels, SampleValue};
use serde_json::Value;

use crate::{Report, bytes_of, read_json};

const AREA: &str = "exposition";

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let mut table = |name: &str, check: &dyn Fn(&Value) -> Result<(), String>| {
        let file = read_json(&corpus.join(AREA).join(format!("{name}.json")));
        for case in file.as_ref().and_then(|file| file["cases"].as_array()).into_iter().flatten() {
            report.case(AREA, name, case["id"].as_str().unwrap_or_default(), || check(case));
        }
    };
    table("content_type_selection", &content_type);
    table("histogram_scrape_options_matrix", &histogram_options);
    table("openmetrics_suite", &|case| validity(case, check_openmetrics(&bytes_of(&case["input"]))));
    table("strict_text_errors", &|case| validity(case, check_text(&bytes_of(&case["input"]))));
    table("text_documents_errors", &|case| {
        let bytes = bytes_of(&case["input"]);
        let format = match case["format"].as_str() {
            Some("openmetrics") => Format::OpenMetrics,
            _ => Format::PrometheusText,
        };
        let outcome = parse(&bytes, format, &Options::default()).find_map(Result::err).map_or(Ok(()), Err);
        validity(case, outcome)
    });
    table("text_documents_valid", &document);
}

fn validity<E: std::fmt::Display>(case: &Value, outcome: Result<(), E>) -> Result<(), String> {
    match (outcome, case["valid"].as_bool()) {
        (Ok(()), Some(true)) | (Err(_), Some(false)) => Ok(()),
        (Ok(()), _) => Err(format!("accepted {}", case["input"])),
        (Err(error), _) => Err(format!("refused {}: {error}", case["input"])),
    }
}

fn content_type(case: &Value) -> Result<(), String> {
    let fallback = match case["fallback_scrape_protocol"].as_str() {
        Some(name) => Some(Protocol::from_name(name).ok_or_else(|| format!("no protocol `{name}`"))?),
        None => None,
    };
    let (format, problem) = choose_format(case["content_type"].as_str().unwrap_or_default(), fallback);
    let name = format.map(|format| match format {
        Format::PrometheusText => "prometheus-text",
        Format::OpenMetrics => "openmetrics",
        Format::Protobuf => "protobuf",
    });
    if name != case["parser"].as_str() || problem.is_some() != case["error_contains"].is_string() {
        return Err(format!("got {name:?} with {problem:?}"));
    }
    Ok(())
}

fn histogram_options(case: &Value) -> Result<(), String> {
    let exposed = case["exposed"].as_str().unwrap_or_default();
    let mut histogram =
        HistogramMessage { sample_count: Some(3), sample_sum: Some(2.5), ..HistogramMessage::default() };
    if exposed.contains("classic") {
        histogram.bucket = [(1.0, 1), (2.0, 3)]
            .map(|(bound, count)| BucketMessage {
                upper_bound: Some(bound),
                cumulative_count: Some(count),
                ..BucketMessage::default()
            })
            .to_vec();
    }
    if exposed.contains("exponential") {
        histogram.schema = Some(3);
        histogram.positive_span = vec![BucketSpanMessage { offset: Some(0), length: Some(2) }];
        histogram.positive_delta = vec![1, 1];
    }
    let body = encode_families(&[MetricFamilyMessage {
        name: Some("h".to_owned()),
        kind: Some(4),
        metric: vec![MetricMessage { histogram: Some(histogram), ..MetricMessage::default() }],
        ..MetricFamilyMessage::default()
    }]);
    let option = |name: &str| case[name].as_bool().unwrap_or_default();
    let options = Options {
        keep_classic: option("always_scrape_classic_histograms"),
        convert_classic: option("convert_classic_histograms_to_nhcb"),
        ..Options::default()
    };
    let (mut classic, mut exponential, mut custom) = (false, false, false);
    for entry in parse(&body, Format::Protobuf, &options) {
        if let Entry::Sample(sample) = entry.map_err(|error| error.to_string())? {
            match sample.value {
                SampleValue::Float(_) => classic = true,
                SampleValue::Histogram(histogram) if histogram.schema == -53 => custom = true,
                SampleValue::Histogram(_) => exponential = true,
            }
        }
    }
    let wanted = ["expect_classic", "expect_exponential", "expect_custom_buckets"].map(option);
    if [classic, exponential, custom] == wanted {
        Ok(())
    } else {
        Err(format!("got {:?}, wanted {wanted:?}", [classic, exponential, custom]))
    }
}

fn document(case: &Value) -> Result<(), String> {
    let (format, problem) = choose_format(case["content_type"].as_str().unwrap_or_default(), None);
    let format = format.ok_or_else(|| format!("{problem:?}"))?;
    let asks = |text: &str| {
        case["options"]
            .as_array()
            .is_some_and(|all| all.iter().any(|o| o.as_str().is_some_and(|o| o.contains(text))))
    };
    let options = Options {
        start_times: asks("start timestamps"),
        convert_classic: asks("converted to native"),
        keep_classic: asks("classic histograms are kept") || asks("also kept"),
        ..Options::default()
    };
    let bytes = bytes_of(&case["input"]);
    let got =
        parse(&bytes, format, &options).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let wanted = case["entries"].as_array().map_or(&[][..], Vec::as_slice);
    for (number, (got, wanted)) in got.iter().zip(wanted).enumerate() {
        same_entry(got, wanted)
            .map_err(|why| format!("entry {number}: {why}; got {got:?}, wanted {wanted}"))?;
    }
    if got.len() == wanted.len() {
        Ok(())
    } else {
        Err(format!("got {} entries, wanted {}", got.len(), wanted.len()))
    }
}

fn same_entry(got: &Entry<'_>, wanted: &Value) -> Result<(), String> {
    // What a case does not name is not asserted, but the kind of an entry always is.
    let kind = ["raw", "type", "help", "unit", "comment"].into_iter().find(|key| !wanted[*key].is_null());
    let says = |key: &str, got: &str| wanted[key].as_str().is_none_or(|wanted| wanted == got);
    let metadata = |key: &str, family: &str, value: &str| {
        kind.is_none_or(|kind| kind == key) && wanted["metric"].as_str() == Some(family) && says(key, value)
    };
    let same = match got {
        Entry::Type { family, kind } => metadata("type", family, kind.as_str()),
        Entry::Help { family, help } => metadata("help", family, help),
        Entry::Unit { family, unit } => metadata("unit", family, unit),
        Entry::Comment(comment) => wanted["comment"].as_str().map(str::as_bytes) == Some(comment),
        Entry::Sample(_) if kind != Some("raw") => false,
        Entry::Sample(sample) => return same_sample(sample, wanted),
    };
    same.then_some(()).ok_or_else(|| "differs".to_owned())
}

fn same_sample(got: &SampleEntry<'_>, wanted: &Value) -> Result<(), String> {
    // Where the corpus names no labels, the identity as it is written is what is asserted.
    if !wanted["labels"].is_object() {
        return same("series", got.series.as_ref(), wanted["raw"].as_str().unwrap_or_default());
    }
    same("labels", got.labels().map_err(|error| error.to_string())?, labels_of(&wanted["labels"]))?;
    let millis = |key: &str| wanted[key].as_i64();
    same("timestamp", got.at.map(|at| at.as_millis()), millis("timestamp_ms"))?;
    same("start", got.start.map(|at| at.as_millis()), millis("start_timestamp_ms"))?;
    same("exemplars", got.exemplars(), exemplars_of(&wanted["exemplars"]))?;
    match &got.value {
        SampleValue::Float(value) => {
            let number = number_of(&wanted["value"]).ok_or("a histogram was wanted")?;
            if *value == number || (value.is_nan() && number.is_nan()) {
                Ok(())
            } else {
                Err(format!("value {value}, wanted {number}"))
            }
        }
        SampleValue::Histogram(histogram) => {
            let deltas = wanted["histogram_kind"].as_str().is_some_and(|kind| kind.contains("deltas"));
            same("histogram", histogram.as_ref(), &histogram_of(&wanted["histogram"], deltas))
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{what} {got:?}, wanted {wanted:?}")) }
}

fn number_of(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| model::parse_float(value.as_str()?))
}

fn labels_of(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default())).collect()
}

fn exemplars_of(value: &Value) -> Vec<Exemplar> {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .map(|exemplar| Exemplar {
            labels: labels_of(&exemplar["labels"]),
            value: number_of(&exemplar["value"]).unwrap_or_default(),
            at: exemplar["timestamp_ms"].as_i64().map(model::Timestamp::from_millis),
        })
        .collect()
}

fn histogram_of(value: &Value, deltas: bool) -> Histogram {
    let numbers = |key: &str| -> Vec<f64> {
        value[key].as_array().into_iter().flatten().filter_map(number_of).collect()
    };
    let buckets = |key: &str| -> Vec<f64> {
        let mut sum = 0.0;
        let absolute = numbers(key).into_iter().map(|number| {
            sum = if deltas { sum + number } else { number };
            sum
        });
        absolute.collect()
    };
    let spans = |key: &str| {
        let list = value[key].as_array().into_iter().flatten();
        let span = |span: &Value| model::BucketSpan {
            offset: span[0].as_i64().unwrap_or_default() as i32,
            length: span[1].as_u64().unwrap_or_default() as u32,
        };
        list.map(span).collect()
    };
    let number = |key: &str| number_of(&value[key]).unwrap_or_default();
    Histogram {
        schema: value["schema"].as_i64().unwrap_or_default() as i32,
        zero_threshold: number("zero_threshold"),
        zero_count: number("zero_count"),
        count: number("count"),
        sum: number("sum"),
        positive_spans: spans("positive_spans"),
        positive_buckets: buckets("positive_buckets"),
        negative_spans: spans("negative_spans"),
        negative_buckets: buckets("negative_buckets"),
        custom_values: numbers("custom_values"),
        ..Histogram::default()
    }
}
