//! Numbers over arrays. An empty array has no average, no smallest and no quantile: the answer is `()`.

use rhai::{Array, Dynamic, Engine, EvalAltResult, INT};

use super::convert::number;
use super::fault::throw;
use crate::ErrorKind;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("sum", |array: &mut Array| {
            Ok::<_, Box<EvalAltResult>>(values(array)?.iter().sum::<f64>())
        })
        .register_fn("avg", |array: &mut Array| over(array, average))
        .register_fn("stddev", |array: &mut Array| over(array, deviation))
        .register_fn("min", |array: &mut Array| over(array, |v| v.iter().copied().fold(f64::NAN, f64::min)))
        .register_fn("max", |array: &mut Array| over(array, |v| v.iter().copied().fold(f64::NAN, f64::max)))
        .register_fn("median", |array: &mut Array| over(array, |v| quantile(0.5, v)))
        .register_fn("quantile", |q: f64, array: Array| over(&array, |v| quantile(q, v)))
        .register_fn("quantile", |array: &mut Array, q: f64| over(array, |v| quantile(q, v)))
        .register_fn("round", round)
        .register_fn("round", |value: INT, _digits: INT| value);
}

fn values(array: &Array) -> Outcome<Vec<f64>> {
    array.iter().map(number).collect()
}

fn over(array: &Array, of: impl FnOnce(&[f64]) -> f64) -> Outcome<Dynamic> {
    let values = values(array)?;
    Ok(if values.is_empty() { Dynamic::UNIT } else { of(&values).into() })
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the whole population, as PromQL's `stddev`.
fn deviation(values: &[f64]) -> f64 {
    let mean = average(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Interpolated between the two values around it, as PromQL's `quantile`.
fn quantile(q: f64, values: &[f64]) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = q * (sorted.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(sorted.len() - 1);
    let weight = rank - rank.floor();
    sorted[lower] * (1.0 - weight) + sorted[upper] * weight
}

/// To so many digits behind the point; a negative number of digits rounds before it.
fn round(value: f64, digits: INT) -> Outcome<f64> {
    let digits = i32::try_from(digits)
        .ok()
        .filter(|digits| (-300..=300).contains(digits))
        .ok_or_else(|| throw(ErrorKind::Permanent, format!("cannot round to {digits} digits")))?;
    let factor = 10f64.powi(digits);
    let scaled = value * factor;
    // Beyond its own precision a number is already rounded.
    Ok(if scaled.is_finite() { scaled.round() / factor } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds() {
        for (value, digits, expected) in
            [(4.3456, 1, 4.3), (4.35, 1, 4.4), (1234.0, -2, 1200.0), (1e300, 300, 1e300), (-0.05, 1, -0.1)]
        {
            assert_eq!(round(value, digits).unwrap(), expected);
        }
        assert!(round(1.0, 1 << 40).is_err());
    }

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(0.5, &[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(quantile(0.0, &[4.0]), 4.0);
        assert_eq!(quantile(1.0, &[1.0, 2.0]), 2.0);
        assert_eq!(quantile(2.0, &[1.0]), f64::INFINITY);
        assert_eq!(deviation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 2.0);
    }
}
