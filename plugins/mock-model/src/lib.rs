//! Exporter: a model that does not exist, to try rules on.
//!
//! Out: the gauge `model_result`, a walk between 0 and 1 that visits the values above 0.75 within minutes and leaves
//! them again. State: where the walk is, and when it was there, under `walk`; so the walk goes on over restarts, and
//! two scrapes at one time read one value.

use foghorn_plugin::exporter::*;
use serde::{Deserialize, Serialize};

struct MockModel;

impl Collector for MockModel {
    const MANIFEST: &'static str = r#"{
        "name": "mock_model",
        "version": "0.1.0",
        "about": "A model that does not exist: one gauge walks at random between 0 and 1.",
        "metrics": { "model_result": "Result of the model." },
        "params": {
            "seed": { "type": "integer", "default": 0, "about": "Another seed is another walk." },
            "period": { "type": "number", "default": 240.0, "about": "Seconds of one swing between low and high." }
        }
    }"#;

    fn collect(_target: &Target) -> Result<Exposition> {
        let swing = Swing { seed: param("seed")?, period: param("period")? };
        if !(swing.period.is_finite() && swing.period >= 1.0) {
            return Err(Error::config("parameter `period` has to be at least 1 second"));
        }
        let walk = swing.walk_on(state::get("walk")?, clock::now());
        state::set("walk", &walk)?;
        let mut out = Exposition::new();
        out.gauge("model_result", "Result of the model.").point(&[], walk.value);
        Ok(out)
    }
}

export_exporter!(MockModel);

/// Where the walk is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Walk {
    /// When, in milliseconds.
    at: i64,
    /// Between 0 and 1.
    value: f64,
    /// State of the generator.
    random: u64,
}

/// What the walk is drawn to.
struct Swing {
    seed: u64,
    period: f64,
}

impl Swing {
    /// The walk at `now`. It moves one step a second, at most a thousand: after a pause it starts from a place that is
    /// as likely as any.
    fn walk_on(&self, before: Option<Walk>, now: Timestamp) -> Walk {
        let mut walk = before.unwrap_or(Walk { at: now.0 - 1000, value: 0.5, random: self.seed });
        // The clock was set back: stay, and count from here.
        walk.at = walk.at.min(now.0).max(now.0 - 1_000_000);
        while walk.at + 1000 <= now.0 {
            walk.at += 1000;
            walk.value = self.step(walk.value, walk.at, &mut walk.random);
        }
        walk
    }

    /// One second: a random step, drawn a little towards a wave that is above 0.75 for a third of its period. The wave
    /// makes sure that alerts come and go within minutes; the steps make each time look different.
    fn step(&self, value: f64, at: i64, random: &mut u64) -> f64 {
        // Drawn the harder the faster the wave is, or a short one would be smoothed away.
        let pull = (28.8 / self.period).min(1.0);
        let wave = 0.5 + 0.42 * (at as f64 / 1000.0 / self.period * std::f64::consts::TAU).sin();
        let noise = (uniform(random) + uniform(random) + uniform(random) - 1.5) * 0.06;
        (value + (wave - value) * pull + noise).clamp(0.0, 1.0)
    }
}

/// A number in [0, 1): SplitMix64, which passes the usual tests and is six lines.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn values(seed: u64, seconds: i64) -> Vec<f64> {
        let swing = Swing { seed, period: 240.0 };
        let mut walk = None;
        let mut value_at = |second| {
            let next = swing.walk_on(walk, Timestamp(1_700_000_000_000 + second * 1000));
            walk = Some(next);
            next.value
        };
        (0..seconds).map(&mut value_at).collect()
    }

    #[test]
    fn visits_and_leaves_the_values_above_three_quarters_within_minutes() {
        for seed in 0..50 {
            let values = values(seed, 3600);
            assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
            for minutes in values.chunks(300) {
                let above = minutes.iter().filter(|value| **value > 0.75).count();
                assert!((20..200).contains(&above), "seed {seed}: {above} of 300 seconds above 0.75");
            }
        }
    }

    #[test]
    fn a_short_period_swings_as_far() {
        let swing = Swing { seed: 3, period: 30.0 };
        let mut walk = None;
        let mut above = 0;
        for second in 0..300 {
            let next = swing.walk_on(walk, Timestamp(1_700_000_000_000 + second * 1000));
            above += u32::from(next.value > 0.75);
            walk = Some(next);
        }
        assert!((60..180).contains(&above), "{above} of 300 seconds above 0.75");
    }

    #[test]
    fn goes_on_between_calls_and_does_not_move_without_time() {
        let host = FakeHost::new().manifest(MockModel::MANIFEST).now(1_700_000_000_000);
        let scrape =
            |host: &FakeHost| host.run(|| MockModel::collect(&Target::default())).expect("works").to_text();
        let first = scrape(&host);
        assert!(first.starts_with(
            "# HELP model_result Result of the model.\n# TYPE model_result gauge\nmodel_result 0."
        ));
        assert_eq!(scrape(&host), first);
        let later = host.now(1_700_000_005_000);
        assert_ne!(scrape(&later), first);
    }

    #[test]
    fn a_long_pause_and_a_clock_set_back_are_no_trouble() {
        let swing = Swing { seed: 1, period: 240.0 };
        let walk = swing.walk_on(None, Timestamp(1_700_000_000_000));
        assert_eq!(swing.walk_on(Some(walk), Timestamp(1_600_000_000_000)).value, walk.value);
        let late = swing.walk_on(Some(walk), Timestamp(1_800_000_000_000));
        assert!(late.at > 1_799_999_998_000 && (0.0..=1.0).contains(&late.value));
    }

    #[test]
    fn a_period_of_nothing_is_refused() {
        let host = FakeHost::new().manifest(MockModel::MANIFEST).param("period", 0.0);
        let error = host.run(|| MockModel::collect(&Target::default())).err().expect("refused");
        assert_eq!(error.kind, ErrorKind::Config);
    }
}
