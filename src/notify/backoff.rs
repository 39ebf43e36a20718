//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The pause after `failures` failed attempts: 1 s, doubling up to 60 s, ±20 % by `chance`.
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
        for (failures, millis) in [(1, 1000), (2, 2000), (3, 4000), (7, 60_000), (200, 60_000)] {
            for chance in [0, 200, 400, u64::MAX] {
                let pause = pause(failures, chance).as_millis();
                assert!(pause >= millis * 8 / 10 && pause <= millis * 12 / 10, "{failures}: {pause}");
            }
        }
    }
}
