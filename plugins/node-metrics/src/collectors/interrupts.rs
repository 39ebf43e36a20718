//! `interrupts` and `softirqs`: interrupts, by processor and kind.

use crate::scrape::{Outcome, Scrape, number, words};

pub(super) fn hard(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/interrupts")?;
    let mut lines = text.lines();
    let cpus = words(lines.next().unwrap_or_default()).len();
    for line in lines {
        let Some((kind, rest)) = line.split_once(':') else { continue };
        let (kind, fields) = (kind.trim(), words(rest));
        // Some kinds are counted once for all processors.
        if fields.len() <= cpus {
            continue;
        }
        let (counts, rest) = fields.split_at(cpus);
        let (info, devices) = match rest.split_first() {
            Some((info, devices)) if kind.parse::<u64>().is_ok() => ((*info).to_owned(), devices.join(" ")),
            _ => (rest.join(" "), String::new()),
        };
        for (cpu, count) in counts.iter().enumerate() {
            let cpu = cpu.to_string();
            let labels = [("cpu", cpu.as_str()), ("type", kind), ("info", &info), ("devices", &devices)];
            if let Some(count) = number(count) {
                s.counter("node_interrupts_total", "Interrupts.", &labels, count);
            }
        }
    }
    Ok(())
}

pub(super) fn soft(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/softirqs")?;
    for line in text.lines().skip(1) {
        let Some((kind, counts)) = line.split_once(':') else { continue };
        for (cpu, count) in words(counts).into_iter().enumerate() {
            let cpu = cpu.to_string();
            if let Some(count) = number(count) {
                let labels = [("cpu", cpu.as_str()), ("type", kind.trim())];
                s.counter("node_softirqs_functions_total", "Soft interrupts of a processor.", &labels, count);
            }
        }
    }
    Ok(())
}
