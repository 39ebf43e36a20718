//! Families → text.

use std::fmt::Write as _;

use model::{Labels, METRIC_NAME, MetricType, is_legacy_label_name, is_legacy_metric_name};

use crate::number::{format_float_always, format_number};
use crate::{Family, FamilySample};

/// The `Content-Type` of [`write_text`].
pub const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The `Content-Type` of [`write_openmetrics`].
pub const OPENMETRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The Prometheus text format. Names outside the classic character set are quoted.
pub fn write_text(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families {
        let name = quoted_name(&family.name);
        if !family.metadata.help.is_empty() {
            let help = family.metadata.help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = writeln!(out, "# HELP {name} {help}");
        }
        let kind = match family.metadata.kind {
            MetricType::Counter => "counter",
            MetricType::Gauge | MetricType::Info | MetricType::StateSet => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::Summary => "summary",
            MetricType::GaugeHistogram | MetricType::Unknown => "untyped",
        };
        let _ = writeln!(out, "# TYPE {name} {kind}");
        for sample in &family.samples {
            write_series(&mut out, &sample.labels);
            let _ = write!(out, " {}", format_number(sample.value));
            if let Some(at) = sample.at {
                let _ = write!(out, " {}", at.as_millis());
            }
            out.push('\n');
        }
    }
    out
}

/// OpenMetrics 1.0. A family that cannot be what it says it is, such as a counter whose samples are not called `…_total`,
/// is written as unknown.
pub fn write_openmetrics(families: &[Family]) -> String {
    let mut out = String::new();
    for family in families {
        let (name, kind) = openmetrics_identity(family);
        let quoted = quoted_name(name);
        let _ = writeln!(out, "# TYPE {quoted} {kind}");
        let unit = &family.metadata.unit;
        if !unit.is_empty() && name.strip_suffix(unit.as_str()).is_some_and(|rest| rest.ends_with('_')) {
            let _ = writeln!(out, "# UNIT {quoted} {unit}");
        }
        if !family.metadata.help.is_empty() {
            let _ = writeln!(out, "# HELP {quoted} {}", escaped(&family.metadata.help));
        }
        for sample in &family.samples {
            write_series(&mut out, &sample.labels);
            let _ = write!(out, " {}", format_float_always(sample.value));
            if let Some(at) = sample.at {
                let _ = write!(out, " {}", format_number_plain(at.as_secs_f64()));
            }
            out.push('\n');
        }
    }
    out.push_str("# EOF\n");
    out
}

/// The name and type under which a family follows OpenMetrics' rules about suffixes.
fn openmetrics_identity(family: &Family) -> (&str, MetricType) {
    let has_suffix = |suffix: &str, samples: &[FamilySample]| {
        samples.iter().all(|sample| sample.labels.metric_name().ends_with(suffix))
    };
    match family.metadata.kind {
        MetricType::Counter if has_suffix("_total", &family.samples) => {
            (family.name.strip_suffix("_total").unwrap_or(&family.name), MetricType::Counter)
        }
        MetricType::Info if has_suffix("_info", &family.samples) => {
            (family.name.strip_suffix("_info").unwrap_or(&family.name), MetricType::Info)
        }
        MetricType::Counter | MetricType::Info => (&family.name, MetricType::Unknown),
        kind => (&family.name, kind),
    }
}

/// Seconds without an exponent.
fn format_number_plain(value: f64) -> String {
    format!("{value}")
}

fn quoted_name(name: &str) -> String {
    if is_legacy_metric_name(name) { name.to_owned() } else { format!("\"{}\"", escaped(name)) }
}

/// `text` between double quotes: only `\`, `"` and line breaks are escaped; anything else stands for itself.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn write_series(out: &mut String, labels: &Labels) {
    let name = labels.metric_name();
    let bare = is_legacy_metric_name(name);
    if bare {
        out.push_str(name);
    }
    let mut separator = '{';
    let mut next = |out: &mut String| {
        out.push(std::mem::replace(&mut separator, ','));
    };
    if !bare {
        next(out);
        let _ = write!(out, "\"{}\"", escaped(name));
    }
    for (label, value) in labels.iter().filter(|(label, _)| *label != METRIC_NAME) {
        next(out);
        if is_legacy_label_name(label) {
            out.push_str(label);
        } else {
            let _ = write!(out, "\"{}\"", escaped(label));
        }
        let _ = write!(out, "=\"{}\"", escaped(value));
    }
    if separator == ',' {
        out.push('}');
    }
}
