//! Aggregations that join the series of a group into one.
//!
//! Groups are found once per series; each group then holds one accumulator per step.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Histogram, Labels, METRIC_NAME};

use super::kahan::{Kahan, Mean};
use super::native::{HistogramSum, Total};
use super::series::{Grid, Ser, Val, describes_metric};
use super::topk::Members;
use super::{Evaluator, elements};
use crate::EvalError;
use crate::ast::{AggregateOp, Expr, Node, Span};

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<Ser>, EvalError> {
        let Node::Aggregate { op, param, expr: inner, grouping, without } = &expr.node else {
            return Err(EvalError::at(expr.span, "expected an aggregation"));
        };
        if *op == AggregateOp::CountValues {
            let label = param.as_ref().map_or(Ok(String::new()), |p| self.text(p))?;
            let input = self.vector(inner, grid)?;
            return Ok(count_values(&label, &input, grouping, *without));
        }
        let params = param.as_ref().map(|p| self.scalar(p, grid)).transpose()?;
        let input = self.vector(inner, grid)?;
        let (labels, groups) = grouped(&input, grouping, *without);
        match (op, params) {
            (
                AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio,
                params,
            ) => self.chosen(*op, inner.span, &params.unwrap_or_default(), input, &groups),
            (op, params) => {
                let params = params.unwrap_or_default();
                if *op == AggregateOp::Quantile {
                    for q in params.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
                        let span = param.as_ref().map_or(expr.span, |p| p.span);
                        self.notes.warn(span, elements::quantile_range(*q));
                    }
                }
                let mut out = Vec::with_capacity(groups.len());
                for (labels, members) in labels.into_iter().zip(&groups) {
                    self.options.stop.check()?;
                    let drop_name = members.first().is_some_and(|m| input[*m].drop_name);
                    let group = Ser::new(labels, drop_name);
                    let members = members.iter().map(|m| &input[*m]);
                    out.push(self.joined(*op, inner.span, &params, members, group, grid));
                }
                out.retain(|s| !s.is_empty());
                Ok(out)
            }
        }
    }

    /// One group.
    fn joined<'s>(
        &mut self,
        op: AggregateOp,
        span: Span,
        params: &[f64],
        members: impl Iterator<Item = &'s Ser>,
        mut out: Ser,
        grid: Grid,
    ) -> Ser {
        let mut steps: Vec<Accumulator> = Vec::new();
        steps.resize_with(grid.len, || Accumulator::new(op));
        let mut ignored = false;
        for series in members {
            for (step, value) in &series.floats {
                steps[*step as usize].add_float(*value);
            }
            for (step, histogram) in &series.histograms {
                ignored |= !steps[*step as usize].add_histogram(histogram);
            }
        }
        if ignored {
            self.notes.info(span, format_args!("ignored histogram in {} aggregation", op.as_str()));
        }
        for (step, accumulator) in steps.into_iter().enumerate() {
            if let Some(value) = self.finish(accumulator, span, params.get(step).copied()) {
                out.push(step, value);
            }
        }
        out
    }

    fn finish(&mut self, accumulator: Accumulator, span: Span, param: Option<f64>) -> Option<Val> {
        match accumulator {
            Accumulator::Sum { floats, histograms, count } => match (count > 0, histograms) {
                (true, Some(_)) => self.mixed(span),
                (true, None) => Some(floats.total().into()),
                (false, histograms) => self.histogram_total(histograms?, span, Total::Sum),
            },
            Accumulator::Avg { floats, histograms } => match (floats.count() > 0.0, histograms) {
                (true, Some(_)) => self.mixed(span),
                (true, None) => Some(floats.total().into()),
                (false, histograms) => self.histogram_total(histograms?, span, Total::Mean),
            },
            Accumulator::Count(count) => (count > 0).then_some((count as f64).into()),
            Accumulator::Group(any) => any.then_some(1.0.into()),
            Accumulator::Extreme { value, .. } => value.map(Val::Float),
            Accumulator::Deviation { count, sum, root, .. } => {
                let variance = sum.total() / count;
                (count > 0.0).then_some(if root { variance.sqrt() } else { variance }.into())
            }
            Accumulator::Quantile(values) => {
                let q = param.unwrap_or(f64::NAN);
                (!values.is_empty()).then(|| elements::quantile(q, values).into())
            }
        }
    }

    fn mixed(&mut self, span: Span) -> Option<Val> {
        self.notes.warn(span, "encountered a mix of histograms and floats for aggregation");
        None
    }

    fn histogram_total(&mut self, sum: Box<HistogramSum>, span: Span, total: Total) -> Option<Val> {
        if sum.mixed {
            self.notes.warn(
                span,
                "vector contains a mix of histograms with exponential and custom buckets schemas for aggregation",
            );
            return None;
        }
        if sum.resets_conflict() {
            self.notes.warn(span, "conflicting counter resets during histogram aggregation");
        }
        if sum.bounds_reconciled {
            self.notes.info(span, "mismatched custom buckets were reconciled during aggregation");
        }
        Some(sum.finish(total).into())
    }
}

/// What one group has seen at one step.
enum Accumulator {
    Sum { floats: Kahan, histograms: Option<Box<HistogramSum>>, count: usize },
    Avg { floats: Mean, histograms: Option<Box<HistogramSum>> },
    Count(usize),
    Group(bool),
    Extreme { value: Option<f64>, largest: bool },
    Deviation { count: f64, mean: Kahan, sum: Kahan, root: bool },
    Quantile(Vec<f64>),
}

impl Accumulator {
    fn new(op: AggregateOp) -> Self {
        match op {
            AggregateOp::Sum => Accumulator::Sum { floats: Kahan::default(), histograms: None, count: 0 },
            AggregateOp::Avg => Accumulator::Avg { floats: Mean::default(), histograms: None },
            AggregateOp::Count => Accumulator::Count(0),
            AggregateOp::Min | AggregateOp::Max => {
                Accumulator::Extreme { value: None, largest: op == AggregateOp::Max }
            }
            AggregateOp::Stddev | AggregateOp::Stdvar => Accumulator::Deviation {
                count: 0.0,
                mean: Kahan::default(),
                sum: Kahan::default(),
                root: op == AggregateOp::Stddev,
            },
            AggregateOp::Quantile => Accumulator::Quantile(Vec::new()),
            _ => Accumulator::Group(false),
        }
    }

    fn add_float(&mut self, value: f64) {
        match self {
            Accumulator::Sum { floats, count, .. } => {
                floats.add(value);
                *count += 1;
            }
            Accumulator::Avg { floats, .. } => floats.add(value),
            Accumulator::Count(count) => *count += 1,
            Accumulator::Group(any) => *any = true,
            Accumulator::Extreme { value: best, largest } => {
                let better = match *best {
                    None => true,
                    Some(best) if best.is_nan() => true,
                    Some(best) => {
                        if *largest {
                            value > best
                        } else {
                            value < best
                        }
                    }
                };
                if better {
                    *best = Some(value);
                }
            }
            Accumulator::Deviation { count, mean, sum, .. } => {
                *count += 1.0;
                let delta = value - mean.total();
                mean.add(delta / *count);
                sum.add(delta * (value - mean.total()));
            }
            Accumulator::Quantile(values) => values.push(value),
        }
    }

    /// `false` if histograms mean nothing here.
    fn add_histogram(&mut self, histogram: &Arc<Histogram>) -> bool {
        match self {
            Accumulator::Sum { histograms, .. } => {
                add_to(histograms, histogram, Total::Sum);
                true
            }
            Accumulator::Avg { histograms, .. } => {
                add_to(histograms, histogram, Total::Mean);
                true
            }
            Accumulator::Count(count) => {
                *count += 1;
                true
            }
            Accumulator::Group(any) => {
                *any = true;
                true
            }
            _ => false,
        }
    }
}

fn add_to(sum: &mut Option<Box<HistogramSum>>, histogram: &Histogram, total: Total) {
    match sum {
        Some(sum) => sum.add(histogram, total),
        None => *sum = Some(Box::new(HistogramSum::new(histogram))),
    }
}

/// The labels of each group in order of its first series, and its members.
fn grouped(input: &[Ser], grouping: &[String], without: bool) -> (Vec<Labels>, Vec<Members>) {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let (mut labels, mut groups): (Vec<Labels>, Vec<Members>) = (Vec::new(), Vec::new());
    for (index, series) in input.iter().enumerate() {
        let key = group_labels(&series.labels, grouping, without);
        let place = *places.entry(key.clone()).or_insert_with(|| {
            labels.push(key);
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(index);
    }
    (labels, groups)
}

fn group_labels(labels: &Labels, grouping: &[String], without: bool) -> Labels {
    if without {
        labels.filter(|name| !describes_metric(name) && !grouping.iter().any(|g| g == name))
    } else if grouping.is_empty() {
        Labels::empty()
    } else {
        labels.filter(|name| grouping.iter().any(|g| g == name))
    }
}

/// For each group and each value the number of series that have it.
fn count_values(label: &str, input: &[Ser], grouping: &[String], without: bool) -> Vec<Ser> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut out: Vec<Ser> = Vec::new();
    let mut counts: Vec<HashMap<u32, f64>> = Vec::new();
    let mut by_step: Vec<(usize, usize, Val)> = Vec::new();
    for (index, series) in input.iter().enumerate() {
        by_step.extend(series.values().map(|(step, value)| (step, index, value)));
    }
    by_step.sort_by_key(|(step, index, _)| (*step, *index));
    for (step, index, value) in by_step {
        let text = match value {
            Val::Float(value) => model::format_float(value),
            Val::Histogram(histogram) => histogram.to_string(),
        };
        let grouped = group_labels(&input[index].labels, grouping, without);
        // The value is a label like the others: `without` may name it.
        let dropped = without && grouping.iter().any(|name| name == label);
        let labels = if dropped { grouped } else { grouped.with(label, &text) };
        let drop_name = input[index].drop_name && labels.get(METRIC_NAME).is_some() && label != METRIC_NAME;
        let place = *places.entry(labels.clone()).or_insert_with(|| {
            out.push(Ser::new(labels, drop_name));
            counts.push(HashMap::new());
            out.len() - 1
        });
        *counts[place].entry(step as u32).or_insert(0.0) += 1.0;
    }
    for (series, counts) in out.iter_mut().zip(counts) {
        series.floats = counts.into_iter().collect();
        series.sort();
    }
    out
}
