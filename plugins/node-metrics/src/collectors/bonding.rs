//! `bonding`: network devices that are bonded together.

use crate::scrape::{Outcome, Scrape};

pub(super) fn collect(s: &mut Scrape<'_>) -> Outcome {
    let masters = s.line("/sys/class/net/bonding_masters")?;
    for master in masters.split_whitespace() {
        let slaves = s.line(&format!("/sys/class/net/{master}/bonding/slaves"))?;
        let up = |slave: &&str| {
            // The link's name changed from `slave_` to `lower_`.
            ["lower", "slave"].iter().any(|link| {
                let path = format!("/sys/class/net/{master}/{link}_{slave}/bonding_slave/mii_status");
                s.line(&path).is_ok_and(|status| status == "up")
            })
        };
        let active = slaves.split_whitespace().filter(up).count();
        let all = slaves.split_whitespace().count();
        let labels = [("master", master)];
        s.gauge("node_bonding_active", "Devices of a bond that are up.", &labels, active as f64);
        s.gauge("node_bonding_slaves", "Devices of a bond.", &labels, all as f64);
    }
    Ok(())
}
