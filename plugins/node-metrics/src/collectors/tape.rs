//! `tapestats`: what tape drives did.

use crate::MetricType::{self, Counter, Gauge};
use crate::scrape::{Outcome, Scrape, number};

const FOLDER: &str = "/sys/class/scsi_tape";
const NANO: f64 = 1e-9;
const FILES: [(&str, &str, MetricType, f64); 10] = [
    ("in_flight", "io_now", Gauge, 1.0),
    ("io_ns", "io_time_seconds_total", Counter, NANO),
    ("other_cnt", "io_others_total", Counter, 1.0),
    ("read_byte_cnt", "read_bytes_total", Counter, 1.0),
    ("read_cnt", "reads_completed_total", Counter, 1.0),
    ("read_ns", "read_time_seconds_total", Counter, NANO),
    ("resid_cnt", "residual_total", Counter, 1.0),
    ("write_byte_cnt", "written_bytes_total", Counter, 1.0),
    ("write_cnt", "writes_completed_total", Counter, 1.0),
    ("write_ns", "write_time_seconds_total", Counter, NANO),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    // A drive has several names for several ways to use it; the plain one counts for all.
    for (_, device) in s.numbered(FOLDER, "st")? {
        let read = s.lines_of(&format!("{FOLDER}/{device}/stats"), &FILES.map(|(file, _, _, _)| file));
        for ((file, name, kind, unit), text) in FILES.iter().zip(read) {
            if let Some(value) = text.as_deref().and_then(number) {
                let help = format!("{file} of a tape drive.");
                s.family(&format!("node_tape_{name}"), *kind, &help)
                    .point(&[("device", &device)], value * unit);
            }
        }
    }
    Ok(())
}
