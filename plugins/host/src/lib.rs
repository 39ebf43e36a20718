//! Exporter: the machine that Foghorn runs on, with node_exporter's names, labels and values.
//!
//! What the files mean is `node-metrics`' business; here they are read through the host's grant, which names each of
//! them. Some files need a newer kernel or another machine: what is not there is left out.

use foghorn_plugin::exporter::*;
use node_metrics::{Files, Options};

struct Host;

impl Collector for Host {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn collect(_target: &Target) -> Result<Exposition> {
        let families = node_metrics::collect(&Granted, &options()?);
        let mut out = Exposition::new();
        build_info(&mut out);
        tell(&families, &mut out);
        Ok(out)
    }
}

export_exporter!(Host);

fn options() -> Result<Options> {
    let defaults = Options::default();
    Ok(Options {
        with: param("with")?,
        without: param("without")?,
        ignored_network_devices: param("ignored_network_devices")?,
        ignored_mount_points: param::<Option<_>>("ignored_mount_points")?
            .unwrap_or(defaults.ignored_mount_points),
        ignored_file_system_types: param::<Option<_>>("ignored_file_system_types")?
            .unwrap_or(defaults.ignored_file_system_types),
        sysctl: param("sysctl")?,
        textfile_directories: param("textfile_directories")?,
        ..Options::default()
    })
}

/// Dashboards look for this series to find the machines.
fn build_info(out: &mut Exposition) {
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("branch", "foghorn"), ("goos", "linux")];
    out.gauge("node_exporter_build_info", "Which exporter this is.").point(&labels, 1.0);
}

fn tell(families: &[node_metrics::Family], out: &mut Exposition) {
    for family in families {
        let kind = match family.kind {
            node_metrics::MetricType::Counter => MetricType::Counter,
            node_metrics::MetricType::Gauge => MetricType::Gauge,
            node_metrics::MetricType::Histogram => MetricType::Histogram,
            node_metrics::MetricType::Summary => MetricType::Summary,
            node_metrics::MetricType::Untyped => MetricType::Unknown,
        };
        let mut points = out.family(&family.name, kind, &family.help);
        let mut labels = Vec::new();
        for point in &family.points {
            labels.clear();
            labels.extend(point.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            points.sample(point.suffix, &labels, point.value);
        }
    }
}

/// The files that the operator granted.
struct Granted;

impl Files for Granted {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        files::read(path).map_err(text)
    }

    fn read_all(&self, paths: &[String]) -> Vec<Result<Vec<u8>, String>> {
        files::read_all(paths).into_iter().map(|read| read.map_err(text)).collect()
    }

    fn list(&self, path: &str) -> Result<Vec<String>, String> {
        let entries = files::list_directory(path).map_err(text)?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    fn link(&self, path: &str) -> Result<String, String> {
        files::read_link(path).map_err(text)
    }

    fn file_system(&self, path: &str) -> Result<node_metrics::FileSystem, String> {
        let system = files::stat_file_system(path).map_err(text)?;
        Ok(node_metrics::FileSystem {
            block_size: system.block_size,
            blocks: system.blocks,
            blocks_free: system.blocks_free,
            blocks_available: system.blocks_available,
            inodes: system.inodes,
            inodes_free: system.inodes_free,
        })
    }

    fn kernel(&self) -> Result<node_metrics::Kernel, String> {
        let kernel = files::uname().map_err(text)?;
        Ok(node_metrics::Kernel {
            sysname: kernel.sysname,
            release: kernel.release,
            version: kernel.version,
            machine: kernel.machine,
            nodename: kernel.nodename,
            domainname: kernel.domainname,
        })
    }

    fn now(&self) -> f64 {
        clock::now().seconds()
    }
}

fn text(error: Error) -> String {
    error.message
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    #[test]
    fn a_scrape_has_the_metrics_of_what_is_granted() {
        let host = FakeHost::new()
            .manifest(Host::MANIFEST)
            .now(1_700_000_000_000)
            .file("/proc/loadavg", "0.21 0.37 0.39 1/719 19737\n")
            .file(
                "/proc/stat",
                "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 301854 612 111922 8979004 3552 2 3944 0 44 36\n",
            );
        let out = host.run(|| Host::collect(&Target::default())).expect("scrapes").to_text();
        for line in [
            r#"node_exporter_build_info{version="0.1.0",branch="foghorn",goos="linux"} 1"#,
            "# TYPE node_cpu_seconds_total counter",
            r#"node_cpu_seconds_total{cpu="0",mode="idle"} 89790.04"#,
            r#"node_cpu_guest_seconds_total{cpu="0",mode="user"} 0.44"#,
            "node_load15 0.39",
            "node_time_seconds 1700000000",
            r#"node_scrape_collector_success{collector="loadavg"} 1"#,
            r#"node_scrape_collector_success{collector="meminfo"} 0"#,
        ] {
            assert!(out.lines().any(|own| own == line), "{line}\n{out}");
        }
    }

    #[test]
    fn collectors_can_be_left_out() {
        let host = FakeHost::new()
            .manifest(Host::MANIFEST)
            .param("without", vec!["loadavg"])
            .file("/proc/loadavg", "0.21 0.37 0.39 1/719 19737\n");
        let out = host.run(|| Host::collect(&Target::default())).expect("scrapes").to_text();
        assert!(!out.contains("loadavg") && !out.contains("node_load"));
    }
}
