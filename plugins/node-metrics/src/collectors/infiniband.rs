//! `infiniband`: ports of InfiniBand devices.

use crate::scrape::{Outcome, Scrape, number, words};

const FOLDER: &str = "/sys/class/infiniband";

/// File below a port, metric, and by how much the number is multiplied: data is counted in words of four bytes.
const COUNTERS: [(&str, &str, f64); 30] = [
    ("counters/VL15_dropped", "vl15_dropped_total", 1.0),
    ("counters/excessive_buffer_overrun_errors", "excessive_buffer_overrun_errors_total", 1.0),
    ("counters/link_downed", "link_downed_total", 1.0),
    ("counters/link_error_recovery", "link_error_recovery_total", 1.0),
    ("counters/local_link_integrity_errors", "local_link_integrity_errors_total", 1.0),
    ("counters/multicast_rcv_packets", "multicast_packets_received_total", 1.0),
    ("counters/multicast_xmit_packets", "multicast_packets_transmitted_total", 1.0),
    ("counters/port_rcv_constraint_errors", "port_constraint_errors_received_total", 1.0),
    ("counters/port_xmit_constraint_errors", "port_constraint_errors_transmitted_total", 1.0),
    ("counters/port_rcv_data", "port_data_received_bytes_total", 4.0),
    ("counters/port_xmit_data", "port_data_transmitted_bytes_total", 4.0),
    ("counters/port_rcv_discards", "port_discards_received_total", 1.0),
    ("counters/port_xmit_discards", "port_discards_transmitted_total", 1.0),
    ("counters/port_rcv_errors", "port_errors_received_total", 1.0),
    ("counters/port_rcv_packets", "port_packets_received_total", 1.0),
    ("counters/port_xmit_packets", "port_packets_transmitted_total", 1.0),
    ("counters/port_rcv_remote_physical_errors", "port_receive_remote_physical_errors_total", 1.0),
    ("counters/port_rcv_switch_relay_errors", "port_receive_switch_relay_errors_total", 1.0),
    ("counters/port_xmit_wait", "port_transmit_wait_total", 1.0),
    ("counters/symbol_error", "symbol_error_total", 1.0),
    ("counters/unicast_rcv_packets", "unicast_packets_received_total", 1.0),
    ("counters/unicast_xmit_packets", "unicast_packets_transmitted_total", 1.0),
    ("counters_ext/port_multicast_rcv_packets", "legacy_multicast_packets_received_total", 1.0),
    ("counters_ext/port_multicast_xmit_packets", "legacy_multicast_packets_transmitted_total", 1.0),
    ("counters_ext/port_rcv_data_64", "legacy_data_received_bytes_total", 4.0),
    ("counters_ext/port_xmit_data_64", "legacy_data_transmitted_bytes_total", 4.0),
    ("counters_ext/port_rcv_packets_64", "legacy_packets_received_total", 1.0),
    ("counters_ext/port_xmit_packets_64", "legacy_packets_transmitted_total", 1.0),
    ("counters_ext/port_unicast_rcv_packets", "legacy_unicast_packets_received_total", 1.0),
    ("counters_ext/port_unicast_xmit_packets", "legacy_unicast_packets_transmitted_total", 1.0),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for device in s.names(FOLDER)? {
        let folder = format!("{FOLDER}/{device}");
        let read = s.lines_of(&folder, &["board_id", "fw_ver", "hca_type"]);
        let text = |at: usize| read[at].as_deref().unwrap_or_default();
        let labels = [
            ("device", device.as_str()),
            ("board_id", text(0)),
            ("firmware_version", text(1)),
            ("hca_type", text(2)),
        ];
        s.gauge("node_infiniband_info", "What a device is.", &labels, 1.0);
        for (port, name) in s.numbered(&format!("{folder}/ports"), "").unwrap_or_default() {
            let labels = [("device", device.as_str()), ("port", &*port.to_string())];
            tell(s, &format!("{folder}/ports/{name}"), &labels);
        }
    }
    Ok(())
}

fn tell(s: &mut Scrape<'_>, folder: &str, labels: &[(&str, &str)]) {
    let read = s.lines_of(folder, &["state", "phys_state", "rate"]);
    // `4: ACTIVE`
    let id = |at: usize| read[at].as_deref().and_then(|text| number(text.split(':').next()?));
    // `40 Gb/sec (4X QDR)`
    let rate = read[2].as_deref().and_then(|text| number(words(text).first()?)).map(|rate| rate * 1e9 / 8.0);
    for (name, help, value) in [
        ("state_id", "State of a port: 4 is active.", id(0)),
        ("physical_state_id", "State of a port's link: 5 is up.", id(1)),
        ("rate_bytes_per_second", "Highest rate of a port.", rate),
    ] {
        if let Some(value) = value {
            s.gauge(&format!("node_infiniband_{name}"), help, labels, value);
        }
    }
    let files = COUNTERS.map(|(file, _, _)| file);
    for ((file, name, factor), text) in COUNTERS.iter().zip(s.lines_of(folder, &files)) {
        if let Some(value) = text.as_deref().and_then(number) {
            s.counter(
                &format!("node_infiniband_{name}"),
                &format!("{file} of a port."),
                labels,
                value * factor,
            );
        }
    }
}
