//! Arithmetic on single values.

use std::cmp::Ordering;

use model::{Combined, CounterResetHint};

use super::native;
use super::series::Val;
use crate::ast::BinaryOp;

/// A number from two numbers; a comparison gives 0 or 1.
pub(super) fn scalar_operation(op: BinaryOp, left: f64, right: f64) -> f64 {
    match compare(op, left, right) {
        Some(holds) => f64::from(u8::from(holds)),
        None => arithmetic(op, left, right).unwrap_or(f64::NAN),
    }
}

pub(super) fn compare(op: BinaryOp, left: f64, right: f64) -> Option<bool> {
    Some(match op {
        BinaryOp::Eq => left == right,
        BinaryOp::Ne => left != right,
        BinaryOp::Gt => left > right,
        BinaryOp::Lt => left < right,
        BinaryOp::Ge => left >= right,
        BinaryOp::Le => left <= right,
        _ => return None,
    })
}

pub(super) fn arithmetic(op: BinaryOp, left: f64, right: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        _ => return None,
    })
}

/// The outcome for two values.
pub(super) enum Computed {
    Value(Val),
    Compared(bool),
    Combined(Combined),
    /// Histograms of different kinds.
    Mismatch,
    /// The operator means nothing for these.
    Undefined,
}

impl Computed {
    pub(super) fn is_undefined(&self) -> bool {
        matches!(self, Computed::Undefined)
    }
}

/// A value from two values, of which at most one is a number from a scalar.
pub(super) fn vector_operation(op: BinaryOp, left: &Val, right: &Val) -> Computed {
    match (left, right) {
        (Val::Float(l), Val::Float(r)) => match (compare(op, *l, *r), arithmetic(op, *l, *r)) {
            (Some(holds), _) => Computed::Compared(holds),
            (None, Some(value)) => Computed::Value(value.into()),
            (None, None) => Computed::Undefined,
        },
        (Val::Histogram(l), Val::Histogram(r)) => match op {
            BinaryOp::Add | BinaryOp::Sub => {
                let combined = if op == BinaryOp::Add { l.plus(r) } else { l.minus(r) };
                match combined {
                    Ok(mut combined) => {
                        if op == BinaryOp::Sub {
                            // A difference may fall at any time.
                            combined.histogram.counter_reset_hint = CounterResetHint::Gauge;
                        }
                        Computed::Combined(combined)
                    }
                    Err(_) => Computed::Mismatch,
                }
            }
            BinaryOp::Eq => Computed::Compared(l.is_equivalent(r)),
            BinaryOp::Ne => Computed::Compared(!l.is_equivalent(r)),
            _ => Computed::Undefined,
        },
        (Val::Histogram(h), Val::Float(f)) => match op {
            BinaryOp::Mul => Computed::Value(h.scaled(*f).compacted().into()),
            BinaryOp::Div => Computed::Value(h.divided(*f).compacted().into()),
            BinaryOp::TrimUpper => Computed::Value(native::trimmed(h, *f, native::Keep::Below).into()),
            BinaryOp::TrimLower => Computed::Value(native::trimmed(h, *f, native::Keep::Above).into()),
            _ => Computed::Undefined,
        },
        (Val::Float(f), Val::Histogram(h)) => match op {
            BinaryOp::Mul => Computed::Value(h.scaled(*f).compacted().into()),
            _ => Computed::Undefined,
        },
    }
}

/// What to say about a quantile that is none.
pub(super) fn quantile_range(q: f64) -> String {
    format!("quantile value should be between 0 and 1, got {}", model::format_float_shortest(q))
}

/// The order of numbers for quantiles: NaN is smallest.
pub(super) fn ascending(a: f64, b: f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.total_cmp(&b),
    }
}

/// The `q`-quantile of numbers, interpolated between neighbours. NaN counts as smallest.
pub(super) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(|a, b| ascending(*a, *b));
    quantile_of_sorted(q, &values)
}

/// The same of numbers that are [`ascending`].
pub(super) fn quantile_of_sorted(q: f64, values: &[f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = rank.floor();
    let upper = (lower as usize + 1).min(last);
    let weight = rank - lower;
    values[lower as usize] * (1.0 - weight) + values[upper] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_quantiles() {
        for (q, values, wanted) in [
            (0.5, vec![3.0, 1.0, 2.0], 2.0),
            (0.25, vec![0.0, 1.0], 0.25),
            (0.0, vec![5.0, 4.0], 4.0),
            (1.0, vec![5.0, 4.0], 5.0),
            (-1.0, vec![1.0], f64::NEG_INFINITY),
            (2.0, vec![1.0], f64::INFINITY),
        ] {
            assert_eq!(quantile(q, values), wanted);
        }
        assert!(quantile(f64::NAN, vec![1.0]).is_nan());
        assert!(quantile(0.5, vec![]).is_nan());
    }
}
