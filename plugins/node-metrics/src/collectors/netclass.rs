//! `netclass`: what network devices are.

use crate::MetricType::{Counter, Gauge};
use crate::scrape::{Outcome, Scrape, any_base};

const FOLDER: &str = "/sys/class/net";
const NUMBERS: [(&str, &str); 16] = [
    ("addr_assign_type", "address_assign_type"),
    ("carrier", "carrier"),
    ("carrier_changes", "carrier_changes_total"),
    ("carrier_up_count", "carrier_up_changes_total"),
    ("carrier_down_count", "carrier_down_changes_total"),
    ("dev_id", "device_id"),
    ("dormant", "dormant"),
    ("flags", "flags"),
    ("ifindex", "iface_id"),
    ("iflink", "iface_link"),
    ("link_mode", "iface_link_mode"),
    ("mtu", "mtu_bytes"),
    ("name_assign_type", "name_assign_type"),
    ("netdev_group", "net_dev_group"),
    ("tx_queue_len", "transmit_queue_length"),
    ("type", "protocol_type"),
];
const TEXTS: [&str; 6] = ["address", "broadcast", "duplex", "operstate", "ifalias", "speed"];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for device in s.names(FOLDER)? {
        // `bonding_masters` is a file among the devices; a device always has an index.
        let folder = format!("{FOLDER}/{device}");
        if s.options.ignores_network_device(&device) {
            continue;
        }
        let numbers = s.lines_of(&folder, &NUMBERS.map(|(file, _)| file));
        if numbers.iter().all(Option::is_none) {
            continue;
        }
        let mut flags = 0;
        for ((file, name), text) in NUMBERS.iter().zip(numbers) {
            let Some(value) = text.as_deref().and_then(any_base) else { continue };
            if *file == "flags" {
                flags = value as u64;
            }
            let kind = if name.ends_with("_total") { Counter } else { Gauge };
            let help = format!("{file} in /sys/class/net.");
            s.family(&format!("node_network_{name}"), kind, &help).point(&[("device", &device)], value);
        }
        let texts = s.lines_of(&folder, &TEXTS);
        let [address, broadcast, duplex, operstate, ifalias, speed] =
            [0, 1, 2, 3, 4, 5].map(|at: usize| texts[at].as_deref().unwrap_or_default());
        let up = f64::from(u8::from(operstate == "up"));
        s.gauge("node_network_up", "Whether a device is in operation.", &[("device", &device)], up);
        let labels = [
            ("device", device.as_str()),
            ("address", address),
            ("broadcast", broadcast),
            ("duplex", duplex),
            ("operstate", operstate),
            ("adminstate", if flags & 1 == 1 { "up" } else { "down" }),
            ("ifalias", ifalias),
        ];
        s.gauge("node_network_info", "What a network device is.", &labels, 1.0);
        // Megabits.
        if let Some(speed) = any_base(speed).filter(|speed| *speed >= 0.0 || !s.options.ignore_invalid_speed)
        {
            let help = "Speed of a network device, a second.";
            s.gauge("node_network_speed_bytes", help, &[("device", &device)], speed * 1_000_000.0 / 8.0);
        }
    }
    Ok(())
}
