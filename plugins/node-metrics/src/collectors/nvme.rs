//! `nvme`: NVMe controllers and their namespaces.

use crate::scrape::{Outcome, Scrape, number};

const FOLDER: &str = "/sys/class/nvme";

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for device in s.names(FOLDER)? {
        let folder = format!("{FOLDER}/{device}");
        let read = s.lines_of(&folder, &["firmware_rev", "model", "serial", "state", "cntlid"]);
        let [firmware, model, serial, state, controller] =
            [0, 1, 2, 3, 4].map(|at: usize| read[at].as_deref().unwrap_or_default());
        let labels = [
            ("device", device.as_str()),
            ("firmware_revision", firmware),
            ("model", model),
            ("serial", serial),
            ("state", state),
            ("cntlid", controller),
        ];
        s.gauge("node_nvme_info", "What an NVMe controller is.", &labels, 1.0);
        namespaces(s, &folder, &device)?;
    }
    Ok(())
}

/// Namespaces are `nvme0n1`, or `nvme0c0n1` where a path of several leads to one.
fn namespaces(s: &mut Scrape<'_>, folder: &str, device: &str) -> Outcome {
    for name in s.names(folder)? {
        let Some(id) = name.strip_prefix(device).and_then(namespace) else { continue };
        let read = s.lines_of(
            &format!("{folder}/{name}"),
            &["size", "nuse", "queue/logical_block_size", "ana_state"],
        );
        let of = |at: usize| read[at].as_deref().and_then(number);
        let (Some(blocks), Some(used), Some(block)) = (of(0), of(1), of(2)) else { continue };
        let state = read[3].as_deref().unwrap_or("unknown");
        let labels = [("device", device), ("nsid", id)];
        let with_state = [("device", device), ("nsid", id), ("ana_state", state)];
        s.gauge("node_nvme_namespace_info", "What an NVMe namespace is.", &with_state, 1.0);
        for (name, help, value) in [
            ("capacity_bytes", "Capacity of a namespace.", blocks * block),
            ("size_bytes", "Size of a namespace.", blocks * block),
            ("used_bytes", "Space of a namespace that is used.", used * block),
            ("logical_block_size_bytes", "Block size of a namespace.", block),
        ] {
            s.gauge(&format!("node_nvme_namespace_{name}"), help, &labels, value);
        }
    }
    Ok(())
}

fn namespace(rest: &str) -> Option<&str> {
    let rest = match rest.strip_prefix('c') {
        Some(path) => path.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    rest.strip_prefix('n').filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}
