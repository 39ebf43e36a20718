//! `cpu`: what processors spend their time on.

use super::cpu_info;
use crate::scrape::{Outcome, Scrape, number, words};

const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const FOLDER: &str = "/sys/devices/system/cpu";

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    if s.options.cpu_info {
        cpu_info::collect(s)?;
    }
    seconds(s)?;
    isolated(s);
    throttles(s)
}

/// The kernel counts in hundredths of a second, whatever its own clock.
fn seconds(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/stat")?;
    for line in text.lines() {
        let fields = words(line);
        let Some(cpu) =
            fields.first().and_then(|name| name.strip_prefix("cpu")).filter(|cpu| !cpu.is_empty())
        else {
            continue;
        };
        let time = |at: usize| fields.get(at + 1).and_then(|text| number(text)).unwrap_or(0.0) / 100.0;
        let help = "Time that a processor spent, by what it did.";
        for (at, mode) in MODES.iter().enumerate() {
            s.counter("node_cpu_seconds_total", help, &[("cpu", cpu), ("mode", mode)], time(at));
        }
        let help = "Time that a processor spent for virtual machines.";
        for (at, mode) in [(8, "user"), (9, "nice")] {
            s.counter("node_cpu_guest_seconds_total", help, &[("cpu", cpu), ("mode", mode)], time(at));
        }
    }
    Ok(())
}

fn isolated(s: &mut Scrape<'_>) {
    let list = s.line(&format!("{FOLDER}/isolated")).unwrap_or_default();
    for cpu in ranges(&list) {
        let cpu = cpu.to_string();
        s.gauge(
            "node_cpu_isolated",
            "Whether a processor is kept from the scheduler.",
            &[("cpu", &cpu)],
            1.0,
        );
    }
}

/// `1,3-5` is 1, 3, 4, 5.
fn ranges(list: &str) -> Vec<u32> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            // No machine has more processors; a broken file must not cost a minute.
            all.extend((first..=last).take(8192));
        }
    }
    all
}

/// Throttling is counted for cores and packages; all processors of one show the same number.
fn throttles(s: &mut Scrape<'_>) -> Outcome {
    let Ok(cpus) = s.numbered(FOLDER, "cpu") else { return Ok(()) };
    let (mut cores, mut packages) = (Vec::new(), Vec::new());
    for (_, cpu) in cpus {
        let folder = format!("{FOLDER}/{cpu}");
        let read = s.lines_of(
            &folder,
            &[
                "topology/physical_package_id",
                "topology/core_id",
                "thermal_throttle/core_throttle_count",
                "thermal_throttle/package_throttle_count",
            ],
        );
        let [package, core, core_count, package_count] = &read[..] else { continue };
        let (Some(package), Some(core)) = (package, core) else { continue };
        if let Some(count) = core_count.as_deref().and_then(number)
            && !cores.contains(&(package.clone(), core.clone()))
        {
            cores.push((package.clone(), core.clone()));
            let help = "Times that a core was throttled.";
            s.counter("node_cpu_core_throttles_total", help, &[("core", core), ("package", package)], count);
        }
        if let Some(count) = package_count.as_deref().and_then(number)
            && !packages.contains(package)
        {
            packages.push(package.clone());
            let help = "Times that a package was throttled.";
            s.counter("node_cpu_package_throttles_total", help, &[("package", package)], count);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_of_processors() {
        assert_eq!(ranges("1,3-5,9"), [1, 3, 4, 5, 9]);
        assert_eq!((ranges(""), ranges("5-3"), ranges("x-y")), (vec![], vec![], vec![]));
        assert_eq!(ranges("0-4294967295").len(), 8192);
    }
}
