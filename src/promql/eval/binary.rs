//! Operators between two operands.
//!
//! Partners are found once per pair of series: series are put into match groups by their matching labels, and only the
//! values inside of a group are compared step by step.

use std::collections::HashMap;

use model::Labels;

use super::Evaluator;
use super::elements::{self, Computed};
use super::group::{GroupIndex, Keep};
use super::labels::InBraces;
use super::select::Sink;
use super::series::{Grid, Output, Ser, Val, without_metric};
use crate::ast::{BinaryOp, Cardinality, Expr, Matching, Node, Span, ValueKind};
use crate::{EvalError, Stop};

impl<'a> Evaluator<'a> {
    pub(super) fn binary(&mut self, expr: &Expr, grid: Grid) -> Result<Output, EvalError> {
        let Node::Binary { op, lhs, rhs, return_bool, matching } = &expr.node else {
            return Err(EvalError::at(expr.span, "expected a binary expression"));
        };
        let left = self.eval(lhs, grid)?;
        let right = self.eval(rhs, grid)?;
        self.release(left.weight() + right.weight());
        let operation = Operation { op: *op, return_bool: *return_bool, span: expr.span };
        match (left, right) {
            (Output::Scalar(left), Output::Scalar(right)) => {
                let values = left.into_iter().zip(right).map(|(l, r)| elements::scalar_operation(*op, l, r));
                Ok(Output::Scalar(values.collect()))
            }
            (Output::Vector(left), Output::Vector(right)) => {
                let Some(matching) = matching else {
                    return Err(EvalError::at(expr.span, "two vectors need a matching"));
                };
                let series = match op {
                    BinaryOp::And => kept_where(left, &right, matching, true, grid, &self.options.stop)?,
                    BinaryOp::Unless => kept_where(left, &right, matching, false, grid, &self.options.stop)?,
                    BinaryOp::Or => union(left, right, matching, grid, &self.options.stop)?,
                    _ => self.matched(operation, left, right, matching, grid)?,
                };
                Ok(Output::Vector(series))
            }
            _ => Err(EvalError::at(
                expr.span,
                "binary expression must contain only scalar and instant vector types",
            )),
        }
    }

    /// A vector and a number at each step.
    pub(super) fn each_with_scalar(
        &mut self,
        expr: &Expr,
        grid: Grid,
        sink: Sink<'_, 'a>,
    ) -> Result<(), EvalError> {
        let Node::Binary { op, lhs, rhs, return_bool, .. } = &expr.node else {
            return Err(EvalError::at(expr.span, "expected a binary expression"));
        };
        let operation = Operation { op: *op, return_bool: *return_bool, span: expr.span };
        let vector_left = lhs.kind() == ValueKind::Vector;
        let (vector, scalar) = if vector_left { (lhs, rhs) } else { (rhs, lhs) };
        let numbers = self.scalar(scalar, grid)?;
        self.each(vector, grid, &mut |evaluator, series| {
            let histograms = std::mem::take(&mut series.histograms);
            if vector_left {
                operation.on_floats(&mut series.floats, |step, value| (value, numbers[step as usize]));
            } else {
                operation.on_floats(&mut series.floats, |step, value| (numbers[step as usize], value));
            }
            if let Some((step, _)) = series.floats.first()
                && elements::vector_operation(*op, &Val::Float(0.0), &Val::Float(0.0)).is_undefined()
            {
                let number = Val::Float(numbers[*step as usize]);
                evaluator.compute(operation, &number, &number, None);
                series.floats.clear();
            }
            for (step, histogram) in histograms {
                let (value, number) = (Val::Histogram(histogram), Val::Float(numbers[step as usize]));
                let computed = if vector_left {
                    evaluator.compute(operation, &value, &number, None)
                } else {
                    evaluator.compute(operation, &number, &value, Some(&value))
                };
                if let Some(value) = computed {
                    series.push(step as usize, value);
                    series.sort();
                }
            }
            if series.is_empty() {
                return Ok(());
            }
            if operation.drops_name() { evaluator.pass_on(series, sink) } else { sink(evaluator, series) }
        })
    }

    /// The result for one pair of values; `None` if there is none. A comparison answers its left value, or `kept`.
    fn compute(&mut self, operation: Operation, left: &Val, right: &Val, kept: Option<&Val>) -> Option<Val> {
        let Operation { op, return_bool, span } = operation;
        match elements::vector_operation(op, left, right) {
            Computed::Value(value) => Some(value),
            Computed::Compared(holds) if return_bool => Some(f64::from(u8::from(holds)).into()),
            Computed::Compared(holds) => holds.then(|| kept.unwrap_or(left).clone()),
            Computed::Combined(combined) => {
                let verb = if op == BinaryOp::Sub { "subtraction" } else { "addition" };
                if combined.resets_conflict {
                    self.notes.warn(span, format_args!("conflicting counter resets during histogram {verb}"));
                }
                if combined.bounds_reconciled {
                    self.notes
                        .info(span, format_args!("mismatched custom buckets were reconciled during {verb}"));
                }
                Some(combined.histogram.into())
            }
            Computed::Mismatch => {
                let op = op.as_str();
                self.notes.warn(
                    span,
                    format_args!("incompatible bucket layout encountered for binary operator {op}"),
                );
                None
            }
            Computed::Undefined => {
                let kind = |value: &Val| if matches!(value, Val::Float(_)) { "float" } else { "histogram" };
                let message = format!(
                    "incompatible sample types encountered for binary operator \"{}\": {} {} {}",
                    op.as_str(),
                    kind(left),
                    op.as_str(),
                    kind(right)
                );
                self.notes.info(span, message);
                None
            }
        }
    }

    /// Two vectors, one to one or one to many.
    fn matched(
        &mut self,
        operation: Operation,
        left: Vec<Ser>,
        right: Vec<Ser>,
        matching: &Matching,
        grid: Grid,
    ) -> Result<Vec<Ser>, EvalError> {
        // The side of one partner is looked up, the other one is walked.
        let swapped = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        // With `group_right`, too, `fill_left` stands for the side of many: so it is in the field.
        let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
        let (many_present, one_present) = (presence(&many, grid), presence(&one, grid));
        // At a step at which one side has nothing, nothing is matched, and so nothing can match twice: unless a value
        // stands for what is missing.
        let filled = fill_many.is_some() || fill_one.is_some();
        let skip = |step: usize| match (many_present[step], one_present[step]) {
            (true, true) => false,
            (false, false) => true,
            _ => !filled,
        };
        let side_name = if swapped { "left" } else { "right" };
        let fail = |group: &MatchGroup, pair: [&Ser; 2]| duplicates(operation.span, side_name, group, pair);
        let groups = match_groups(&many, &one, matching);
        let mut job = Job {
            operation,
            matching,
            swapped,
            results: Results::default(),
            slots: vec![None; grid.len],
            found: vec![false; grid.len],
            answered: vec![false; grid.len],
        };
        let mut groups = groups.iter();
        while let Some(group) = groups.next() {
            self.options.stop.check()?;
            fill_slots(&mut job.slots, group, &one, &skip, &fail)?;
            for &index in &group.many {
                let walked = self.walk_many(&mut job, group, &many[index], &one, fill_one, &skip);
                if let Err(error) = walked {
                    // Two on the side of one are told first, wherever they are.
                    for group in groups {
                        job.slots.fill(None);
                        fill_slots(&mut job.slots, group, &one, &skip, &fail)?;
                    }
                    return Err(error);
                }
            }
            if let Some(fill) = fill_many {
                self.fill_many(&mut job, &group.key, &one, fill);
            }
            for &index in &group.one {
                for (step, _) in one[index].values() {
                    job.slots[step] = None;
                }
            }
            job.found.fill(false);
            job.answered.fill(false);
        }
        job.results.finish(operation.span)
    }

    fn walk_many(
        &mut self,
        job: &mut Job<'_>,
        group: &MatchGroup,
        series: &Ser,
        one: &[Ser],
        fill_one: Option<f64>,
        skip: &impl Fn(usize) -> bool,
    ) -> Result<(), EvalError> {
        // The labels of the result depend on the partner alone, and partners rarely change from step to step.
        let mut cached: Option<(Option<usize>, usize)> = None;
        self.options.stop.check()?;
        for (step, value) in series.values() {
            if skip(step) {
                continue;
            }
            let (partner, other) = match (&job.slots[step], fill_one) {
                (Some((partner, other)), _) => (Some(*partner), other.clone()),
                (None, Some(fill)) => (None, Val::Float(fill)),
                (None, None) => continue,
            };
            job.found[step] = true;
            let computed = if job.swapped {
                self.compute(job.operation, &other, &value, None)
            } else {
                self.compute(job.operation, &value, &other, None)
            };
            let Some(value) = computed else { continue };
            let one_to_one = job.matching.cardinality == Cardinality::OneToOne;
            if one_to_one && std::mem::replace(&mut job.answered[step], true) {
                let message = format!(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right); it is not for the match group {}",
                    InBraces(&group.key)
                );
                return Err(EvalError::at(job.operation.span, message));
            }
            let place = match cached {
                Some((cached_partner, place)) if cached_partner == partner => place,
                _ => {
                    let labels =
                        job.labels_for(&group.key, Some(&series.labels), partner.map(|p| &one[p].labels));
                    let drop_name = job.operation.drops_name() || series.drop_name;
                    job.results.place(labels, drop_name)
                }
            };
            cached = Some((partner, place));
            job.results.series[place].push(step, value);
        }
        Ok(())
    }

    /// Values of the side of one that found no partner, with the value that stands for it.
    fn fill_many(&mut self, job: &mut Job<'_>, key: &Labels, one: &[Ser], fill: f64) {
        for step in 0..job.slots.len() {
            if job.found[step] {
                continue;
            }
            let Some((index, value)) = job.slots[step].clone() else { continue };
            let fill = Val::Float(fill);
            let computed = if job.swapped {
                self.compute(job.operation, &value, &fill, None)
            } else {
                self.compute(job.operation, &fill, &value, None)
            };
            let Some(value) = computed else { continue };
            let labels = job.labels_for(key, None, Some(&one[index].labels));
            let drop_name = job.operation.drops_name() || one[index].drop_name;
            let place = job.results.place(labels, drop_name);
            job.results.series[place].push(step, value);
        }
    }
}

#[derive(Clone, Copy)]
struct Operation {
    op: BinaryOp,
    return_bool: bool,
    span: Span,
}

impl Operation {
    fn drops_name(self) -> bool {
        self.return_bool
            || !(self.op.is_comparison() || matches!(self.op, BinaryOp::TrimUpper | BinaryOp::TrimLower))
    }

    /// Numbers and numbers; `sides` tells which stands where. A comparison keeps the values for which it holds.
    #[inline]
    fn on_floats(self, floats: &mut Vec<(u32, f64)>, sides: impl Fn(u32, f64) -> (f64, f64)) {
        if self.op.is_comparison() {
            let holds = |step, value| {
                let (left, right) = sides(step, value);
                elements::compare(self.op, left, right).unwrap_or(false)
            };
            if self.return_bool {
                floats.iter_mut().for_each(|(s, v)| *v = f64::from(u8::from(holds(*s, *v))));
            } else {
                floats.retain(|(step, value)| holds(*step, *value));
            }
            return;
        }
        for (step, value) in floats {
            let (left, right) = sides(*step, *value);
            *value = elements::arithmetic(self.op, left, right).unwrap_or(*value);
        }
    }
}

/// The state of one matching.
struct Job<'m> {
    operation: Operation,
    matching: &'m Matching,
    swapped: bool,
    results: Results,
    /// The value of the side of one at each step, with the index of its series.
    slots: Vec<Option<(usize, Val)>>,
    /// Whether that value has found a partner.
    found: Vec<bool>,
    /// Whether there is a result already.
    answered: Vec<bool>,
}

impl Job<'_> {
    /// Labels of the result for a pair; one side may be absent.
    fn labels_for(&self, key: &Labels, many: Option<&Labels>, one: Option<&Labels>) -> Labels {
        let Some(many) = many else {
            // Only what the two sides would have had in common is known about the missing one.
            let mut labels = key.edit();
            if self.matching.cardinality != Cardinality::OneToOne {
                for name in &self.matching.include {
                    labels.set(name, one.unwrap_or(key).value(name));
                }
            }
            return labels.build();
        };
        if self.matching.cardinality == Cardinality::OneToOne {
            // What the two sides have in common, but for what describes the metric.
            if self.operation.drops_name() {
                return without_metric(key);
            }
            let names = &self.matching.labels;
            return many.filter(|name| names.iter().any(|n| n == name) == self.matching.on);
        }
        let mut labels = if self.operation.drops_name() { without_metric(many) } else { many.clone() };
        for name in &self.matching.include {
            labels = labels.with(name, one.unwrap_or(key).value(name));
        }
        labels
    }
}

/// Results by their labels, in order of their first value.
#[derive(Default)]
struct Results {
    series: Vec<Ser>,
    places: HashMap<Labels, usize>,
}

impl Results {
    fn place(&mut self, labels: Labels, drop_name: bool) -> usize {
        *self.places.entry(labels.clone()).or_insert_with(|| {
            self.series.push(Ser::new(labels, drop_name));
            self.series.len() - 1
        })
    }

    fn finish(mut self, span: Span) -> Result<Vec<Ser>, EvalError> {
        for series in &mut self.series {
            series.sort();
            if series.has_two_at_once() {
                let message = "multiple matches for labels: grouping labels must ensure unique matches";
                return Err(EvalError::at(span, message));
            }
        }
        self.series.retain(|s| !s.is_empty());
        Ok(self.series)
    }
}

/// Series of both sides with the same matching labels.
struct MatchGroup {
    key: Labels,
    many: Vec<usize>,
    one: Vec<usize>,
}

fn match_groups(many: &[Ser], one: &[Ser], matching: &Matching) -> Vec<MatchGroup> {
    let mut index = GroupIndex::new(keep(matching));
    let mut groups: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    for (number, series) in many.iter().enumerate() {
        let place = index.place(series);
        groups.resize_with(groups.len().max(place + 1), Default::default);
        groups[place].0.push(number);
    }
    for (number, series) in one.iter().enumerate() {
        let place = index.place(series);
        groups.resize_with(groups.len().max(place + 1), Default::default);
        groups[place].1.push(number);
    }
    let group = |(key, (many, one))| MatchGroup { key, many, one };
    index.labels.into_iter().zip(groups).map(group).collect()
}

/// The labels that have to be equal.
fn keep(matching: &Matching) -> Keep<'_> {
    if matching.on { Keep::On(&matching.labels) } else { Keep::Ignoring(&matching.labels) }
}

/// At which steps any of the series has a value.
fn presence(series: &[Ser], grid: Grid) -> Vec<bool> {
    presence_of(series.iter(), grid)
}

fn presence_of<'s>(series: impl Iterator<Item = &'s Ser>, grid: Grid) -> Vec<bool> {
    let mut present = vec![false; grid.len];
    for one in series {
        one.floats.iter().for_each(|(step, _)| present[*step as usize] = true);
        one.histograms.iter().for_each(|(step, _)| present[*step as usize] = true);
    }
    present
}

/// Puts the values of the side of one where they belong; two at a step are an error.
fn fill_slots(
    slots: &mut [Option<(usize, Val)>],
    group: &MatchGroup,
    one: &[Ser],
    skip: &impl Fn(usize) -> bool,
    fail: &impl Fn(&MatchGroup, [&Ser; 2]) -> EvalError,
) -> Result<(), EvalError> {
    for &index in &group.one {
        for (step, value) in one[index].values() {
            if skip(step) {
                continue;
            }
            if let Some((other, _)) = &slots[step] {
                return Err(fail(group, [&one[index], &one[*other]]));
            }
            slots[step] = Some((index, value));
        }
    }
    Ok(())
}

fn duplicates(span: Span, side: &str, group: &MatchGroup, pair: [&Ser; 2]) -> EvalError {
    let [key, new, known] = [&group.key, &pair[0].labels, &pair[1].labels].map(InBraces);
    let message = format!(
        "found duplicate series for the match group {key} on the {side} hand-side of the operation: [{new}, {known}];many-to-many matching not allowed: matching labels must be unique on one side"
    );
    EvalError::at(span, message)
}

/// The values of `left` at steps at which `right` has a partner, or has none.
fn kept_where(
    left: Vec<Ser>,
    right: &[Ser],
    matching: &Matching,
    wanted: bool,
    grid: Grid,
    stop: &Stop,
) -> Result<Vec<Ser>, EvalError> {
    let mut index = GroupIndex::new(keep(matching));
    let mut partners: Vec<Vec<&Ser>> = Vec::new();
    for series in right {
        let place = index.place(series);
        partners.resize_with(partners.len().max(place + 1), Vec::new);
        partners[place].push(series);
    }
    let mut out = Vec::with_capacity(left.len());
    for mut series in left {
        stop.check()?;
        let present = index.find(&series).map(|place| presence_of(partners[place].iter().copied(), grid));
        let keep = |step: u32| present.as_ref().is_some_and(|p| p[step as usize]) == wanted;
        series.floats.retain(|(step, _)| keep(*step));
        series.histograms.retain(|(step, _)| keep(*step));
        if !series.is_empty() {
            out.push(series);
        }
    }
    Ok(out)
}

/// All of `left`, and the values of `right` at steps at which `left` has no partner.
fn union(
    left: Vec<Ser>,
    right: Vec<Ser>,
    matching: &Matching,
    grid: Grid,
    stop: &Stop,
) -> Result<Vec<Ser>, EvalError> {
    let rest = kept_where(right, &left, matching, false, grid, stop)?;
    let mut out = left;
    // A series that is on both sides at different steps is one series; names that are still to be dropped keep apart.
    let mut places: HashMap<(Labels, bool), usize> =
        out.iter().enumerate().map(|(at, s)| ((s.labels.clone(), s.drop_name), at)).collect();
    for series in rest {
        let key = (series.labels.clone(), series.drop_name);
        match places.get(&key) {
            Some(place) => {
                let into = &mut out[*place];
                into.floats.extend(series.floats);
                into.histograms.extend(series.histograms);
                into.sort();
            }
            None => {
                places.insert(key, out.len());
                out.push(series);
            }
        }
    }
    Ok(out)
}
