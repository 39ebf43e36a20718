//! `edac`: errors of memory that were found, and perhaps corrected.

use crate::scrape::{Outcome, Scrape, number};

const FOLDER: &str = "/sys/devices/system/edac/mc";

/// File prefix and metric's word.
const KINDS: [(&str, &str); 2] = [("ce", "correctable"), ("ue", "uncorrectable")];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    // Most machines have no controller that could tell, which is no failure.
    for (controller, name) in s.numbered(FOLDER, "mc").unwrap_or_default() {
        let folder = format!("{FOLDER}/{name}");
        let controller = controller.to_string();
        for (file, kind) in KINDS {
            let count = |name: String| s.number(&format!("{folder}/{name}"));
            let (all, unplaced) = (count(format!("{file}_count"))?, count(format!("{file}_noinfo_count"))?);
            let help = format!("{kind} errors of memory.");
            s.counter(&format!("node_edac_{kind}_errors_total"), &help, &[("controller", &controller)], all);
            csrow(s, kind, &controller, "unknown", unplaced);
        }
        for (row, name) in s.numbered(&folder, "csrow")? {
            let (folder, row) = (format!("{folder}/{name}"), row.to_string());
            for (file, kind) in KINDS {
                let count = s.number(&format!("{folder}/{file}_count"))?;
                csrow(s, kind, &controller, &row, count);
            }
            channels(s, &folder, &controller, &row)?;
        }
    }
    Ok(())
}

fn csrow(s: &mut Scrape<'_>, kind: &str, controller: &str, row: &str, count: f64) {
    let labels = [("controller", controller), ("csrow", row)];
    s.counter(
        &format!("node_edac_csrow_{kind}_errors_total"),
        &format!("{kind} errors of a row of memory."),
        &labels,
        count,
    );
}

fn channels(s: &mut Scrape<'_>, folder: &str, controller: &str, row: &str) -> Outcome {
    for name in s.names(folder)? {
        let Some(channel) = name.strip_prefix("ch").and_then(|rest| rest.strip_suffix("_ce_count")) else {
            continue;
        };
        let prefix = format!("{folder}/ch{channel}");
        let dimm = label(s.line(&format!("{prefix}_dimm_label")).unwrap_or_default());
        for (file, kind) in KINDS {
            let Some(count) = s.line(&format!("{prefix}_{file}_count")).ok().as_deref().and_then(number)
            else {
                continue;
            };
            let labels =
                [("controller", controller), ("csrow", row), ("channel", channel), ("dimm_label", &dimm)];
            let help = format!("{kind} errors of a channel of memory.");
            s.counter(&format!("node_edac_channel_{kind}_errors_total"), &help, &labels, count);
        }
    }
    Ok(())
}

/// A name that nobody gave is where the module stands, `mc#0csrow#2channel#1`: told as `mc0_csrow2_channel1`.
fn label(text: String) -> String {
    let place = || {
        let (controller, rest) = text.strip_prefix("mc")?.split_once("csrow")?;
        let (row, channel) = rest.split_once("channel")?;
        let numbers = [controller, row, channel].map(|part| part.trim_start_matches('#').parse::<u32>().ok());
        let [Some(controller), Some(row), Some(channel)] = numbers else { return None };
        Some(format!("mc{controller}_csrow{row}_channel{channel}"))
    };
    place().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_places() {
        for (text, wanted) in [
            ("mc#0csrow#2channel#1", "mc0_csrow2_channel1"),
            ("mc10csrow2channel1", "mc10_csrow2_channel1"),
            ("DIMM_A1", "DIMM_A1"),
            ("mccsrowchannel", "mccsrowchannel"),
            ("", ""),
        ] {
            assert_eq!(label(text.to_owned()), wanted);
        }
    }
}
