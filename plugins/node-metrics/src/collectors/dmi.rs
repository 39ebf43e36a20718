//! `dmi`: what the firmware says about the machine.

use crate::scrape::{Outcome, Scrape};

const FOLDER: &str = "/sys/class/dmi/id";
const FILES: [&str; 20] = [
    "bios_date",
    "bios_release",
    "bios_vendor",
    "bios_version",
    "board_asset_tag",
    "board_name",
    "board_serial",
    "board_vendor",
    "board_version",
    "chassis_asset_tag",
    "chassis_serial",
    "chassis_vendor",
    "chassis_version",
    "product_family",
    "product_name",
    "product_serial",
    "product_sku",
    "product_uuid",
    "product_version",
    "sys_vendor",
];

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let read = s.lines_of(FOLDER, &FILES);
    if read.iter().all(Option::is_none) {
        return Err(format!("{FOLDER}: nothing there"));
    }
    let name = |file: &'static str| if file == "sys_vendor" { "system_vendor" } else { file };
    let labels: Vec<(&str, &str)> =
        FILES.iter().zip(&read).filter_map(|(file, text)| Some((name(file), text.as_deref()?))).collect();
    s.gauge("node_dmi_info", "What the firmware says about the machine.", &labels, 1.0);
    Ok(())
}
