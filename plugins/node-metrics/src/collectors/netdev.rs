//! `netdev`: what went through network devices.

use crate::scrape::{Outcome, Scrape, number, words};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let text = s.text("/proc/net/dev")?;
    let mut lines = text.lines().skip(1);
    // The second line names the columns, of what came in and what went out.
    let header = lines.next().unwrap_or_default();
    let mut halves = header.split('|').skip(1).map(words);
    let (received, sent) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    for line in lines {
        let Some((device, numbers)) = line.rsplit_once(':') else { continue };
        let device = device.trim();
        if s.options.ignores_network_device(device) {
            continue;
        }
        let columns =
            received.iter().map(|name| ("receive", *name)).chain(sent.iter().map(|name| ("transmit", *name)));
        for ((direction, name), value) in columns.zip(words(numbers)) {
            tell(s, device, direction, name, number(value));
        }
        let unhandled = s.number(&format!("/sys/class/net/{device}/statistics/rx_nohandler")).ok();
        tell(s, device, "receive", "nohandler", unhandled);
    }
    Ok(())
}

fn tell(s: &mut Scrape<'_>, device: &str, direction: &str, name: &str, value: Option<f64>) {
    let Some(value) = value else { return };
    let help = format!("{direction}: {name}, in a network device's statistics.");
    s.counter(&format!("node_network_{direction}_{name}_total"), &help, &[("device", device)], value);
}
