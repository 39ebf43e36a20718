//! `mdadm`: disks that make an array.

use crate::scrape::{Outcome, Scrape, number, words};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/mdstat")?;
    let arrays = arrays(&text);
    for array in &arrays {
        let device = [("device", array.name.as_str())];
        for state in ["active", "inactive", "recovering", "resync", "check"] {
            let labels = [device[0], ("state", state)];
            let is = f64::from(u8::from(state == array.state));
            s.gauge("node_md_state", "What an array is doing.", &labels, is);
        }
        for (state, count) in [("active", array.active), ("failed", array.failed), ("spare", array.spare)] {
            s.gauge("node_md_disks", "Disks of an array.", &[device[0], ("state", state)], count);
        }
        s.gauge("node_md_disks_required", "Disks that an array needs.", &device, array.required);
        s.gauge("node_md_blocks", "Blocks of an array.", &device, array.blocks);
        s.gauge("node_md_blocks_synced", "Blocks of an array that are in step.", &device, array.synced);
    }
    // Older kernels do not say it there.
    for block in s.names("/sys/block").unwrap_or_default() {
        let read = s.lines_of(&format!("/sys/block/{block}/md"), &["raid_disks", "degraded"]);
        let [Some(disks), degraded] = &read[..] else { continue };
        let labels = [("device", block.as_str())];
        let degraded = degraded.as_deref().and_then(number).unwrap_or(0.0);
        s.gauge("node_md_degraded", "Disks that an array lacks.", &labels, degraded);
        // `2 (3)` while it grows.
        if let Some(disks) = words(disks).first().and_then(|text| number(text)) {
            s.gauge("node_md_raid_disks", "Disks that an array is made for.", &labels, disks);
        }
    }
    Ok(())
}

#[derive(Debug, Default, PartialEq)]
struct Array {
    name: String,
    state: &'static str,
    active: f64,
    failed: f64,
    spare: f64,
    required: f64,
    blocks: f64,
    synced: f64,
}

/// An array is a line that begins with its name, and the lines below it that are set in.
fn arrays(text: &str) -> Vec<Array> {
    let mut arrays: Vec<Array> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let set_in = line.starts_with([' ', '\t']);
        match arrays.last_mut() {
            Some(array) if set_in => more(array, line),
            _ => arrays.extend(array(line)),
        }
    }
    for array in &mut arrays {
        if array.state == "inactive" {
            (array.active, array.required) = (0.0, 0.0);
        }
    }
    arrays.retain(|array| array.blocks > 0.0);
    arrays
}

/// `md6 : active raid1 sdb2[2](F) sdc[1](S) sda2[0]`
fn array(line: &str) -> Option<Array> {
    let (name, rest) = line.split_once(" : ")?;
    if name == "Personalities" {
        return None;
    }
    let words = words(rest);
    let state = if words.first() == Some(&"active") { "active" } else { "inactive" };
    let disks: Vec<&str> = words.iter().copied().filter(|word| word.contains('[')).collect();
    let marked = |mark: &str| disks.iter().filter(|disk| disk.contains(mark)).count() as f64;
    let (failed, spare) = (marked("(F)"), marked("(S)"));
    let active = disks.len() as f64 - failed - spare;
    Some(Array { name: name.to_owned(), state, active, failed, spare, required: active, ..Array::default() })
}

fn more(array: &mut Array, line: &str) {
    let words = words(line);
    if let [blocks, "blocks", rest @ ..] = &words[..] {
        array.blocks = number(blocks).unwrap_or(0.0);
        array.synced = array.blocks;
        // `[2/1]`: made for two, has one. A bare list of disks has no such pair.
        let pair = rest.iter().find_map(|word| word.strip_prefix('[')?.strip_suffix(']')?.split_once('/'));
        if let Some((Some(required), Some(active))) = pair.map(|(a, b)| (number(a), number(b))) {
            (array.required, array.active) = (required, active);
        }
        return;
    }
    let doing = |what: &str| {
        words
            .iter()
            .any(|word| *word == what || word.strip_prefix(what).is_some_and(|rest| rest.starts_with('=')))
    };
    let state = [("recovery", "recovering"), ("resync", "resync"), ("check", "check"), ("reshape", "active")];
    let Some((_, state)) = state.into_iter().find(|(what, _)| doing(what)) else { return };
    array.state = state;
    // `(16775552/195310144)`; none while it waits.
    let done = words.iter().find_map(|word| word.strip_prefix('(')?.strip_suffix(')')?.split_once('/'));
    array.synced = done.and_then(|(done, _)| number(done)).unwrap_or(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_arrays() {
        let text = "Personalities : [raid1]\n\
            md1 : active raid1 sda1[0] sdb1[2](F) sdc1[1](S)\n\
            \x20     1000 blocks super 1.2 [2/1] [U_]\n\
            \x20     [=>..]  recovery =  8.5% (85/1000) finish=17.0min speed=259783K/sec\n\n\
            md2 : inactive raid0 sdd1[0](S)\n\
            \x20     500 blocks 64k chunks\n\n\
            md3 : active raid1 sde1[0] sdf1[1]\n\
            \x20     700 blocks [2/2] [UU]\n\
            \x20       resync=DELAYED\n\n\
            unused devices: <none>\n";
        let wanted = [
            ("md1", "recovering", [1.0, 1.0, 1.0, 2.0, 1000.0, 85.0]),
            ("md2", "inactive", [0.0, 0.0, 1.0, 0.0, 500.0, 500.0]),
            ("md3", "resync", [2.0, 0.0, 0.0, 2.0, 700.0, 0.0]),
        ];
        let got: Vec<_> = arrays(text);
        let got: Vec<_> = got
            .iter()
            .map(|a| {
                (a.name.as_str(), a.state, [a.active, a.failed, a.spare, a.required, a.blocks, a.synced])
            })
            .collect();
        assert_eq!(got, wanted);
    }
}
