//! `time`: the time of day, and which clock tells it.

use crate::scrape::{Outcome, Scrape};

const FOLDER: &str = "/sys/devices/system/clocksource";

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let now = s.files.now();
    s.gauge("node_time_seconds", "Time of the machine.", &[], now);
    // What a machine calls its zone is in /etc/localtime; without, it is UTC.
    let zone = s.files.read("/etc/localtime").ok().and_then(|bytes| zone_at(&bytes, now as i64));
    let (name, offset) = zone.unwrap_or_else(|| ("UTC".to_owned(), 0));
    let help = "How far the machine's zone is from UTC.";
    s.gauge("node_time_zone_offset_seconds", help, &[("time_zone", &name)], offset.into());
    for (device, name) in s.numbered(FOLDER, "clocksource")? {
        let device = device.to_string();
        let read = s.lines_of(&format!("{FOLDER}/{name}"), &["available_clocksource", "current_clocksource"]);
        for clock in read[0].as_deref().unwrap_or_default().split_whitespace() {
            let labels = [("device", device.as_str()), ("clocksource", clock)];
            s.gauge("node_time_clocksource_available_info", "Clocks that there are.", &labels, 1.0);
        }
        if let Some(clock) = &read[1] {
            let labels = [("device", device.as_str()), ("clocksource", clock)];
            s.gauge("node_time_clocksource_current_info", "The clock in use.", &labels, 1.0);
        }
    }
    Ok(())
}

/// Name and offset in force at a time, from a compiled zone (RFC 8536). The rules for the years after its last entry are
/// not followed: tables reach to 2037, or the zone changes no more.
fn zone_at(bytes: &[u8], now: i64) -> Option<(String, i32)> {
    let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let counts = |header: usize| -> Option<[usize; 6]> {
        let mut counts = [0; 6];
        for (at, count) in counts.iter_mut().enumerate() {
            *count = word(header + 20 + 4 * at)?;
        }
        Some(counts)
    };
    if bytes.get(..4)? != b"TZif" {
        return None;
    }
    let [utc, std, leaps, times, types, names] = counts(0)?;
    // The second part has the same with 64 bits, in all files of this century.
    let header = 44 + times * 5 + types * 6 + names + leaps * 8 + std + utc;
    if bytes.get(header..header + 4)? != b"TZif" {
        return None;
    }
    let [_, _, _, times, types, names] = counts(header)?;
    let changes = header + 44;
    let indexes = changes + times * 8;
    let table = indexes + times;
    let text = table + types * 6;
    let change = |at: usize| {
        Some(i64::from_be_bytes(bytes.get(changes + at * 8..changes + at * 8 + 8)?.try_into().ok()?))
    };
    let passed = (0..times).take_while(|at| change(*at).is_some_and(|when| when <= now)).count();
    let kind = if passed == 0 { 0 } else { usize::from(*bytes.get(indexes + passed - 1)?) };
    let entry = table + kind * 6;
    let offset = word(entry)? as u32 as i32;
    let name = text + usize::from(*bytes.get(entry + 5)?);
    let name = bytes.get(name..text + names)?.split(|byte| *byte == 0).next()?;
    Some((String::from_utf8_lossy(name).into_owned(), offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zone that was one hour east, and since `when` is two.
    fn zone(when: i64) -> Vec<u8> {
        let header = |times: u32, types: u32, names: u32| {
            let mut bytes = b"TZif2".to_vec();
            bytes.extend([0; 15]);
            for count in [0, 0, 0, times, types, names] {
                bytes.extend(count.to_be_bytes());
            }
            bytes
        };
        let mut bytes = header(0, 0, 0);
        bytes.extend(header(1, 2, 8));
        bytes.extend(when.to_be_bytes());
        bytes.push(1);
        for (offset, name) in [(3600i32, 0u8), (7200, 4)] {
            bytes.extend(offset.to_be_bytes());
            bytes.extend([0, name]);
        }
        bytes.extend(b"CET\0EET\0");
        bytes
    }

    #[test]
    fn reads_compiled_zones() {
        let zone = zone(1000);
        assert_eq!(zone_at(&zone, 999), Some(("CET".to_owned(), 3600)));
        assert_eq!(zone_at(&zone, 1000), Some(("EET".to_owned(), 7200)));
        for end in 0..zone.len() {
            let _ = zone_at(&zone[..end], 0);
        }
        assert_eq!(zone_at(b"TZif", 0), None);
    }
}
