//! Aggregations: series are joined group by group, counted by value, or chosen.

use std::collections::HashMap;

use model::{Labels, METRIC_NAME};

use super::group::{Columns, GroupIndex, Keep};
use super::native::{HistogramSum, Total};
use super::over_time::mixed_buckets;
use super::series::{Grid, Ser, Val, describes_metric};
use super::topk::{Members, Spans};
use super::{Evaluator, elements};
use crate::ast::{AggregateOp, Expr, Node, Span};
use crate::{EvalError, Stop};

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<Ser>, EvalError> {
        let Node::Aggregate { op, param, expr: inner, grouping, without } = &expr.node else {
            return Err(EvalError::at(expr.span, "expected an aggregation"));
        };
        if *op == AggregateOp::CountValues {
            let label = param.as_ref().map_or(Ok(String::new()), |p| self.text(p))?;
            let input = self.vector(inner, grid)?;
            return count_values(&label, &input, grouping, *without, &self.options.stop);
        }
        let params = param.as_ref().map(|p| self.scalar(p, grid)).transpose()?.unwrap_or_default();
        let mut groups = GroupIndex::new(if *without { Keep::Without(grouping) } else { Keep::By(grouping) });
        if matches!(
            op,
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio
        ) {
            let input = self.vector(inner, grid)?;
            let mut members: Vec<Members> = Vec::new();
            for (index, series) in input.iter().enumerate() {
                let place = groups.place(series);
                if place == members.len() {
                    members.push(Vec::new());
                }
                members[place].push(index);
            }
            let spans =
                Spans { whole: expr.span, param: param.as_ref().map_or(expr.span, |param| param.span) };
            return self.chosen(*op, spans, &params, input, &members);
        }
        if *op == AggregateOp::Quantile {
            for q in params.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
                let span = param.as_ref().map_or(expr.span, |p| p.span);
                self.notes.warn(span, elements::quantile_range(*q));
            }
        }
        let (mut columns, mut held, mut ignored): (Vec<Columns>, usize, bool) = (Vec::new(), 0, false);
        self.each(inner, grid, &mut |evaluator, series| {
            let place = groups.place(series);
            if place == columns.len() {
                evaluator.charge(grid.len)?;
                held += grid.len;
                columns.push(Columns::new(*op, grid.len));
            }
            let added = columns[place].add(series, grid.len);
            evaluator.charge(added.held)?;
            held += added.held;
            ignored |= added.ignored;
            Ok(())
        })?;
        self.release(held);
        if ignored {
            self.notes.info(inner.span, format_args!("ignored histogram in {} aggregation", op.as_str()));
        }
        let mut out = Vec::with_capacity(columns.len());
        for ((columns, labels), drop_name) in columns.into_iter().zip(groups.labels).zip(groups.drop_name) {
            self.options.stop.check()?;
            let series = self.finish(columns, inner.span, &params, Ser::new(labels, drop_name));
            if !series.is_empty() {
                out.push(series);
            }
        }
        Ok(out)
    }

    /// The values of a group.
    fn finish(&mut self, columns: Columns, span: Span, params: &[f64], mut out: Ser) -> Ser {
        fn put(out: &mut Ser, values: impl Iterator<Item = Option<f64>>) {
            let present = |(step, value): (usize, Option<f64>)| value.map(|value| (step as u32, value));
            out.floats.extend(values.enumerate().filter_map(present));
        }
        match columns {
            Columns::Sum { sums, counts, histograms } => {
                let floats = sums.iter().zip(&counts).map(|(sum, count)| (*count > 0).then(|| sum.total()));
                put(&mut out, floats);
                self.with_histograms(&mut out, histograms, span, Total::Sum);
            }
            Columns::Avg { means, histograms } => {
                put(&mut out, means.iter().map(|mean| (mean.count() > 0.0).then(|| mean.total())));
                self.with_histograms(&mut out, histograms, span, Total::Mean);
            }
            Columns::Count(counts) => {
                put(&mut out, counts.iter().map(|count| (*count > 0).then(|| f64::from(*count))));
            }
            Columns::Group(any) => put(&mut out, any.iter().map(|any| any.then_some(1.0))),
            Columns::Extreme { values, present, .. } => {
                put(&mut out, values.iter().zip(&present).map(|(value, present)| present.then_some(*value)));
            }
            Columns::Deviation { columns, root } => {
                let of = |sum: f64| if root { sum.sqrt() } else { sum };
                let value = |one: &super::group::Deviation| {
                    (one.count > 0.0).then(|| of(one.sum.total() / one.count))
                };
                put(&mut out, columns.iter().map(value));
            }
            Columns::Quantile(values) => {
                let q = |step: usize| params.get(step).copied().unwrap_or(f64::NAN);
                let of = |(step, values): (usize, Vec<f64>)| {
                    (!values.is_empty()).then(|| elements::quantile(q(step), values))
                };
                put(&mut out, values.into_iter().enumerate().map(of));
            }
        }
        out
    }

    /// The sums of histograms beside those of numbers; where there are both, there is no value.
    fn with_histograms(&mut self, out: &mut Ser, sums: super::group::Histograms, span: Span, total: Total) {
        for (step, sum) in sums.into_iter().enumerate() {
            let Some(sum) = sum else { continue };
            match out.floats.binary_search_by_key(&(step as u32), |(step, _)| *step) {
                Ok(at) => {
                    out.floats.remove(at);
                    self.mixed(span);
                }
                Err(_) => {
                    if let Some(Val::Histogram(histogram)) = self.histogram_total(sum, span, total) {
                        out.histograms.push((step as u32, histogram));
                    }
                }
            }
        }
    }

    fn mixed(&mut self, span: Span) {
        self.notes.warn(span, "encountered a mix of histograms and floats for aggregation");
    }

    fn histogram_total(&mut self, sum: Box<HistogramSum>, span: Span, total: Total) -> Option<Val> {
        if let Some(metric) = &sum.mixed_by {
            self.notes.warn(span, mixed_buckets(metric));
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
fn count_values(
    label: &str,
    input: &[Ser],
    grouping: &[String],
    without: bool,
    stop: &Stop,
) -> Result<Vec<Ser>, EvalError> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut out: Vec<Ser> = Vec::new();
    let mut counts: Vec<HashMap<u32, f64>> = Vec::new();
    let mut by_step: Vec<(usize, usize, Val)> = Vec::new();
    for (index, series) in input.iter().enumerate() {
        by_step.extend(series.values().map(|(step, value)| (step, index, value)));
    }
    by_step.sort_by_key(|(step, index, _)| (*step, *index));
    for (step, index, value) in by_step {
        stop.check()?;
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
    Ok(out)
}
