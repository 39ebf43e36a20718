//! `hwmon`: what sensors measure.

use std::collections::{BTreeMap, BTreeSet};

use crate::MetricType::{Counter, Gauge};
use crate::options::any_matches;
use crate::scrape::{Outcome, Scrape, number};

const FOLDER: &str = "/sys/class/hwmon";
const KINDS: [&str; 14] = [
    "vrm",
    "beep_enable",
    "update_interval",
    "in",
    "cpu",
    "fan",
    "pwm",
    "temp",
    "curr",
    "power",
    "energy",
    "humidity",
    "intrusion",
    "freq",
];

/// A sensor's properties: `input`, `label`, …, and the empty name for a file that is named like the sensor itself.
type Sensor = BTreeMap<String, String>;

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let mut seen = BTreeSet::new();
    for name in s.names(FOLDER)? {
        let folder = format!("{FOLDER}/{name}");
        let chip = chip(s, &folder, &name);
        if any_matches(&s.options.ignored_chips, &chip) {
            continue;
        }
        let mut sensors = BTreeMap::new();
        read(s, &folder, &mut sensors);
        read(s, &format!("{folder}/device"), &mut sensors);
        let readable = s.line(&format!("{folder}/name")).map(|name| clean(&name)).unwrap_or_default();
        if !readable.is_empty() && seen.insert((chip.clone(), readable.clone())) {
            let labels = [("chip", chip.as_str()), ("chip_name", &readable)];
            s.gauge("node_hwmon_chip_names", "What a chip calls itself.", &labels, 1.0);
        }
        for ((sensor, kind), properties) in &sensors {
            // Two entries of one device: a series has one value, the first.
            if seen.insert((chip.clone(), sensor.clone())) {
                tell(s, &chip, sensor, kind, properties);
            }
        }
    }
    Ok(())
}

/// Names that last: of the device (`platform_coretemp_0`), else what the chip calls itself, else `hwmon1`.
fn chip(s: &Scrape<'_>, folder: &str, name: &str) -> String {
    let real = s.real(folder);
    let link = format!("{real}/device");
    let device = s.real(&link);
    if device != link {
        let mut parts = device.rsplit('/').map(clean);
        let (own, bus) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match (own.is_empty(), bus.is_empty()) {
            (false, false) => return format!("{bus}_{own}"),
            (false, true) => return own,
            _ => {}
        }
    }
    let own = s.line(&format!("{folder}/name")).map(|name| clean(&name)).unwrap_or_default();
    if own.is_empty() { clean(real.rsplit('/').next().unwrap_or(name)) } else { own }
}

/// What may stand in a metric's name.
fn clean(text: &str) -> String {
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || c == ':' || c == '_' { c.to_ascii_lowercase() } else { '_' }
    };
    text.trim().chars().map(keep).collect::<String>().trim_matches('_').to_owned()
}

fn read(s: &Scrape<'_>, folder: &str, sensors: &mut BTreeMap<(String, String), Sensor>) {
    let names = s.names(folder).unwrap_or_default();
    let files: Vec<(&str, Parts<'_>)> =
        names.iter().filter_map(|name| Some((name.as_str(), parts(name)?))).collect();
    let only: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    for ((_, parts), text) in files.iter().zip(s.lines_of(folder, &only)) {
        if let Some(text) = text {
            let key = (format!("{}{}", parts.kind, parts.number), parts.kind.to_owned());
            sensors.entry(key).or_default().insert(parts.property.to_owned(), text);
        }
    }
}

struct Parts<'a> {
    kind: &'a str,
    number: u32,
    property: &'a str,
}

/// `temp1_crit_alarm` is property `crit_alarm` of the first sensor of the kind `temp`.
fn parts(file: &str) -> Option<Parts<'_>> {
    let at = file.find(|c: char| c.is_ascii_digit()).unwrap_or(file.len());
    let (kind, rest) = file.split_at(at);
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = rest.split_at(digits);
    let property = match rest {
        "" => "",
        _ => rest.strip_prefix('_').filter(|property| !property.is_empty())?,
    };
    let number = if number.is_empty() { 0 } else { number.parse().ok()? };
    KINDS.contains(&kind).then_some(Parts { kind, number, property })
}

fn tell(s: &mut Scrape<'_>, chip: &str, sensor: &str, kind: &str, properties: &Sensor) {
    let labels = [("chip", chip), ("sensor", sensor)];
    let own = properties.get("").map(String::as_str).unwrap_or_default();
    if let Some(label) = properties.get("label") {
        let labels = [labels[0], labels[1], ("label", label)];
        s.gauge("node_hwmon_sensor_label", "What the board calls a sensor.", &labels, 1.0);
    }
    match kind {
        "beep_enable" => {
            let on = f64::from(u8::from(own == "1"));
            return s.gauge("node_hwmon_beep_enabled", "Whether a chip may beep.", &labels, on);
        }
        "vrm" | "update_interval" => {
            let (name, unit) = if kind == "vrm" {
                ("node_hwmon_voltage_regulator_version", 1.0)
            } else {
                ("node_hwmon_update_interval_seconds", 0.001)
            };
            if let Some(value) = number(own) {
                s.gauge(name, &format!("{kind} of a chip."), &labels, value * unit);
            }
            return;
        }
        _ => {}
    }
    for (property, text) in properties.iter().filter(|(property, _)| *property != "label") {
        let Some(value) = number(text) else { continue };
        let base = match property.as_str() {
            "" => format!("node_hwmon_{kind}"),
            // `input` is the value itself, unless a file of the sensor's own name is.
            "input" if !properties.contains_key("") => format!("node_hwmon_{kind}"),
            _ => format!("node_hwmon_{kind}_{}", clean(property)),
        };
        let (suffix, scale) = unit(kind, property);
        let help = format!("{kind} {} of a sensor.", if property.is_empty() { "value" } else { property });
        let value = match scale {
            Scale::By(factor) => value * factor,
            Scale::Per(divisor) => value / divisor,
        };
        let type_ = if kind == "energy" { Counter } else { Gauge };
        if kind == "freq" && property == "input" {
            let Some(label) = properties.get("label") else { continue };
            let labels = [labels[0], ("sensor", &*clean(label))];
            s.gauge(&format!("{base}_freq_mhz"), &help, &labels, value);
        } else {
            s.family(&format!("{base}{suffix}"), type_, &help).point(&labels, value);
        }
    }
}

/// How a number becomes one in the unit that its name says. Multiplied or divided as the field does, so that the last
/// digit is the same.
enum Scale {
    By(f64),
    Per(f64),
}

fn unit(kind: &str, property: &str) -> (&'static str, Scale) {
    use Scale::{By, Per};
    match (kind, property) {
        (_, "fault" | "alarm") => ("", By(1.0)),
        (_, "beep") => ("_enabled", By(1.0)),
        ("in" | "cpu", _) => ("_volts", By(0.001)),
        ("temp", property) if property != "type" => ("_celsius", By(0.001)),
        ("curr", _) => ("_amps", By(0.001)),
        ("energy", _) => ("_joule_total", Per(1e6)),
        ("power", "accuracy") => ("", Per(1e6)),
        ("power", "average_interval" | "average_interval_min" | "average_interval_max") => {
            ("_seconds", By(0.001))
        }
        ("power", _) => ("_watt", Per(1e6)),
        ("humidity", _) => ("", Per(1e6)),
        ("fan", "input" | "min" | "max" | "target") => ("_rpm", By(1.0)),
        ("freq", "input") => ("", Per(1e6)),
        _ => ("", By(1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_of_files_apart() {
        let of =
            |file| parts(file).map(|parts| (parts.kind.to_owned(), parts.number, parts.property.to_owned()));
        let some = |kind: &str, number, property: &str| Some((kind.to_owned(), number, property.to_owned()));
        assert_eq!(of("temp1_crit_alarm"), some("temp", 1, "crit_alarm"));
        assert_eq!(of("pwm1_auto_point3_pwm"), some("pwm", 1, "auto_point3_pwm"));
        assert_eq!(of("pwm2"), some("pwm", 2, ""));
        assert_eq!(of("beep_enable"), some("beep_enable", 0, ""));
        for other in ["name", "uevent", "temp1_", "temp1x", "fan99999999999_input", ""] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn cleans_names() {
        assert_eq!(
            (clean("Core Temp.1\n"), clean("--"), clean("0000:3d:00.0")),
            ("core_temp_1".into(), String::new(), "0000:3d:00_0".into())
        );
    }
}
