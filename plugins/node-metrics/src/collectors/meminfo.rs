//! `meminfo`: what memory is used for.

use crate::scrape::{Outcome, Scrape, number, words};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/meminfo")?;
    for line in text.lines() {
        let [key, value, unit @ ..] = &words(line)[..] else { continue };
        let Some(value) = number(value) else { continue };
        let name = name(key.trim_end_matches(':'));
        let (name, value) = match unit {
            [] => (name, value),
            _ => (format!("{name}_bytes"), value * 1024.0),
        };
        s.gauge(
            &format!("node_memory_{name}"),
            &format!("{} in /proc/meminfo.", key.trim_end_matches(':')),
            &[],
            value,
        );
    }
    Ok(())
}

/// `Active(anon)` is `Active_anon`.
fn name(key: &str) -> String {
    match key.strip_suffix(')').and_then(|key| key.split_once('(')) {
        Some((name, part)) => format!("{name}_{part}"),
        None => key.to_owned(),
    }
}
