//! A store with the series of many machines, for benches.
//!
//! Each target has about a thousand series: a machine's, its pods' and the histograms of its services; counters grow by random
//! steps, gauges wander. Values depend on nothing but target, series and step, so that every run sees the same.
//! Start at [`World::load`].

#![allow(clippy::unwrap_used, reason = "benches stop where they fail")]

use std::sync::Arc;
use std::time::Duration;

use journal::RealDisk;
use model::{Labels, Selection, SeriesReader, Timestamp};
use ports::{Append as _, Row, Select, WriteBatch};
use promql::{Answer, EvalOptions, ParseOptions, Plan, Range};
use tsdb::{Tsdb, TsdbOptions};

/// The time of the first sample.
pub const START: Timestamp = Timestamp::from_secs(1_767_225_600);
/// Seconds between samples.
pub const STEP_SECONDS: i64 = 5;

/// A filled store.
pub struct World {
    /// The store.
    pub tsdb: Arc<Tsdb>,
    /// The time of the newest sample.
    pub end: Timestamp,
    _folder: tempfile::TempDir,
}

/// How a series' value moves.
#[derive(Clone, Copy)]
enum Walk {
    /// Grows by up to twice this a step, in units of the second number.
    Counter(u64, f64),
    /// Wanders between zero and this, in units of the second number.
    Gauge(u64, f64),
    /// Stays.
    Constant(f64),
    /// A bucket: grows by this share (in thousandths) of what the counter with the given seed grows by.
    Bucket(u64, u64),
}

struct Blueprint {
    labels: Vec<(&'static str, String)>,
    walk: Walk,
}

fn scramble(a: u64, b: u64) -> u64 {
    let mut hash = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_add(0x632b_e59b_d9b4_e019);
    hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 29)
}

impl Walk {
    fn at(self, seed: u64, step: u64) -> f64 {
        let counted =
            |seed: u64, rate: u64| seed % 100_000 + rate * step + scramble(seed, step) % rate.max(1);
        match self {
            Walk::Counter(rate, unit) => counted(seed, rate) as f64 * unit,
            Walk::Gauge(size, unit) => {
                let period = 150 + seed % 700;
                let phase = (step + seed % period) % period;
                let up = if phase * 2 < period { phase * 2 } else { 2 * (period - phase) };
                (size * up / period + scramble(seed, step) % (size / 20 + 1)) as f64 * unit
            }
            Walk::Constant(value) => value,
            Walk::Bucket(of, share) => {
                let total = counted(scramble(of, seed >> 32), 20 + of % 150);
                (total * share / 1000) as f64
            }
        }
    }
}

const BOUNDS: [(&str, u64); 12] = [
    ("0.005", 110),
    ("0.01", 230),
    ("0.025", 420),
    ("0.05", 590),
    ("0.1", 730),
    ("0.25", 840),
    ("0.5", 910),
    ("1", 950),
    ("2.5", 975),
    ("5", 990),
    ("10", 997),
    ("+Inf", 1000),
];
const MODES: [&str; 8] = ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"];
const HANDLERS: [&str; 8] = [
    "/api/v1/orders",
    "/api/v1/users",
    "/api/v1/items",
    "/login",
    "/healthz",
    "/search",
    "/cart",
    "/checkout",
];
const NAMESPACES: [&str; 4] = ["default", "shop", "payments", "monitoring"];

/// The series of one target.
fn blueprints() -> Vec<Blueprint> {
    let mut all = Vec::new();
    let mut add = |name: &'static str, labels: &[(&'static str, &str)], walk: Walk| {
        let mut pairs = vec![("__name__", name.to_owned())];
        pairs.extend(labels.iter().map(|(name, value)| (*name, (*value).to_owned())));
        all.push(Blueprint { labels: pairs, walk });
    };
    add("bench_heartbeat", &[], Walk::Counter(1, 1.0));
    for cpu in 0..8 {
        for (place, mode) in MODES.iter().enumerate() {
            let walk = match place {
                0 => Walk::Counter(80, 0.01),
                6 | 7 => Walk::Counter(9, 0.01),
                1 | 4 => Walk::Counter(2, 0.01),
                _ => Walk::Constant(0.0),
            };
            add("node_cpu_seconds_total", &[("cpu", &cpu.to_string()), ("mode", mode)], walk);
        }
    }
    for (name, walk) in [
        ("node_memory_MemTotal_bytes", Walk::Constant(33_554_432_000.0)),
        ("node_memory_MemAvailable_bytes", Walk::Gauge(3_000_000, 4096.0)),
        ("node_load1", Walk::Gauge(4000, 0.001)),
        ("node_load5", Walk::Gauge(3000, 0.001)),
        ("node_context_switches_total", Walk::Counter(9000, 1.0)),
    ] {
        add(name, &[], walk);
    }
    for (device, mount) in
        [("/dev/sda1", "/"), ("/dev/sda2", "/var"), ("/dev/sdb1", "/data"), ("tmpfs", "/run")]
    {
        let labels = [("device", device), ("fstype", "ext4"), ("mountpoint", mount)];
        add("node_filesystem_size_bytes", &labels, Walk::Constant(107_374_182_400.0));
        add("node_filesystem_avail_bytes", &labels, Walk::Gauge(9_000_000, 4096.0));
    }
    for device in ["eth0", "eth1", "lo"] {
        add("node_network_receive_bytes_total", &[("device", device)], Walk::Counter(150_000, 1.0));
        add("node_network_transmit_bytes_total", &[("device", device)], Walk::Counter(90_000, 1.0));
    }
    for app in 0..30u64 {
        add_app(&mut add, app);
    }
    all
}

/// A pod and the service that it runs.
fn add_app(add: &mut impl FnMut(&'static str, &[(&'static str, &str)], Walk), app: u64) {
    let pod = format!("app-{app:03}-00000000-x7k2p");
    let image = format!("img.example/team/app-{app:03}:1.{}.0", app % 9);
    let id = format!("/kubepods/burstable/pod{:08x}", scramble(app, 3) as u32);
    for (name, extra, walk) in [
        ("container_cpu_usage_seconds_total", ("cpu", "total"), Walk::Counter(25, 0.01)),
        ("container_memory_working_set_bytes", ("type", "ws"), Walk::Gauge(60_000, 4096.0)),
        ("container_memory_rss", ("type", "rss"), Walk::Gauge(50_000, 4096.0)),
        ("container_network_receive_bytes_total", ("interface", "eth0"), Walk::Counter(20_000, 1.0)),
        ("container_network_transmit_bytes_total", ("interface", "eth0"), Walk::Counter(15_000, 1.0)),
        ("container_fs_writes_bytes_total", ("device", "/dev/sda"), Walk::Counter(4096, 1.0)),
        ("container_spec_memory_limit_bytes", ("type", "limit"), Walk::Constant(536_870_912.0)),
        ("kube_pod_container_status_restarts_total", ("reason", "any"), Walk::Constant(3.0)),
        ("kube_pod_status_ready", ("condition", "true"), Walk::Constant(1.0)),
        ("kube_pod_info", ("phase", "Running"), Walk::Constant(1.0)),
    ] {
        let labels = [
            ("cluster", "prod-1"),
            ("container", "app"),
            ("id", id.as_str()),
            ("image", image.as_str()),
            ("namespace", NAMESPACES[(app % 4) as usize]),
            ("pod", pod.as_str()),
            ("zone", "z1"),
            extra,
        ];
        add(name, &labels, walk);
    }
    let handler = HANDLERS[(app % 8) as usize];
    let service = format!("svc-{}", app / 8);
    let method = if app.is_multiple_of(3) { "POST" } else { "GET" };
    let of_service = [("handler", handler), ("method", method), ("service", service.as_str())];
    let with = |name: &'static str, value: &'static str| {
        [of_service[0], of_service[1], of_service[2], (name, value)]
    };
    for (bound, share) in BOUNDS {
        add("http_request_duration_seconds_bucket", &with("le", bound), Walk::Bucket(1000 + app, share));
    }
    add("http_request_duration_seconds_count", &of_service, Walk::Bucket(1000 + app, 1000));
    for (code, rate) in [("200", 20 + app * 13 % 200), ("404", 1), ("500", 1)] {
        add("http_requests_total", &with("code", code), Walk::Counter(rate, 1.0));
    }
}

impl World {
    /// The series of `targets` machines with a sample each five seconds over `span`.
    pub fn load(targets: u64, span: Duration) -> World {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::new(folder.path()));
        let (tsdb, _) = Tsdb::open(disk, TsdbOptions::default()).unwrap();
        let steps = span.as_secs() / STEP_SECONDS as u64;
        let blueprints = blueprints();
        let mut batches: Vec<WriteBatch> = (0..targets).map(|target| batch(&blueprints, target)).collect();
        for step in 0..=steps {
            let at = START + Duration::from_secs(step * STEP_SECONDS as u64);
            for (target, batch) in batches.iter_mut().enumerate() {
                for (number, (row, blueprint)) in batch.rows.iter_mut().zip(&blueprints).enumerate() {
                    row.at = at;
                    let seed = scramble(target as u64 + 1, number as u64);
                    row.value = blueprint.walk.at(seed, step).into();
                }
                let appended = tsdb.append(batch).unwrap();
                for (row, outcome) in batch.rows.iter_mut().zip(appended.outcome) {
                    row.hint = outcome.ok();
                }
            }
        }
        let end = START + Duration::from_secs(steps * STEP_SECONDS as u64);
        World { tsdb: Arc::new(tsdb), end, _folder: folder }
    }

    /// The series of a selection.
    pub fn find(&self, selection: Selection) -> Arc<dyn SeriesReader> {
        let store: Arc<Tsdb> = Arc::clone(&self.tsdb);
        now(store.find(selection)).unwrap()
    }

    /// Plans, selects and evaluates; of a range query over the last `seconds` each `step` seconds, else at the end.
    pub fn query(&self, text: &str, range: Option<(u64, u64)>) -> Answer {
        let expr = promql::parse(text, &ParseOptions::default()).unwrap();
        let range = match range {
            Some((seconds, step)) => {
                Range::new(self.end - Duration::from_secs(seconds), self.end, Duration::from_secs(step))
            }
            None => Range::instant(self.end),
        };
        let options = EvalOptions::default();
        let mut plan = Plan::new(&expr, range, &options).unwrap();
        let data: Vec<Arc<dyn SeriesReader>> =
            plan.take_selections().into_iter().map(|selection| self.find(selection)).collect();
        plan.eval(&expr, &data, &options).unwrap()
    }
}

/// What a future has that is ready.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("the store answers at once"),
    }
}

fn batch(blueprints: &[Blueprint], target: u64) -> WriteBatch {
    let instance = format!("node-{target:04}");
    let row = |blueprint: &Blueprint| {
        let own = blueprint.labels.iter().map(|(name, value)| (*name, value.as_str()));
        let labels: Labels = own.chain([("instance", instance.as_str()), ("job", "bench")]).collect();
        Row { labels, hint: None, at: START, value: 0.0.into() }
    };
    WriteBatch { rows: blueprints.iter().map(row).collect() }
}
