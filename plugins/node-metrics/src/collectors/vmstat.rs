//! `vmstat`: what the kernel's memory management did.

use crate::scrape::{Outcome, Scrape, number, words};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/vmstat")?;
    for line in text.lines() {
        let [name, value] = words(line)[..] else { continue };
        let prefixed = ["oom_kill", "pgpg", "pswp"].iter().any(|prefix| name.starts_with(prefix));
        let fault = name.starts_with("pg") && name.contains("fault");
        if let Some(value) = number(value).filter(|_| prefixed || fault) {
            s.untyped(&format!("node_vmstat_{name}"), &format!("{name} in /proc/vmstat."), &[], value);
        }
    }
    Ok(())
}
