//! The collectors, by node_exporter's names.

mod arp;
mod bcache;
mod bcachefs;
mod bonding;
mod btrfs;
mod conntrack;
mod cpu;
mod cpu_info;
mod cpufreq;
mod diskstats;
mod dmi;
mod drbd;
mod edac;
mod fibrechannel;
mod filesystem;
mod hwmon;
mod infiniband;
mod interrupts;
mod ipvs;
mod kernel;
mod mdadm;
mod meminfo;
mod memory;
mod netclass;
mod netdev;
mod netstat;
mod nfs;
mod nvme;
mod os;
mod power_supply;
mod pressure;
mod rapl;
mod schedstat;
mod sockstat;
mod softnet;
mod stat;
mod tables;
mod tape;
mod textfile;
mod thermal;
mod time;
mod udp_queues;
mod vmstat;
mod watchdog;
mod xfs;
mod zfs;
mod zoneinfo;

use crate::scrape::{Outcome, Scrape};

/// A collector.
pub(crate) struct Collector {
    /// node_exporter's name for it.
    pub(crate) name: &'static str,
    /// Whether it runs unless the options say otherwise.
    pub(crate) on: bool,
    /// Adds its families.
    pub(crate) collect: fn(&mut Scrape<'_>) -> Outcome,
}

const fn on(name: &'static str, collect: fn(&mut Scrape<'_>) -> Outcome) -> Collector {
    Collector { name, on: true, collect }
}

const fn off(name: &'static str, collect: fn(&mut Scrape<'_>) -> Outcome) -> Collector {
    Collector { name, on: false, collect }
}

/// All collectors, in name order.
pub(crate) const ALL: &[Collector] = &[
    on("arp", arp::collect),
    on("bcache", bcache::collect),
    on("bcachefs", bcachefs::collect),
    on("bonding", bonding::collect),
    on("btrfs", btrfs::collect),
    off("buddyinfo", memory::buddyinfo),
    off("cgroups", tables::cgroups),
    on("conntrack", conntrack::collect),
    on("cpu", cpu::collect),
    on("cpufreq", cpufreq::collect),
    on("diskstats", diskstats::collect),
    on("dmi", dmi::collect),
    off("drbd", drbd::collect),
    on("edac", edac::collect),
    on("entropy", kernel::entropy),
    on("fibrechannel", fibrechannel::collect),
    on("filefd", kernel::filefd),
    on("filesystem", filesystem::collect),
    on("hwmon", hwmon::collect),
    on("infiniband", infiniband::collect),
    off("interrupts", interrupts::hard),
    on("ipvs", ipvs::collect),
    on("kernel_hung", kernel::hung_tasks),
    off("ksmd", memory::ksmd),
    off("lnstat", tables::lnstat),
    on("loadavg", kernel::loadavg),
    on("mdadm", mdadm::collect),
    on("meminfo", meminfo::collect),
    off("meminfo_numa", memory::numa),
    on("netclass", netclass::collect),
    on("netdev", netdev::collect),
    on("netstat", netstat::collect),
    on("nfs", nfs::client),
    on("nfsd", nfs::server),
    on("nvme", nvme::collect),
    on("os", os::collect),
    on("powersupplyclass", power_supply::collect),
    on("pressure", pressure::collect),
    on("rapl", rapl::collect),
    on("schedstat", schedstat::collect),
    on("selinux", kernel::selinux),
    off("slabinfo", memory::slabinfo),
    on("sockstat", sockstat::collect),
    off("softirqs", interrupts::soft),
    on("softnet", softnet::collect),
    on("stat", stat::collect),
    off("sysctl", tables::sysctl),
    on("tapestats", tape::collect),
    on("textfile", textfile::collect),
    on("thermal_zone", thermal::collect),
    on("time", time::collect),
    on("udp_queues", udp_queues::collect),
    on("uname", kernel::uname),
    on("vmstat", vmstat::collect),
    on("watchdog", watchdog::collect),
    off("xfrm", tables::xfrm),
    on("xfs", xfs::collect),
    on("zfs", zfs::collect),
    off("zoneinfo", zoneinfo::collect),
];
