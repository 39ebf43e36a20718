//! The function `info`: labels of info series, such as `target_info`, added to the series they describe.

use std::collections::HashMap;

use model::{Labels, METRIC_NAME, Matcher};

use super::Evaluator;
use super::select::{SampleTime, WithTimes};
use super::series::{Grid, Ser};
use crate::EvalError;
use crate::ast::{Edges, Expr, Node, Selector, Span, TimeModifier};
use crate::plan::{first_selector_time, info_matchers};

/// Labels that say which info series belongs to a series.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

impl Evaluator<'_> {
    pub(super) fn info(&mut self, args: &[Expr], span: Span, grid: Grid) -> Result<Vec<Ser>, EvalError> {
        let base = self.vector(&args[0], grid)?;
        let infos = self.info_series(args, grid)?;
        let wanted: Vec<Matcher> = match args.get(1).map(|arg| &arg.node) {
            Some(Node::Selector(selector)) => {
                selector.matchers.iter().filter(|m| m.name() != METRIC_NAME).cloned().collect()
            }
            _ => Vec::new(),
        };
        // Without a name for info series, those of the default one are only left alone if nothing is selected at all.
        let named = args.get(1).is_none_or(|arg| match &arg.node {
            Node::Selector(selector) => selector.matchers.iter().any(|m| m.name() == METRIC_NAME),
            _ => false,
        });
        let names = info_matchers(args);
        let is_info = |labels: &Labels| named && names.iter().all(|m| m.matches_labels(labels));
        let mut by_identity: HashMap<Labels, Vec<(usize, &Ser)>> = HashMap::new();
        let fits = |series: &&Ser| wanted.iter().all(|m| m.matches_labels(&series.labels));
        for (index, series) in infos.values.iter().enumerate().filter(|(_, series)| fits(series)) {
            by_identity.entry(identity(&series.labels)).or_default().push((index, series));
        }
        let mut out: Vec<Ser> = Vec::new();
        let mut places: HashMap<Labels, usize> = HashMap::new();
        for series in &base {
            self.options.stop.check()?;
            // An info series is described by nothing.
            if is_info(&series.labels) {
                push_all(&mut out, &mut places, series);
                continue;
            }
            let identity = identity(&series.labels);
            let described =
                by_identity.get(&identity).filter(|_| !identity.is_empty()).map_or(&[][..], Vec::as_slice);
            for (step, value) in series.values() {
                let labels = described_labels(series, step, described, &infos, &wanted, span)?;
                let Some(labels) = labels else { continue };
                let place = *places.entry(labels.clone()).or_insert_with(|| {
                    out.push(Ser::new(labels, series.drop_name));
                    out.len() - 1
                });
                out[place].push(step, value);
            }
        }
        for series in &mut out {
            series.sort();
            if series.has_two_at_once() {
                return Err(EvalError::at(span, "vector cannot contain metrics with the same labelset"));
            }
        }
        Ok(out)
    }

    fn info_series(&mut self, args: &[Expr], grid: Grid) -> Result<Infos, EvalError> {
        // The info series were planned under the place of the first argument.
        let time = first_selector_time(&args[0]).cloned().unwrap_or_else(TimeModifier::default);
        let selector =
            Selector { name: String::new(), matchers: info_matchers(args), time, edges: Edges::Plain };
        let mut infos = Infos { values: Vec::new(), times: Vec::new() };
        let Some(source) = self.source(self.plan.of_info(args)) else { return Ok(infos) };
        let mut held = 0;
        let mut keep = |evaluator: &mut Self, series: &mut Ser, times: &[SampleTime]| {
            held += series.len();
            evaluator.charge(series.len())?;
            infos.values.push(std::mem::take(series));
            infos.times.push(times.to_vec());
            Ok(())
        };
        self.instant_values(source, &selector, grid, args[0].span, WithTimes::Yes, &mut keep)?;
        self.release(held);
        Ok(infos)
    }
}

/// The info series, and for each the times of its values.
struct Infos {
    values: Vec<Ser>,
    times: Vec<Vec<SampleTime>>,
}

fn identity(labels: &Labels) -> Labels {
    labels.filter(|name| IDENTIFYING.contains(&name))
}

fn push_all(out: &mut Vec<Ser>, places: &mut HashMap<Labels, usize>, series: &Ser) {
    let place = *places.entry(series.labels.clone()).or_insert_with(|| {
        out.push(Ser::new(series.labels.clone(), series.drop_name));
        out.len() - 1
    });
    out[place].floats.extend(series.floats.iter().copied());
    out[place].histograms.extend(series.histograms.iter().cloned());
}

/// The labels of a series at a step with those of its info series added. `None` if matchers ask for what it has not.
fn described_labels(
    series: &Ser,
    step: usize,
    described: &[(usize, &Ser)],
    infos: &Infos,
    wanted: &[Matcher],
    span: Span,
) -> Result<Option<Labels>, EvalError> {
    let mut labels = series.labels.clone();
    let mut added: HashMap<String, String> = HashMap::new();
    // Of several info series with the same name, the one with the newest sample counts.
    let mut newest: HashMap<&str, (i64, &Ser)> = HashMap::new();
    for (index, info) in described {
        let times = &infos.times[*index];
        let Ok(at) = times.binary_search_by_key(&(step as u32), |time| time.step) else { continue };
        let at = times[at].at;
        match newest.get(info.labels.metric_name()) {
            Some((other, _)) if *other == at => {
                let message = format!(
                    "found duplicate series for info metric: existing {} @ {at}, new {} @ {at}",
                    newest[info.labels.metric_name()].1.labels,
                    info.labels
                );
                return Err(EvalError::at(span, message));
            }
            Some((other, _)) if *other > at => {}
            _ => {
                newest.insert(info.labels.metric_name(), (at, info));
            }
        }
    }
    for (_, info) in newest.values() {
        for (name, value) in info.labels.iter() {
            let asked_for = wanted.is_empty() || wanted.iter().any(|m| m.name() == name);
            if name == METRIC_NAME || !asked_for || series.labels.get(name).is_some() {
                continue;
            }
            if let Some(other) =
                added.insert(name.to_owned(), value.to_owned()).filter(|other| other != value)
            {
                let message = format!(
                    "conflicting label: {name} is \"{other}\" in one info series and \"{value}\" in another"
                );
                return Err(EvalError::at(span, message));
            }
        }
    }
    // A matcher that demands a label says that only described series are wanted.
    if newest.is_empty() && wanted.iter().any(|m| !m.matches_empty()) {
        return Ok(None);
    }
    for (name, value) in &added {
        labels = labels.with(name, value);
    }
    Ok(Some(labels))
}
