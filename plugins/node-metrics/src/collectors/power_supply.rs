//! `powersupplyclass`: batteries and chargers.

use crate::scrape::{Outcome, Scrape, number};

const FOLDER: &str = "/sys/class/power_supply";

/// File and metric; the kernel writes these as they are.
const PLAIN: [(&str, &str); 10] = [
    ("authentic", "authentic"),
    ("calibrate", "calibrate"),
    ("capacity", "capacity"),
    ("capacity_alert_max", "capacity_alert_max"),
    ("capacity_alert_min", "capacity_alert_min"),
    ("cycle_count", "cyclecount"),
    ("online", "online"),
    ("present", "present"),
    ("time_to_empty_now", "time_to_empty_seconds"),
    ("time_to_full_now", "time_to_full_seconds"),
];
/// These it writes in millionths.
const MICRO: [(&str, &str); 31] = [
    ("charge_control_limit", "charge_control_limit"),
    ("charge_control_limit_max", "charge_control_limit_max"),
    ("charge_counter", "charge_counter"),
    ("charge_empty", "charge_empty"),
    ("charge_empty_design", "charge_empty_design"),
    ("charge_full", "charge_full"),
    ("charge_full_design", "charge_full_design"),
    ("charge_now", "charge_ampere"),
    ("charge_term_current", "charge_term_current"),
    ("constant_charge_current", "constant_charge_current"),
    ("constant_charge_current_max", "constant_charge_current_max"),
    ("constant_charge_voltage", "constant_charge_voltage"),
    ("constant_charge_voltage_max", "constant_charge_voltage_max"),
    ("current_boot", "current_boot"),
    ("current_max", "current_max"),
    ("current_now", "current_ampere"),
    ("energy_empty", "energy_empty"),
    ("energy_empty_design", "energy_empty_design"),
    ("energy_full", "energy_full"),
    ("energy_full_design", "energy_full_design"),
    ("energy_now", "energy_watthour"),
    ("input_current_limit", "input_current_limit"),
    ("power_now", "power_watt"),
    ("precharge_current", "precharge_current"),
    ("voltage_boot", "voltage_boot"),
    ("voltage_max", "voltage_max"),
    ("voltage_max_design", "voltage_max_design"),
    ("voltage_min", "voltage_min"),
    ("voltage_min_design", "voltage_min_design"),
    ("voltage_now", "voltage_volt"),
    ("voltage_ocv", "voltage_ocv"),
];
/// These it writes in tenths.
const TENTHS: [(&str, &str); 8] = [
    ("temp", "temp_celsius"),
    ("temp_alert_max", "temp_alert_max_celsius"),
    ("temp_alert_min", "temp_alert_min_celsius"),
    ("temp_ambient", "temp_ambient_celsius"),
    ("temp_ambient_alert_max", "temp_ambient_max_celsius"),
    ("temp_ambient_alert_min", "temp_ambient_min_celsius"),
    ("temp_max", "temp_max_celsius"),
    ("temp_min", "temp_min_celsius"),
];
const TEXTS: [&str; 11] = [
    "capacity_level",
    "charge_type",
    "health",
    "manufacturer",
    "model_name",
    "scope",
    "serial_number",
    "status",
    "technology",
    "type",
    "usb_type",
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    for supply in s.names(FOLDER)? {
        let folder = format!("{FOLDER}/{supply}");
        for (files, divisor) in [(&PLAIN[..], 1.0), (&MICRO[..], 1e6), (&TENTHS[..], 10.0)] {
            let names: Vec<&str> = files.iter().map(|(file, _)| *file).collect();
            for ((file, name), text) in files.iter().zip(s.lines_of(&folder, &names)) {
                if let Some(value) = text.as_deref().and_then(number) {
                    let help = format!("{file} in {FOLDER}.");
                    let labels = [("power_supply", supply.as_str())];
                    s.gauge(&format!("node_power_supply_{name}"), &help, &labels, value / divisor);
                }
            }
        }
        let texts = s.lines_of(&folder, &TEXTS);
        let mut labels = vec![("power_supply", supply.as_str())];
        labels.extend(TEXTS.iter().zip(&texts).filter_map(|(name, text)| Some((*name, text.as_deref()?))));
        s.gauge("node_power_supply_info", "What a power supply is.", &labels, 1.0);
    }
    Ok(())
}
