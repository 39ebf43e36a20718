//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
/// A receiver that is back is told soon. What this costs one that is not is bounded: few attempts run at once.
const LONGEST: Duration = Duration::from_secs(10);

/// The pause after `failures` failed attempts: 1 s, doubling up to 10 s, ±20 % by `chance`.
pub(crate) fn pause(failures: u32, chance: u64) -> Duration {
    let doubled = FIRST.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let thousandths = 800 + u32::try_from(chance % 401).unwrap_or(0);
    doubled.min(LONGEST) * thousandths / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_within_a_fifth_and_is_bounded() {
        for (failures, millis) in [(1, 1000), (2, 2000), (3, 4000), (4, 8000), (5, 10_000), (200, 10_000)] {
            for chance in [0, 200, 400, u64::MAX] {
                let pause = pause(failures, chance).as_millis();
                assert!(pause >= millis * 8 / 10 && pause <= millis * 12 / 10, "{failures}: {pause}");
            }
        }
    }
}
