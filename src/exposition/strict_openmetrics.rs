//! OpenMetrics 1.0 by the letter: what the syntax allows and the standard forbids.

mod group;
mod histogram;

use std::collections::HashSet;

use model::{Labels, METRIC_NAME, MetricType};

use crate::number::parse_number;
use crate::{Entry, Exemplar, Format, Options, ParseError, SampleEntry, parse};

use group::Groups;
use histogram::Histograms;

/// An exemplar's label names and values may have this many characters together.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// Refuses what [`parse`] lets pass: names that clash, families and metrics that are torn apart, samples that do not fit
/// their type, histograms that contradict themselves, time that runs backwards. The first problem is reported.
pub fn check_openmetrics(bytes: &[u8]) -> Result<(), ParseError> {
    let mut check = Check::default();
    // Each entry is one line, and the lines before it were accepted.
    let mut line = 0;
    for entry in parse(bytes, Format::OpenMetrics, &Options::default()) {
        let entry = entry?;
        line += 1;
        check.entry(entry).map_err(|message| ParseError { line, column: 1, message })?;
    }
    check.end_family().map_err(|message| ParseError { line: line + 1, column: 1, message })
}

/// What has been read so far.
#[derive(Default)]
struct Check {
    /// Names that families use or reserve.
    names: HashSet<String>,
    family: Option<FamilyState>,
}

/// The family that is being read.
struct FamilyState {
    name: String,
    kind: Option<MetricType>,
    unit: Option<String>,
    has_help: bool,
    has_samples: bool,
    groups: Groups,
    histograms: Histograms,
}

impl FamilyState {
    fn new(name: &str) -> Self {
        FamilyState {
            name: name.to_owned(),
            kind: None,
            unit: None,
            has_help: false,
            has_samples: false,
            groups: Groups::default(),
            histograms: Histograms::default(),
        }
    }

    fn kind(&self) -> MetricType {
        self.kind.unwrap_or_default()
    }

    /// The suffix of `name` in this family, if a sample of its type may be called so.
    fn suffix<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(self.name.as_str()).filter(|suffix| suffixes(self.kind()).contains(suffix))
    }
}

/// Suffixes of the samples of a type.
fn suffixes(kind: MetricType) -> &'static [&'static str] {
    match kind {
        MetricType::Counter => &["_total", "_created"],
        MetricType::Summary => &["", "_count", "_sum", "_created"],
        MetricType::Histogram => &["_count", "_sum", "_bucket", "_created"],
        MetricType::GaugeHistogram => &["_gcount", "_gsum", "_bucket"],
        MetricType::Info => &["_info"],
        MetricType::Gauge | MetricType::StateSet | MetricType::Unknown => &[""],
    }
}

impl Check {
    fn entry(&mut self, entry: Entry<'_>) -> Result<(), String> {
        match entry {
            Entry::Type { family, kind } => {
                let state = self.metadata(&family, "TYPE")?;
                if state.kind.replace(kind).is_some() {
                    return Err(format!("a second TYPE line for `{family}`"));
                }
            }
            Entry::Help { family, .. } => {
                let state = self.metadata(&family, "HELP")?;
                if std::mem::replace(&mut state.has_help, true) {
                    return Err(format!("a second HELP line for `{family}`"));
                }
            }
            Entry::Unit { family, unit } => {
                let state = self.metadata(&family, "UNIT")?;
                if state.unit.replace(unit.into_owned()).is_some() {
                    return Err(format!("a second UNIT line for `{family}`"));
                }
            }
            Entry::Comment(_) => {}
            Entry::Sample(sample) => return self.sample(&sample),
        }
        Ok(())
    }

    /// The state of the family that a metadata line is about.
    fn metadata(&mut self, family: &str, keyword: &str) -> Result<&mut FamilyState, String> {
        if self.family.as_ref().is_some_and(|state| state.name == family && state.has_samples) {
            return Err(format!("the {keyword} line of `{family}` stands behind its samples"));
        }
        self.switch_to(family)
    }

    /// Ends the current family unless it is this one.
    fn switch_to(&mut self, family: &str) -> Result<&mut FamilyState, String> {
        if self.family.as_ref().is_none_or(|state| state.name != family) {
            self.end_family()?;
        }
        Ok(self.family.get_or_insert_with(|| FamilyState::new(family)))
    }

    fn end_family(&mut self) -> Result<(), String> {
        let Some(state) = self.family.take() else { return Ok(()) };
        let has_unit = state.unit.as_ref().is_some_and(|unit| !unit.is_empty());
        if has_unit && matches!(state.kind(), MetricType::Info | MetricType::StateSet) {
            return Err(format!("`{}` is of type {} and may not have a unit", state.name, state.kind()));
        }
        state.histograms.end()?;
        let reserved: HashSet<&str> = suffixes(state.kind()).iter().copied().chain([""]).collect();
        for suffix in reserved {
            let name = format!("{}{suffix}", state.name);
            if !self.names.insert(name.clone()) {
                return Err(format!("`{name}` of family `{}` belongs to another family as well", state.name));
            }
        }
        Ok(())
    }

    fn sample(&mut self, sample: &SampleEntry<'_>) -> Result<(), String> {
        check_commas(&sample.series)?;
        let labels = sample.labels_as_written().map_err(|error| error.to_string())?;
        let name = labels.metric_name().to_owned();
        if self.family.as_ref().is_none_or(|state| state.suffix(&name).is_none()) {
            if let Some(state) = self.family.as_ref().filter(|state| state.name == name) {
                let expected: Vec<String> =
                    suffixes(state.kind()).iter().map(|suffix| format!("`{name}{suffix}`")).collect();
                return Err(format!(
                    "`{name}` is of type {}: its samples are {}",
                    state.kind(),
                    expected.join(", ")
                ));
            }
            // A sample that fits nothing begins a family of its own, without a type. That its name may be in use already
            // comes out when the family ends.
            self.end_family()?;
            self.family = Some(FamilyState::new(&name));
        }
        let Some(state) = &mut self.family else { return Ok(()) };
        state.has_samples = true;
        let suffix = state.suffix(&name).unwrap_or_default().to_owned();
        let value = sample.value.as_float().unwrap_or_default();
        check_value(state.kind(), &suffix, value).map_err(|problem| format!("`{name}`: {problem}"))?;
        check_labels(state, &suffix, &labels).map_err(|problem| format!("`{name}`: {problem}"))?;
        for exemplar in sample.exemplars() {
            check_exemplar(state.kind(), &suffix, &exemplar)
                .map_err(|problem| format!("`{name}`: {problem}"))?;
        }
        let group = group_of(state, &suffix, &labels);
        state.groups.add(&group, &sample.series, sample.at, state.kind.unwrap_or_default())?;
        if matches!(state.kind(), MetricType::Histogram | MetricType::GaugeHistogram) {
            let bound = labels.get("le").and_then(parse_number);
            state.histograms.add(&name, &group, sample.at, &suffix, bound, value)?;
        }
        Ok(())
    }
}

/// The scrape parser lets a comma stand in front of the closing brace.
fn check_commas(series: &str) -> Result<(), String> {
    if series.ends_with(",}") { Err("a comma in front of the closing brace".to_owned()) } else { Ok(()) }
}

fn check_value(kind: MetricType, suffix: &str, value: f64) -> Result<(), String> {
    let counts = matches!(suffix, "_total" | "_count" | "_bucket" | "_gcount");
    if (counts || matches!(suffix, "_sum" | "_gsum")) && value.is_nan() {
        return Err("may not be NaN".to_owned());
    }
    if (counts || suffix == "_sum") && value < 0.0 {
        return Err("may not be negative".to_owned());
    }
    if matches!(suffix, "_count" | "_bucket" | "_gcount") && value.fract() != 0.0 {
        return Err("must be a whole number".to_owned());
    }
    match (kind, suffix) {
        (MetricType::Summary, "") if value < 0.0 => Err("a quantile may not be negative".to_owned()),
        (MetricType::StateSet, _) if value != 0.0 && value != 1.0 => Err("a state must be 0 or 1".to_owned()),
        (MetricType::Info, _) if value != 1.0 => Err("an info must be 1".to_owned()),
        _ => Ok(()),
    }
}

/// The labels that a type asks for.
fn check_labels(state: &FamilyState, suffix: &str, labels: &Labels) -> Result<(), String> {
    match (state.kind(), suffix) {
        (MetricType::Histogram | MetricType::GaugeHistogram, "_bucket") => {
            let bound = labels.get("le").ok_or("a bucket must have the label `le`")?;
            match parse_number(bound) {
                Some(number) if !number.is_nan() && (number != f64::INFINITY || bound == "+Inf") => Ok(()),
                _ => Err(format!("`{bound}` is not a bound; infinity is written `+Inf`")),
            }
        }
        (MetricType::Summary, "") => {
            let quantile = labels.get("quantile").ok_or("a quantile must have the label `quantile`")?;
            match parse_number(quantile) {
                Some(number) if (0.0..=1.0).contains(&number) => Ok(()),
                _ => Err(format!("`{quantile}` is not a quantile between 0 and 1")),
            }
        }
        (MetricType::StateSet, _) if labels.get(&state.name).is_none() => {
            Err(format!("a state must have the label `{}`", state.name))
        }
        _ => Ok(()),
    }
}

fn check_exemplar(kind: MetricType, suffix: &str, exemplar: &Exemplar) -> Result<(), String> {
    let may = match kind {
        MetricType::Counter => suffix == "_total",
        MetricType::Histogram | MetricType::GaugeHistogram => suffix == "_bucket",
        _ => false,
    };
    if !may {
        return Err("only counters and buckets may have exemplars".to_owned());
    }
    let chars: usize = exemplar.labels.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum();
    if chars > EXEMPLAR_CHARS_MAX {
        return Err(format!(
            "the labels of an exemplar have {chars} characters; {EXEMPLAR_CHARS_MAX} are allowed"
        ));
    }
    Ok(())
}

/// The labels that the samples of one metric have in common.
fn group_of(state: &FamilyState, suffix: &str, labels: &Labels) -> Labels {
    match (state.kind(), suffix) {
        // The labels of an info are its value.
        (MetricType::Info, _) => Labels::empty(),
        (MetricType::Summary, "") => labels.filter(|name| name != METRIC_NAME && name != "quantile"),
        (MetricType::StateSet, _) => labels.filter(|name| name != METRIC_NAME && name != state.name),
        (_, "_bucket") => labels.filter(|name| name != METRIC_NAME && name != "le"),
        _ => labels.without_name(),
    }
}
