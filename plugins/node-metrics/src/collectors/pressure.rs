//! `pressure`: time that was lost waiting for processors, memory and disks.

use crate::scrape::{Outcome, Scrape, number, words};

/// File, kind of line, metric, help. A kernel without a file has the others; all of them missing is no data.
const TOTALS: [(&str, &str, &str, &str); 6] = [
    ("cpu", "some", "cpu_waiting", "Time in which a task waited for a processor."),
    ("io", "some", "io_waiting", "Time in which a task waited for a disk."),
    ("io", "full", "io_stalled", "Time in which all tasks waited for a disk."),
    ("memory", "some", "memory_waiting", "Time in which a task waited for memory."),
    ("memory", "full", "memory_stalled", "Time in which all tasks waited for memory."),
    ("irq", "full", "irq_stalled", "Time in which all tasks waited for interrupts."),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let mut found = Err("/proc/pressure: nothing there".to_owned());
    for (file, kind, name, help) in TOTALS {
        let Ok(text) = s.text(&format!("/proc/pressure/{file}")) else { continue };
        let line = text.lines().map(words).find(|words| words.first() == Some(&kind));
        let total =
            line.and_then(|words| words.iter().find_map(|word| word.strip_prefix("total=").and_then(number)));
        if let Some(total) = total {
            s.counter(&format!("node_pressure_{name}_seconds_total"), help, &[], total / 1000.0 / 1000.0);
            found = Ok(());
        }
    }
    found
}
