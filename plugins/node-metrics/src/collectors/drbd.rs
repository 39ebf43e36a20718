//! `drbd`: disks that are copied over the network.

use crate::MetricType::{self, Counter, Gauge};
use crate::scrape::{Outcome, Scrape, number, words};

/// Key, metric, type, unit.
const NUMBERS: [(&str, &str, MetricType, f64); 12] = [
    ("ns", "network_sent_bytes_total", Counter, 1024.0),
    ("nr", "network_received_bytes_total", Counter, 1.0),
    ("dw", "disk_written_bytes_total", Counter, 1024.0),
    ("dr", "disk_read_bytes_total", Counter, 1024.0),
    ("al", "activitylog_writes_total", Counter, 1.0),
    ("bm", "bitmap_writes_total", Counter, 1.0),
    ("lo", "local_pending", Gauge, 1.0),
    ("pe", "remote_pending", Gauge, 1.0),
    ("ua", "remote_unacknowledged", Gauge, 1.0),
    ("ap", "application_pending", Gauge, 1.0),
    ("ep", "epochs", Gauge, 1.0),
    ("oos", "out_of_sync_bytes", Gauge, 1024.0),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/drbd")?;
    let mut device = String::new();
    for word in words(&text) {
        let Some((key, value)) = word.split_once(':') else { continue };
        if key.parse::<u32>().is_ok() && value.is_empty() {
            device = format!("drbd{key}");
            continue;
        }
        if device.is_empty() {
            continue;
        }
        let labels = [("device", device.as_str())];
        if let Some((_, name, kind, unit)) = NUMBERS.iter().find(|(own, _, _, _)| *own == key) {
            if let Some(value) = number(value) {
                let help = format!("{key} in /proc/drbd.");
                s.family(&format!("node_drbd_{name}"), *kind, &help).point(&labels, value * unit);
            }
            continue;
        }
        match key {
            "cs" => {
                let is = f64::from(u8::from(value == "Connected"));
                s.gauge("node_drbd_connected", "Whether the other side is there.", &labels, is);
            }
            "ro" => pair(s, "node_role_is_primary", &device, value, "Primary"),
            "ds" => pair(s, "disk_state_is_up_to_date", &device, value, "UpToDate"),
            _ => {}
        }
    }
    Ok(())
}

/// `Primary/Secondary`: here, and there.
fn pair(s: &mut Scrape<'_>, name: &str, device: &str, value: &str, wanted: &str) {
    for (node, state) in ["local", "remote"].into_iter().zip(value.split('/')) {
        let labels = [("device", device), ("node", node)];
        let is = f64::from(u8::from(state == wanted));
        s.gauge(&format!("node_drbd_{name}"), &format!("Whether a side is {wanted}."), &labels, is);
    }
}
