//! Aggregations that choose series instead of joining them: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use std::cmp::Ordering;

use super::Evaluator;
use super::series::Ser;
use crate::EvalError;
use crate::ast::{AggregateOp, Span};

/// The members of one group, by index into the input.
pub(super) type Members = Vec<usize>;

/// Where such an aggregation stands, and where its parameter.
#[derive(Clone, Copy)]
pub(super) struct Spans {
    pub(super) whole: Span,
    pub(super) param: Span,
}

impl Evaluator<'_> {
    /// The chosen values of each series, in the order in which an instant query shows them.
    pub(super) fn chosen(
        &mut self,
        op: AggregateOp,
        spans: Spans,
        params: &[f64],
        input: Vec<Ser>,
        groups: &[Members],
    ) -> Result<Vec<Ser>, EvalError> {
        let mut out: Vec<Ser> = input.iter().map(|s| Ser::new(s.labels.clone(), s.drop_name)).collect();
        let mut order: Vec<usize> = Vec::new();
        let mut cursors: Vec<(usize, usize)> = vec![(0, 0); input.len()];
        for (step, param) in params.iter().enumerate() {
            self.options.stop.check()?;
            let limit = self.limit(op, spans.param, *param)?;
            for members in groups {
                let mut present: Vec<(usize, Option<f64>)> = Vec::new();
                for &member in members {
                    let (series, cursor) = (&input[member], &mut cursors[member]);
                    if series.floats.get(cursor.0).is_some_and(|(s, _)| *s as usize == step) {
                        present.push((member, Some(series.floats[cursor.0].1)));
                    } else if series.histograms.get(cursor.1).is_some_and(|(s, _)| *s as usize == step) {
                        present.push((member, None));
                    }
                }
                let kept = match limit {
                    Limit::None => Vec::new(),
                    Limit::Count(k) => self.best(op, spans.whole, present.clone(), k),
                    Limit::Ratio(ratio) => {
                        present.iter().map(|(m, _)| *m).filter(|m| in_ratio(&input[*m], ratio)).collect()
                    }
                };
                for member in kept {
                    let cursor = cursors[member];
                    match input[member].floats.get(cursor.0).filter(|(s, _)| *s as usize == step) {
                        Some(float) => out[member].floats.push(*float),
                        None => out[member].histograms.push(input[member].histograms[cursor.1].clone()),
                    }
                    if params.len() == 1 {
                        order.push(member);
                    }
                }
                for (member, value) in present {
                    if value.is_some() { cursors[member].0 += 1 } else { cursors[member].1 += 1 }
                }
            }
        }
        if params.len() == 1 {
            return Ok(order.into_iter().map(|member| std::mem::take(&mut out[member])).collect());
        }
        out.retain(|s| !s.is_empty());
        Ok(out)
    }

    fn limit(&mut self, op: AggregateOp, span: Span, param: f64) -> Result<Limit, EvalError> {
        if op == AggregateOp::LimitRatio {
            if param.is_nan() {
                return Err(EvalError::at(span, "Ratio value is NaN"));
            }
            let ratio = param.clamp(-1.0, 1.0);
            if ratio != param {
                let message = format!(
                    "ratio value should be between -1 and 1, got {}, capping to {}",
                    model::format_float_shortest(param),
                    model::format_float_shortest(ratio)
                );
                self.notes.warn(span, message);
            }
            return Ok(if ratio == 0.0 { Limit::None } else { Limit::Ratio(ratio) });
        }
        if param.is_nan() {
            return Err(EvalError::at(span, "Parameter value is NaN"));
        }
        if !(-9.223_372_036_854_776e18..9.223_372_036_854_775e18).contains(&param) {
            let message = format!("Scalar value {} overflows int64", model::format_float_shortest(param));
            return Err(EvalError::at(span, message));
        }
        Ok(if param < 1.0 { Limit::None } else { Limit::Count(param as usize) })
    }

    /// The members to keep, in order of their rank.
    fn best(&mut self, op: AggregateOp, span: Span, present: Vec<(usize, Option<f64>)>, k: usize) -> Members {
        if op == AggregateOp::Limitk {
            return present.into_iter().take(k).map(|(member, _)| member).collect();
        }
        if present.iter().any(|(_, value)| value.is_none()) {
            self.notes.info(span, format_args!("ignored histogram in {} aggregation", op.as_str()));
        }
        let mut ranked: Vec<(usize, f64)> =
            present.into_iter().filter_map(|(m, v)| v.map(|v| (m, v))).collect();
        ranked.sort_by(|(_, a), (_, b)| rank(op, *a, *b));
        ranked.truncate(k);
        ranked.into_iter().map(|(member, _)| member).collect()
    }
}

#[derive(Clone, Copy)]
enum Limit {
    None,
    Count(usize),
    Ratio(f64),
}

/// Best first; NaN last in either direction.
fn rank(op: AggregateOp, a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if op == AggregateOp::Bottomk => a.total_cmp(&b),
        (false, false) => b.total_cmp(&a),
    }
}

/// Whether a series belongs to the part of all series that `ratio` names. A negative ratio names the complement of
/// `1 + ratio`, so that `r` and `r - 1` share nothing and leave nothing out. The choice depends on labels alone.
fn in_ratio(series: &Ser, ratio: f64) -> bool {
    let place = spread(series.labels.fingerprint().0) as f64 / u64::MAX as f64;
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}

/// Spreads a hash evenly over 64 bits: FNV alone leaves the high bits of short texts alike. Source: `splitmix64`.
fn spread(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
