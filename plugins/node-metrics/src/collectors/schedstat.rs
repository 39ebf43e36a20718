//! `schedstat`: how the scheduler treats tasks.

use crate::scrape::{Outcome, Scrape, number, words};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/schedstat")?;
    for line in text.lines() {
        let fields = words(line);
        let Some(cpu) =
            fields.first().and_then(|name| name.strip_prefix("cpu")).filter(|cpu| !cpu.is_empty())
        else {
            continue;
        };
        // Nine numbers; the last three are nanoseconds running, nanoseconds waiting, and slices of time.
        let of = |at: usize| fields.get(at).and_then(|text| number(text));
        let (Some(running), Some(waiting), Some(slices)) = (of(7), of(8), of(9)) else { continue };
        let labels = [("cpu", cpu)];
        s.counter("node_schedstat_running_seconds_total", "Time that tasks ran.", &labels, running / 1e9);
        s.counter(
            "node_schedstat_waiting_seconds_total",
            "Time that tasks waited to run.",
            &labels,
            waiting / 1e9,
        );
        s.counter("node_schedstat_timeslices_total", "Slices of time that tasks got.", &labels, slices);
    }
    Ok(())
}
