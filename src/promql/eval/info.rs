//! The function `info`: labels of info series, such as `target_info`, added to the series they describe.
//!
//! Info series belong to a series by the labels that identify a target. Of several with the same metric name and the
//! same identity, the one with the newest sample counts, step by step.

use std::collections::{HashMap, HashSet};

use model::{Labels, LabelsBuilder, METRIC_NAME};

use super::Evaluator;
use super::labels::InBraces;
use super::select::{Look, SampleTime, WithTimes};
use super::series::{Grid, Ser, Val};
use crate::EvalError;
use crate::ast::{Expr, Span};
use crate::plan::{InfoSelector, moment_of};

/// Labels that say which info series belongs to a series.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

impl Evaluator<'_> {
    pub(super) fn info(&mut self, args: &[Expr], span: Span, grid: Grid) -> Result<Vec<Ser>, EvalError> {
        let base = self.vector(&args[0], grid)?;
        let selector = InfoSelector::of(args);
        // An info series is described by nothing.
        let is_info = |labels: &Labels| selector.names.iter().all(|m| m.matches_labels(labels));
        let targets = Targets::of(base.iter().map(|s| &s.labels).filter(|labels| !is_info(labels)));
        let mut infos = Infos { span, described: vec![false; grid.len], ..Infos::default() };
        base.iter().flat_map(Ser::values).for_each(|(step, _)| infos.described[step] = true);
        let held = if targets.is_empty() { 0 } else { self.info_series(args, grid, &targets, &mut infos)? };
        let mut results = Results::default();
        let mut chosen: Vec<u32> = Vec::new();
        for series in &base {
            self.options.stop.check()?;
            if is_info(&series.labels) {
                let place = results.place(series.labels.clone());
                series.values().for_each(|(step, value)| results.push(place, step, value));
                continue;
            }
            let about = infos.by_identity.get(&identity(&series.labels)).map_or(&[][..], Vec::as_slice);
            // Info series rarely change from step to step, and the labels of the result with them.
            let mut latest: Option<(Vec<u32>, Option<usize>)> = None;
            for (step, value) in series.values() {
                chosen.clear();
                chosen.extend(about.iter().filter_map(|metric| metric.at(step)));
                let place = match &latest {
                    Some((before, place)) if *before == chosen => *place,
                    _ => {
                        let labels = infos.describe(&series.labels, &chosen, &selector)?;
                        let place = labels.map(|labels| results.place(labels));
                        latest = Some((chosen.clone(), place));
                        place
                    }
                };
                if let Some(place) = place {
                    results.push(place, step, value);
                }
            }
        }
        self.release(held);
        results.finish(span)
    }

    /// Reads the info series of these targets, and says how many samples of them are held now.
    fn info_series(
        &mut self,
        args: &[Expr],
        grid: Grid,
        targets: &Targets<'_>,
        infos: &mut Infos,
    ) -> Result<usize, EvalError> {
        let Some(source) = self.source(self.plan.of_info(args)) else { return Ok(0) };
        let moment = moment_of(&args[0], &self.resolver)?;
        let look = Look { moment, smoothed: false, times: WithTimes::Yes, span: args[0].span };
        let mut held = 0;
        let wanted = |labels: &Labels| targets.have(labels);
        self.instant_values(source, look, grid, &wanted, &mut |evaluator, series, times| {
            held += times.len();
            evaluator.charge(times.len())?;
            infos.add(series, times)
        })?;
        Ok(held)
    }
}

/// The values that the identifying labels of some series have.
struct Targets<'s>([HashSet<&'s str>; IDENTIFYING.len()]);

impl<'s> Targets<'s> {
    fn of(all: impl Iterator<Item = &'s Labels>) -> Self {
        let mut values = IDENTIFYING.map(|_| HashSet::new());
        for labels in all {
            for (name, values) in IDENTIFYING.iter().zip(&mut values) {
                values.extend(labels.get(name));
            }
        }
        Targets(values)
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(HashSet::is_empty)
    }

    /// Whether these are labels of an info series that may be about one of them: each label that any of them has counts.
    fn have(&self, labels: &Labels) -> bool {
        let mut of_each = IDENTIFYING.iter().zip(&self.0);
        of_each.all(|(name, values)| values.is_empty() || values.contains(labels.value(name)))
    }
}

/// The labels that identify a target.
fn identity(labels: &Labels) -> Labels {
    labels.filter(|name| IDENTIFYING.contains(&name))
}

/// Info series that were read.
#[derive(Default)]
struct Infos {
    /// Where the call stands.
    span: Span,
    /// At which steps there is something to describe.
    described: Vec<bool>,
    labels: Vec<Labels>,
    by_identity: HashMap<Labels, Vec<InfoMetric>>,
}

/// The info series of one name about one target.
struct InfoMetric {
    name: String,
    newest: Vec<Newest>,
}

/// Which of them has the newest sample at a step.
#[derive(Clone, Copy)]
struct Newest {
    step: u32,
    at: i64,
    /// Index of its labels.
    series: u32,
}

impl InfoMetric {
    fn at(&self, step: usize) -> Option<u32> {
        let found = self.newest.binary_search_by_key(&(step as u32), |newest| newest.step);
        found.ok().map(|index| self.newest[index].series)
    }
}

impl Infos {
    fn add(&mut self, series: &Ser, times: &[SampleTime]) -> Result<(), EvalError> {
        if series.histograms.iter().any(|(step, _)| self.described[*step as usize]) {
            return Err(EvalError::at(self.span, "info sample should be float"));
        }
        let number = self.labels.len() as u32;
        self.labels.push(series.labels.clone());
        let newest = times.iter().map(|time| Newest { step: time.step, at: time.at, series: number });
        let metrics = self.by_identity.entry(identity(&series.labels)).or_default();
        let name = series.labels.metric_name();
        let Some(metric) = metrics.iter_mut().find(|metric| metric.name == name) else {
            metrics.push(InfoMetric { name: name.to_owned(), newest: newest.collect() });
            return Ok(());
        };
        // Both in one, in the order of steps. Of two samples at a step neither may be as new as the other.
        let all = &mut metric.newest;
        all.extend(newest);
        all.sort_by_key(|newest| (newest.step, newest.at));
        for pair in all.windows(2).filter(|pair| (pair[0].step, pair[0].at) == (pair[1].step, pair[1].at)) {
            if !self.described[pair[0].step as usize] {
                continue;
            }
            let labels = |newest: Newest| InBraces(&self.labels[newest.series as usize]);
            let [one, other] = [pair[0], pair[1]].map(labels);
            let at = pair[0].at;
            let message = format!(
                "found duplicate series for info metric: existing {one} @ {at}, new {other} @ {at}; labels other than {} must be equal, or one of the series must end",
                IDENTIFYING.join(" and ")
            );
            return Err(EvalError::at(self.span, message));
        }
        // The last one of a step is the newest.
        all.reverse();
        all.dedup_by_key(|newest| newest.step);
        all.reverse();
        Ok(())
    }

    /// `labels` with those of the `chosen` info series. `None` if none was found and the selector asks for one.
    fn describe(
        &self,
        labels: &Labels,
        chosen: &[u32],
        selector: &InfoSelector,
    ) -> Result<Option<Labels>, EvalError> {
        if chosen.is_empty() && selector.data.iter().any(|m| !m.matches_empty()) {
            return Ok(None);
        }
        let mut added: HashMap<&str, &str> = HashMap::new();
        for info in chosen {
            for (name, value) in self.labels[*info as usize].iter() {
                let asked_for = selector.data.is_empty() || selector.data.iter().any(|m| m.name() == name);
                if name == METRIC_NAME || !asked_for || labels.get(name).is_some() {
                    continue;
                }
                if let Some(other) = added.insert(name, value).filter(|other| *other != value) {
                    let message = format!(
                        "conflicting label: {name}; one info series has \"{other}\", another one \"{value}\""
                    );
                    return Err(EvalError::at(self.span, message));
                }
            }
        }
        let mut described: LabelsBuilder = labels.edit();
        for (name, value) in added {
            described.set(name, value);
        }
        Ok(Some(described.build()))
    }
}

/// Series by their labels, in order of their first value.
#[derive(Default)]
struct Results {
    series: Vec<Ser>,
    places: HashMap<Labels, usize>,
}

impl Results {
    fn place(&mut self, labels: Labels) -> usize {
        *self.places.entry(labels.clone()).or_insert_with(|| {
            // A name that was to be dropped stays: it may be what the series was described by.
            self.series.push(Ser::new(labels, false));
            self.series.len() - 1
        })
    }

    fn push(&mut self, place: usize, step: usize, value: Val) {
        self.series[place].push(step, value);
    }

    fn finish(mut self, span: Span) -> Result<Vec<Ser>, EvalError> {
        for series in &mut self.series {
            series.sort();
            if series.has_two_at_once() {
                return Err(EvalError::at(span, "vector cannot contain metrics with the same labelset"));
            }
        }
        // A place may have been made for labels under which nothing came.
        self.series.retain(|series| !series.is_empty());
        Ok(self.series)
    }
}
