//! Collectors that read one table: `cgroups`, `lnstat`, `xfrm`, `sysctl`.

use crate::MetricType::Untyped;
use crate::scrape::{Outcome, Scrape, number, words};

pub(super) fn cgroups(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/cgroups")?;
    for line in text.lines().skip(1) {
        let [name, _, count, enabled] = words(line)[..] else { continue };
        let (Some(count), Some(enabled)) = (number(count), number(enabled)) else { continue };
        let labels = [("subsys_name", name)];
        s.gauge("node_cgroups_cgroups", "Control groups of a subsystem.", &labels, count);
        s.gauge("node_cgroups_enabled", "Whether a subsystem is in use.", &labels, enabled);
    }
    Ok(())
}

/// The tables of `/proc/net/stat`: a row of names, then a row a processor, in hexadecimal.
pub(super) fn lnstat(s: &mut Scrape<'_>) -> Outcome {
    const FOLDER: &str = "/proc/net/stat";
    for subsystem in s.names(FOLDER)? {
        let Ok(text) = s.text(&format!("{FOLDER}/{subsystem}")) else { continue };
        let mut lines = text.lines().map(words);
        let names = lines.next().unwrap_or_default();
        for (cpu, row) in lines.enumerate() {
            let cpu = cpu.to_string();
            let labels = [("subsystem", subsystem.as_str()), ("cpu", &cpu)];
            for (name, value) in names.iter().zip(row) {
                if let Ok(value) = u64::from_str_radix(value, 16) {
                    let help = format!("{name} of the network's statistics.");
                    s.counter(&format!("node_lnstat_{name}_total"), &help, &labels, value as f64);
                }
            }
        }
    }
    Ok(())
}

pub(super) fn xfrm(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/net/xfrm_stat")?;
    for line in text.lines() {
        let [key, value] = words(line)[..] else { continue };
        let (Some(name), Some(value)) = (key.strip_prefix("Xfrm"), number(value)) else { continue };
        let help = format!("{key} in /proc/net/xfrm_stat.");
        s.counter(&format!("node_xfrm_{}_packets_total", snake(name)), &help, &[], value);
    }
    Ok(())
}

/// `InTmplMismatch` is `in_tmpl_mismatch`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The parameters that the options name.
pub(super) fn sysctl(s: &mut Scrape<'_>) -> Outcome {
    for parameter in &s.options.sysctl {
        let (name, fields) =
            parameter.split_once(':').map_or((parameter.as_str(), None), |(a, b)| (a, Some(b)));
        let text = s.line(&path(name))?;
        let metric = format!("node_sysctl_{}", metric(name));
        let values: Vec<Option<f64>> = words(&text).into_iter().map(number).collect();
        let help = format!("Kernel parameter {name}.");
        let fields: Vec<&str> = fields.map(|names| names.split(',').collect()).unwrap_or_default();
        for (at, value) in values.iter().enumerate().filter_map(|(at, value)| Some((at, (*value)?))) {
            let index = at.to_string();
            match fields.get(at) {
                Some(field) => s.untyped(&format!("{metric}_{field}"), &help, &[], value),
                None if values.len() > 1 => s.untyped(&metric, &help, &[("index", &index)], value),
                None => s.untyped(&metric, &help, &[], value),
            }
        }
    }
    for name in &s.options.sysctl_info {
        let text = s.line(&path(name))?;
        for (at, value) in words(&text).into_iter().enumerate() {
            let index = at.to_string();
            let labels = [("name", name.as_str()), ("value", value), ("index", &index)];
            s.family("node_sysctl_info", Untyped, "Kernel parameters that are texts.").point(&labels, 1.0);
        }
    }
    Ok(())
}

fn path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

fn metric(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
