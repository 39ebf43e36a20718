//! `watchdog`: devices that restart a machine which no longer answers them.

use crate::scrape::{Outcome, Scrape, number};

const FOLDER: &str = "/sys/class/watchdog";
const NUMBERS: [(&str, &str, &str); 6] = [
    ("bootstatus", "bootstatus", "Why the machine was started."),
    ("fw_version", "fw_version", "Version of a watchdog's firmware."),
    ("nowayout", "nowayout", "Whether a watchdog cannot be stopped."),
    ("timeleft", "timeleft_seconds", "Time until a watchdog acts."),
    ("timeout", "timeout_seconds", "Time after which a watchdog acts."),
    ("pretimeout", "pretimeout_seconds", "Time before the end at which a watchdog warns."),
];
const ACCESS: (&str, &str, &str) = ("access_cs0", "access_cs0", "Access of a watchdog to its first chip.");
const TEXTS: [&str; 5] = ["options", "identity", "state", "status", "pretimeout_governor"];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for device in s.names(FOLDER)? {
        let folder = format!("{FOLDER}/{device}");
        for (file, name, help) in NUMBERS.into_iter().chain([ACCESS]) {
            if let Some(value) = s.line(&format!("{folder}/{file}")).ok().as_deref().and_then(number) {
                s.gauge(&format!("node_watchdog_{name}"), help, &[("name", &device)], value);
            }
        }
        let texts = s.lines_of(&folder, &TEXTS);
        let mut labels = vec![("name", device.as_str())];
        labels.extend(TEXTS.iter().zip(&texts).filter_map(|(name, text)| Some((*name, text.as_deref()?))));
        s.gauge("node_watchdog_info", "What a watchdog is.", &labels, 1.0);
    }
    Ok(())
}
