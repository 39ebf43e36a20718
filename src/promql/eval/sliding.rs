//! Functions over windows of numbers, from window to window.
//!
//! Windows of neighbouring steps overlap: what a step costs depends on how many samples come and go, not on how many
//! the window holds. Nothing is ever subtracted again, so that no rounding error and no infinity stays behind: sums are kept
//! as two parts that only grow, extremes and quantiles in order. Rates are those of the plain formula, bit for bit;
//! sums may differ from it in the last place.

use std::cmp::Ordering;
use std::collections::VecDeque;

use model::FloatSample;

use super::elements;
use super::kahan::Kahan;
use super::over_time::{Job, extreme};
use super::rate::Ends;
use super::recorder::Recorder;
use super::window::advance;
use crate::Stop;
use crate::functions::FunctionId as F;

/// Windows that share less than this part with the next one are computed anew.
const OVERLAP_MIN: i64 = 4;
/// Sums of larger numbers may overflow in one order and not in another.
const LARGE: f64 = 1e290;
/// Squares and products of larger numbers may.
const FINE: f64 = 1e140;

/// The values of a function for all windows of a series that has numbers alone; answers the size of the largest window.
/// `None` if the function has to see each window as a whole. When it is to stop, windows are missing at the end.
pub(super) fn slide(
    job: &Job<'_>,
    floats: &[FloatSample],
    stop: &Stop,
    recorder: &mut Recorder,
    out: &mut Vec<(u32, f64)>,
) -> Option<usize> {
    let mut windows = Windows { job, floats, stop, recorder, widest: 0 };
    let overlap = job.grid.len > 1 && job.time.range >= job.grid.step.saturating_mul(OVERLAP_MIN);
    match job.id {
        F::Rate | F::Increase | F::Delta => rates(&mut windows, out),
        F::Irate | F::Idelta => windows.each(|at| {
            if at.hi - at.lo < 2 {
                return;
            }
            let (before, last) = (floats[at.hi - 2], floats[at.hi - 1]);
            let seconds = (last.at.as_millis() - before.at.as_millis()) as f64 / 1000.0;
            let value = match job.id {
                F::Irate if last.value < before.value => last.value / seconds,
                F::Irate => (last.value - before.value) / seconds,
                _ => last.value - before.value,
            };
            out.push((at.step, value));
        }),
        F::CountOverTime => windows.each(|at| out.push((at.step, (at.hi - at.lo) as f64))),
        F::PresentOverTime => windows.each(|at| out.push((at.step, 1.0))),
        F::LastOverTime => windows.each(|at| out.push((at.step, floats[at.hi - 1].value))),
        F::FirstOverTime => windows.each(|at| out.push((at.step, floats[at.lo].value))),
        F::TsOfLastOverTime => {
            windows.each(|at| out.push((at.step, floats[at.hi - 1].at.as_millis() as f64 / 1000.0)));
        }
        F::TsOfFirstOverTime => {
            windows.each(|at| out.push((at.step, floats[at.lo].at.as_millis() as f64 / 1000.0)));
        }
        F::Changes => {
            let changed = |a: f64, b: f64| a != b && !(a.is_nan() && b.is_nan());
            pairs(&mut windows, changed, out);
        }
        F::Resets => pairs(&mut windows, |a, b| b < a, out),
        F::SumOverTime | F::AvgOverTime if overlap && floats.iter().all(|s| s.value.abs() < LARGE) => {
            sums(&mut windows, out);
        }
        F::StddevOverTime | F::StdvarOverTime if overlap && floats.iter().all(|s| s.value.abs() < FINE) => {
            spreads(&mut windows, out);
        }
        F::Deriv | F::PredictLinear if overlap && floats.iter().all(|s| s.value.abs() < FINE) => {
            lines(&mut windows, out);
        }
        F::MaxOverTime if overlap => extremes(&mut windows, out, |new, old| new > old, |s| s.value),
        F::MinOverTime if overlap => extremes(&mut windows, out, |new, old| new < old, |s| s.value),
        F::TsOfMaxOverTime if overlap => {
            extremes(&mut windows, out, |new, old| new >= old, |s| s.at.as_secs_f64());
        }
        F::TsOfMinOverTime if overlap => {
            extremes(&mut windows, out, |new, old| new <= old, |s| s.at.as_secs_f64());
        }
        F::MaxOverTime => windows.each(|at| {
            out.push((at.step, extreme(&floats[at.lo..at.hi], |new, best| new > best).value));
        }),
        F::MinOverTime => windows.each(|at| {
            out.push((at.step, extreme(&floats[at.lo..at.hi], |new, best| new < best).value));
        }),
        F::QuantileOverTime if overlap => quantiles(&mut windows, out),
        _ => return None,
    }
    Some(windows.widest)
}

/// A window that is not empty.
#[derive(Clone, Copy)]
struct At {
    step: u32,
    /// The first sample of it.
    lo: usize,
    /// Behind the last one.
    hi: usize,
    start: i64,
    end: i64,
}

struct Windows<'w> {
    job: &'w Job<'w>,
    floats: &'w [FloatSample],
    stop: &'w Stop,
    recorder: &'w mut Recorder,
    widest: usize,
}

impl Windows<'_> {
    #[inline]
    fn each(&mut self, mut visit: impl FnMut(At)) {
        let Job { time, grid, .. } = self.job;
        let (mut lo, mut hi) = (0, 0);
        for step in 0..grid.len {
            let end = time.end(grid.time(step));
            let start = end.saturating_sub(time.range);
            advance(&mut hi, self.floats, |s| s.at.as_millis() <= end);
            advance(&mut lo, self.floats, |s| s.at.as_millis() <= start);
            if lo >= hi {
                continue;
            }
            if self.stop.check().is_err() {
                return;
            }
            self.recorder.count_at(step, (hi - lo) as u64);
            self.widest = self.widest.max(hi - lo);
            visit(At { step: step as u32, lo, hi, start, end });
        }
    }
}

fn rates(windows: &mut Windows<'_>, out: &mut Vec<(u32, f64)>) {
    let (job, floats) = (windows.job, windows.floats);
    let counter = job.id != F::Delta;
    let range_seconds = job.time.range as f64 / 1000.0;
    // Where the counter fell. What it had before is added again in the order of samples, as the plain formula does.
    let mut resets: Vec<usize> = Vec::new();
    if counter {
        resets.extend((1..floats.len()).filter(|at| floats[*at].value < floats[at - 1].value));
    }
    let mut passed = 0;
    windows.each(|At { step, lo, hi, start, end }| {
        if hi - lo < 2 {
            return;
        }
        let (first, last) = (floats[lo], floats[hi - 1]);
        let mut change = last.value - first.value;
        while resets.get(passed).is_some_and(|reset| *reset <= lo) {
            passed += 1;
        }
        for reset in resets[passed..].iter().take_while(|reset| **reset < hi) {
            change += floats[reset - 1].value;
        }
        let ends = Ends::of(first.at, last.at, hi - lo);
        let mut factor = ends.extrapolation(start, end, counter.then_some((first.value, change)));
        if job.id == F::Rate {
            factor /= range_seconds;
        }
        out.push((step, change * factor));
    });
}

/// How many pairs of neighbours in the window are as asked.
fn pairs(windows: &mut Windows<'_>, counts: impl Fn(f64, f64) -> bool, out: &mut Vec<(u32, f64)>) {
    let mut until = Vec::with_capacity(windows.floats.len());
    let mut count = 0u32;
    for (at, sample) in windows.floats.iter().enumerate() {
        if at > 0 && counts(windows.floats[at - 1].value, sample.value) {
            count += 1;
        }
        until.push(count);
    }
    windows.each(|at| out.push((at.step, f64::from(until[at.hi - 1] - until[at.lo]))));
}

/// What is known of samples, and can be put together with what is known of others.
trait Part: Copy + Default {
    /// With one more sample; the time is in milliseconds since some moment near the window.
    fn with(self, since: i64, value: f64) -> Self;
    fn and(self, other: Self) -> Self;
}

/// Two parts: one of which is known what lies from each sample to its end, and one behind it that grows. When the first one
/// is used up, the second one takes its place. `show` is given what is known of the window, and since when times count.
fn in_two_parts<P: Part>(windows: &mut Windows<'_>, mut show: impl FnMut(At, P, i64)) {
    let floats = windows.floats;
    // `from[i]` is what is known of the samples from `base + i` to `middle`.
    let (mut from, mut base, mut middle): (Vec<P>, usize, usize) = (Vec::new(), 0, 0);
    let (mut grown, mut grown_to, mut origin) = (P::default(), 0, 0);
    windows.each(|at| {
        let At { lo, hi, .. } = at;
        if lo >= middle {
            origin = floats[lo].at.as_millis();
            let mut part = P::default();
            from.clear();
            from.extend(floats[lo..hi].iter().rev().map(|sample| {
                part = part.with(sample.at.as_millis() - origin, sample.value);
                part
            }));
            from.reverse();
            (base, middle, grown, grown_to) = (lo, hi, P::default(), hi);
        }
        for sample in &floats[grown_to..hi] {
            grown = grown.with(sample.at.as_millis() - origin, sample.value);
        }
        grown_to = hi;
        show(at, from[lo - base].and(grown), origin);
    });
}

impl Part for Kahan {
    #[inline]
    fn with(mut self, _: i64, value: f64) -> Self {
        self.add(value);
        self
    }

    #[inline]
    fn and(mut self, other: Self) -> Self {
        self.add(other.sum);
        self.compensation += other.compensation;
        self
    }
}

fn sums(windows: &mut Windows<'_>, out: &mut Vec<(u32, f64)>) {
    let mean = windows.job.id == F::AvgOverTime;
    in_two_parts(windows, |At { step, lo, hi, .. }, sum: Kahan, _| {
        let count = (hi - lo) as f64;
        let value = if mean { sum.sum / count + sum.compensation / count } else { sum.total() };
        out.push((step, value));
    });
}

/// How far samples lie from their mean. Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for
/// computing sample variances".
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: Kahan,
    squares: Kahan,
}

impl Part for Spread {
    #[inline]
    fn with(mut self, _: i64, value: f64) -> Self {
        self.count += 1.0;
        let delta = value - self.mean.total();
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - self.mean.total()));
        self
    }

    #[inline]
    fn and(mut self, other: Self) -> Self {
        if self.count == 0.0 || other.count == 0.0 {
            return if self.count == 0.0 { other } else { self };
        }
        let count = self.count + other.count;
        // Means are near each other and may be large: their last digits count.
        let delta = (other.mean.sum - self.mean.sum) + (other.mean.compensation - self.mean.compensation);
        self.mean.add(delta * other.count / count);
        self.squares = self.squares.and(other.squares);
        self.squares.add(delta * delta * self.count * other.count / count);
        self.count = count;
        self
    }
}

fn spreads(windows: &mut Windows<'_>, out: &mut Vec<(u32, f64)>) {
    let root = windows.job.id == F::StddevOverTime;
    in_two_parts(windows, |At { step, .. }, spread: Spread, _| {
        let variance = spread.squares.total() / spread.count;
        out.push((step, if root { variance.sqrt() } else { variance }));
    });
}

/// Sums for a line through samples by least squares; times in seconds.
#[derive(Clone, Copy, Default)]
struct Line {
    x: Kahan,
    y: Kahan,
    xy: Kahan,
    xx: Kahan,
}

impl Part for Line {
    #[inline]
    fn with(mut self, since: i64, value: f64) -> Self {
        let x = since as f64 / 1000.0;
        self.x.add(x);
        self.y.add(value);
        self.xy.add(x * value);
        self.xx.add(x * x);
        self
    }

    #[inline]
    fn and(self, other: Self) -> Self {
        Line {
            x: self.x.and(other.x),
            y: self.y.and(other.y),
            xy: self.xy.and(other.xy),
            xx: self.xx.and(other.xx),
        }
    }
}

/// Slopes, and values at a distance from the step.
fn lines(windows: &mut Windows<'_>, out: &mut Vec<(u32, f64)>) {
    let (job, floats) = (windows.job, windows.floats);
    // How often the value has changed until each sample: no rounding error may tilt a constant.
    let mut changes = Vec::with_capacity(floats.len());
    let mut count = 0u32;
    for (at, sample) in floats.iter().enumerate() {
        count += u32::from(at > 0 && floats[at - 1].value != sample.value);
        changes.push(count);
    }
    in_two_parts(windows, |At { step, lo, hi, .. }, line: Line, origin| {
        if hi - lo < 2 {
            return;
        }
        let (n, first) = ((hi - lo) as f64, floats[lo].value);
        let (slope, at_origin) = if changes[lo] == changes[hi - 1] {
            (0.0, first)
        } else {
            let (x, y, xy, xx) = (line.x.total(), line.y.total(), line.xy.total(), line.xx.total());
            let slope = (xy - x * y / n) / (xx - x * x / n);
            (slope, y / n - slope * x / n)
        };
        if job.id == F::Deriv {
            out.push((step, slope));
            return;
        }
        let ahead = job.scalars.first().and_then(|values| values.get(step as usize)).copied();
        let now = (job.grid.time(step as usize) - origin) as f64 / 1000.0;
        out.push((step, at_origin + slope * (now + ahead.unwrap_or(f64::NAN))));
    });
}

/// The samples that are or may become the extreme one, best first. `beats` is asked for a new and an older one.
fn extremes(
    windows: &mut Windows<'_>,
    out: &mut Vec<(u32, f64)>,
    beats: impl Fn(f64, f64) -> bool,
    answer: impl Fn(FloatSample) -> f64,
) {
    let floats = windows.floats;
    let (mut best, mut seen): (VecDeque<usize>, usize) = (VecDeque::new(), 0);
    windows.each(|At { step, lo, hi, .. }| {
        for at in seen.max(lo)..hi {
            let value = floats[at].value;
            if value.is_nan() {
                continue;
            }
            while best.back().is_some_and(|old| beats(value, floats[*old].value)) {
                best.pop_back();
            }
            best.push_back(at);
        }
        seen = hi;
        while best.front().is_some_and(|old| *old < lo) {
            best.pop_front();
        }
        // Anything is better than NaN, even a later NaN.
        out.push((step, answer(floats[best.front().copied().unwrap_or(hi - 1)])));
    });
}

/// The values of the window in order.
fn quantiles(windows: &mut Windows<'_>, out: &mut Vec<(u32, f64)>) {
    let (floats, scalars) = (windows.floats, windows.job.scalars);
    let (mut sorted, mut from, mut to): (Vec<f64>, usize, usize) = (Vec::new(), 0, 0);
    let place = |sorted: &[f64], value: f64| {
        sorted.partition_point(|other| elements::ascending(*other, value) == Ordering::Less)
    };
    windows.each(|At { step, lo, hi, .. }| {
        if lo >= to || (lo - from) + (hi - to) > (hi - lo) / 2 {
            sorted.clear();
            sorted.extend(floats[lo..hi].iter().map(|sample| sample.value));
            sorted.sort_unstable_by(|a, b| elements::ascending(*a, *b));
        } else {
            for sample in &floats[from..lo] {
                let at = place(&sorted, sample.value);
                sorted.remove(at);
            }
            for sample in &floats[to..hi] {
                let at = place(&sorted, sample.value);
                sorted.insert(at, sample.value);
            }
        }
        (from, to) = (lo, hi);
        let q = scalars.first().and_then(|values| values.get(step as usize)).copied().unwrap_or(f64::NAN);
        out.push((step, elements::quantile_of_sorted(q, &sorted)));
    });
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use model::{Samples, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::ast::{Edges, Span};
    use crate::eval::notes::Notes;
    use crate::eval::over_time::{Call, value_of};
    use crate::eval::series::{Grid, Val};
    use crate::eval::window::{Cursor, Times};
    use crate::{EvalOptions, NanoClock};

    const EXACT: [F; 18] = [
        F::Rate,
        F::Increase,
        F::Delta,
        F::Irate,
        F::Idelta,
        F::CountOverTime,
        F::PresentOverTime,
        F::LastOverTime,
        F::FirstOverTime,
        F::TsOfLastOverTime,
        F::TsOfFirstOverTime,
        F::Changes,
        F::Resets,
        F::MaxOverTime,
        F::MinOverTime,
        F::TsOfMaxOverTime,
        F::TsOfMinOverTime,
        F::QuantileOverTime,
    ];

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => (0..6i32).prop_map(f64::from),
            8 => -1e6..1e6,
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
            1 => Just(f64::NEG_INFINITY),
            1 => Just(-0.0),
            1 => Just(1e300),
        ]
    }

    fn samples(value: impl Strategy<Value = f64>) -> impl Strategy<Value = Samples> {
        prop::collection::vec((1..40i64, value), 0..120).prop_map(|pairs| {
            let mut at = 0;
            let sample = |(gap, value): (i64, f64)| {
                at += gap * 500;
                FloatSample { at: Timestamp::from_millis(at), value }
            };
            Samples { floats: pairs.into_iter().map(sample).collect(), ..Samples::default() }
        })
    }

    /// The values that `slide` gives, and those of the plain formula for each window by itself.
    fn both(id: F, samples: &Samples, range: i64, grid: Grid) -> Option<[Vec<(u32, f64)>; 2]> {
        let scalars = [(0..grid.len).map(|step| step as f64 / 20.0).collect::<Vec<f64>>()];
        let time = Times { moment: crate::plan::Moment::Before(700), range, lookback: 300_000 };
        let job = Job { id, span: Span::default(), edges: Edges::Plain, time, scalars: &scalars, grid };
        let options = EvalOptions { explain: Some(NanoClock::none()), ..EvalOptions::default() };
        let mut slid = Vec::new();
        slide(&job, &samples.floats, &options.stop, &mut Recorder::new(&options, grid.len), &mut slid)?;
        let mut notes = Notes::default();
        let call = Call {
            id,
            span: job.span,
            metric: "",
            edges: job.edges,
            range_seconds: range as f64 / 1000.0,
            scalars: &scalars,
            notes: &RefCell::new(&mut notes),
        };
        let (mut plain, mut cursor) = (Vec::new(), Cursor::default());
        for step in 0..grid.len {
            let window = time.window(samples, &mut cursor, step, grid.time(step));
            if window.is_empty() {
                continue;
            }
            if let Some(Val::Float(value)) = value_of(&call, &window) {
                plain.push((step as u32, value));
            }
        }
        Some([slid, plain])
    }

    fn grids() -> impl Strategy<Value = (i64, Grid)> {
        (500..90_000i64, -5_000..5_000i64, 500..9_000i64, 1..40usize)
            .prop_map(|(range, start, step, len)| (range, Grid { start, step, len }))
    }

    proptest! {
        #[test]
        fn windows_that_move_are_those_that_are_walked(samples in samples(value()), (range, grid) in grids()) {
            for id in EXACT {
                let Some([slid, plain]) = both(id, &samples, range, grid) else { continue };
                let bits = |values: &[(u32, f64)]| -> Vec<(u32, u64)> {
                    // One NaN is as good as another.
                    let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
                    values.iter().map(|(step, value)| (*step, bits(*value))).collect()
                };
                prop_assert_eq!(bits(&slid), bits(&plain), "{:?}", id);
            }
        }

        #[test]
        fn sums_differ_in_the_last_place_alone(samples in samples(-1e6..1e6), (range, grid) in grids()) {
            for id in [F::SumOverTime, F::AvgOverTime] {
                let Some([slid, plain]) = both(id, &samples, range, grid) else { continue };
                prop_assert_eq!(slid.len(), plain.len());
                for ((step, slid), (other, plain)) in slid.into_iter().zip(plain) {
                    prop_assert_eq!(step, other);
                    // Both are sums with compensation: their error is that of the last place, and of 1e-16 of what cancels.
                    prop_assert!((slid - plain).abs() <= plain.abs() * 1e-15 + 1e-9 * 1e-6, "{} {}", slid, plain);
                }
            }
        }

        #[test]
        fn spreads_and_lines_are_as_good_as_those_that_are_walked(
            samples in samples(-1e3..1e3), (range, grid) in grids(),
        ) {
            for id in [F::StddevOverTime, F::StdvarOverTime, F::Deriv, F::PredictLinear] {
                let Some([slid, plain]) = both(id, &samples, range, grid) else { continue };
                prop_assert_eq!(slid.len(), plain.len());
                for ((step, slid), (other, plain)) in slid.into_iter().zip(plain) {
                    prop_assert_eq!(step, other);
                    // Values are large against lines and spreads that nearly vanish.
                    let near = (slid - plain).abs() <= 1e-11 * (100.0 + plain.abs());
                    prop_assert!(near || (slid.is_nan() && plain.is_nan()), "{:?} {} {}", id, slid, plain);
                }
            }
        }

        #[test]
        fn spreads_of_large_numbers_keep_their_digits(
            samples in samples((-1e3..1e3).prop_map(|small| 1e9 + small)), (range, grid) in grids(),
        ) {
            let Some([slid, plain]) = both(F::StdvarOverTime, &samples, range, grid) else { return Ok(()) };
            for ((_, slid), (_, plain)) in slid.into_iter().zip(plain) {
                prop_assert!((slid - plain).abs() <= 1e-6 * (1.0 + plain.abs()), "{} {}", slid, plain);
            }
        }

        #[test]
        fn sums_of_anything_are_as_infinite(samples in samples(value()), (range, grid) in grids()) {
            for id in [F::SumOverTime, F::AvgOverTime, F::StddevOverTime, F::Deriv] {
                let Some([slid, plain]) = both(id, &samples, range, grid) else { continue };
                for ((_, slid), (_, plain)) in slid.into_iter().zip(plain) {
                    prop_assert_eq!(slid.is_finite(), plain.is_finite());
                }
            }
        }
    }
}
