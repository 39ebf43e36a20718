//! `thermal_zone`: temperatures, and what is done against them.

use crate::scrape::{Outcome, Scrape, number};

const FOLDER: &str = "/sys/class/thermal";

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for (zone, name) in s.numbered(FOLDER, "thermal_zone")? {
        let read = s.lines_of(&format!("{FOLDER}/{name}"), &["type", "temp"]);
        // A sensor that sleeps has no temperature.
        if let [Some(kind), Some(temperature)] = &read[..]
            && let Some(temperature) = number(temperature)
        {
            let labels = [("zone", &*zone.to_string()), ("type", kind)];
            s.gauge(
                "node_thermal_zone_temp",
                "Temperature of a zone, in degrees.",
                &labels,
                temperature / 1000.0,
            );
        }
    }
    for (device, name) in s.numbered(FOLDER, "cooling_device")? {
        let read = s.lines_of(&format!("{FOLDER}/{name}"), &["type", "cur_state", "max_state"]);
        let [Some(kind), Some(now), Some(most)] = &read[..] else { continue };
        let device = device.to_string();
        let labels = [("name", device.as_str()), ("type", kind)];
        if let (Some(now), Some(most)) = (number(now), number(most)) {
            s.gauge("node_cooling_device_cur_state", "How much a device cools.", &labels, now);
            s.gauge("node_cooling_device_max_state", "How much a device can cool.", &labels, most);
        }
    }
    Ok(())
}
