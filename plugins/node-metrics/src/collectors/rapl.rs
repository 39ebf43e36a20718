//! `rapl`: energy that processors used. The kernel shows it to root alone.

use std::collections::BTreeMap;

use crate::scrape::{Outcome, Scrape};

const FOLDER: &str = "/sys/class/powercap";

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for zone in s.names(FOLDER)? {
        let folder = format!("{FOLDER}/{zone}");
        let Ok(name) = s.line(&format!("{folder}/name")) else { continue };
        let Ok(energy) = s.number(&format!("{folder}/energy_uj")) else { continue };
        // `package-0` is the package with index 0; zones without a number are counted.
        let (name, index) = match name.rsplit_once('-') {
            Some((name, number)) if number.parse::<u32>().is_ok() => (name.to_owned(), number.to_owned()),
            _ => {
                let count = seen.entry(name.clone()).or_default();
                *count += 1;
                (name, (*count - 1).to_string())
            }
        };
        let metric: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let labels = [("index", index.as_str()), ("path", &folder)];
        let help = format!("Energy that {name} used.");
        s.counter(&format!("node_rapl_{metric}_joules_total"), &help, &labels, energy / 1e6);
    }
    Ok(())
}
