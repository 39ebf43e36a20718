//! When scrapes happen, and what time they are given.

use std::time::Duration;

use model::Timestamp;

/// A timer that fires this much late or early is taken to have fired on time: equal distances compress well.
const TOLERANCE_MAX_MILLIS: i64 = 2;

/// How long to wait for the first scrape of the target with this `seed`: scrapes of different targets are spread over the
/// interval, and a target keeps its place in it over restarts.
pub(crate) fn first_wait(now: Timestamp, interval: Duration, seed: u64) -> Duration {
    let interval_ms = millis(interval).max(1);
    let into_interval = now.as_millis().rem_euclid(interval_ms);
    let place = i64::try_from(spread(seed) % interval_ms.unsigned_abs()).unwrap_or(0);
    let wait = (place - into_interval).rem_euclid(interval_ms);
    Duration::from_millis(wait.unsigned_abs())
}

/// The time of a scrape at `now`: a whole number of intervals from `last` if that is within the tolerance.
pub(crate) fn aligned(now: Timestamp, last: Timestamp, interval: Duration) -> Timestamp {
    let interval_ms = millis(interval).max(1);
    let tolerance = TOLERANCE_MAX_MILLIS.min(interval_ms / 100);
    let since = now.as_millis().saturating_sub(last.as_millis());
    let late = since.rem_euclid(interval_ms);
    if since <= 0 {
        // The clock was set back, or nothing has passed.
        now
    } else if late <= tolerance {
        now.plus_millis(-late)
    } else if interval_ms - late <= tolerance {
        now.plus_millis(interval_ms - late)
    } else {
        now
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Mixes all bits of `seed`. Source: the finalizer of SplitMix64.
fn spread(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_keeps_its_place_in_the_interval() {
        let interval = Duration::from_secs(15);
        for seed in 0..50 {
            let place = |now: i64| {
                let now = Timestamp::from_millis(now);
                let wait = first_wait(now, interval, seed);
                assert!(wait < interval);
                (now + wait).as_millis() % 15_000
            };
            assert_eq!(place(1_000_000), place(1_234_567));
        }
    }

    #[test]
    fn different_targets_have_different_places() {
        let interval = Duration::from_secs(60);
        let places: std::collections::HashSet<Duration> =
            (0..100).map(|seed| first_wait(Timestamp::EPOCH, interval, seed)).collect();
        assert!(places.len() > 95);
    }

    #[test]
    fn small_jitter_is_ignored() {
        let last = Timestamp::from_millis(100_000);
        let at = |now: i64| aligned(Timestamp::from_millis(now), last, Duration::from_secs(15)).as_millis();
        assert_eq!(at(115_000), 115_000);
        assert_eq!(at(115_002), 115_000);
        assert_eq!(at(114_998), 115_000);
        assert_eq!(at(130_001), 130_000, "a missed scrape");
        assert_eq!(at(115_003), 115_003);
        assert_eq!(at(90_000), 90_000, "the clock went back");
        let short = aligned(Timestamp::from_millis(100_101), last, Duration::from_millis(100));
        assert_eq!(short.as_millis(), 100_100, "one hundredth of the interval");
    }
}
