//! `fibrechannel`: ports of Fibre Channel adapters.

use crate::scrape::{Outcome, Scrape};

const FOLDER: &str = "/sys/class/fc_host";
const TEXTS: [&str; 10] = [
    "speed",
    "port_state",
    "port_type",
    "port_id",
    "port_name",
    "fabric_name",
    "symbolic_name",
    "supported_classes",
    "supported_speeds",
    "dev_loss_tmo",
];
const COUNTERS: [(&str, &str); 14] = [
    ("dumped_frames", "dumped_frames"),
    ("error_frames", "error_frames"),
    ("fcp_packet_aborts", "fcp_packet_aborts"),
    ("invalid_crc_count", "invalid_crc"),
    ("invalid_tx_word_count", "invalid_tx_words"),
    ("link_failure_count", "link_failure"),
    ("loss_of_signal_count", "loss_of_signal"),
    ("loss_of_sync_count", "loss_of_sync"),
    ("nos_count", "nos"),
    ("rx_frames", "rx_frames"),
    ("rx_words", "rx_words"),
    ("seconds_since_last_reset", "seconds_since_last_reset"),
    ("tx_frames", "tx_frames"),
    ("tx_words", "tx_words"),
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for host in s.names(FOLDER)? {
        let folder = format!("{FOLDER}/{host}");
        let read = s.lines_of(&folder, &TEXTS);
        // Identities are written as one long number.
        let plain = |text: &str| text.strip_prefix("0x").unwrap_or(text).to_owned();
        let texts: Vec<String> = read.iter().map(|text| plain(text.as_deref().unwrap_or_default())).collect();
        let mut labels = vec![("fc_host", host.as_str())];
        labels.extend(TEXTS.into_iter().zip(texts.iter().map(String::as_str)));
        s.gauge("node_fibrechannel_info", "What a port is.", &labels, 1.0);
        let files = COUNTERS.map(|(file, _)| file);
        for ((file, name), text) in COUNTERS.iter().zip(s.lines_of(&format!("{folder}/statistics"), &files)) {
            let text = text.unwrap_or_default();
            // All bits set: the adapter does not count that.
            let value = u64::from_str_radix(text.trim_start_matches("0x"), 16)
                .ok()
                .filter(|value| *value != u64::MAX);
            if let Some(value) = value {
                let help = format!("{file} of a port.");
                s.counter(
                    &format!("node_fibrechannel_{name}_total"),
                    &help,
                    &[("fc_host", &host)],
                    value as f64,
                );
            }
        }
    }
    Ok(())
}
