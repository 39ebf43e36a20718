//! What exporters may call: HTTP, granted files, and points.

use model::{BUCKET_LABEL, Labels, METRIC_NAME, Metadata, MetricType, format_float, is_legacy_metric_name};
use ports::Point;
use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};

use super::convert::{labels, number};
use super::fault::{throw, thrown};
use super::http;
use super::running::{call, room_for, running, wait};
use crate::memory::uncounted;
use crate::{ErrorKind, HostError};

type Outcome<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    http::register(engine);
    for (function, kind) in [("gauge", MetricType::Gauge), ("counter", MetricType::Counter)] {
        engine
            .register_fn(function, move |name: &str, value: Dynamic| {
                point(kind, name, &value, Labels::empty())
            })
            .register_fn(function, move |name: &str, value: Dynamic, with: Map| {
                point(kind, name, &value, labels(&with)?)
            });
    }
    engine
        .register_fn("histogram", |name: &str, bounds: Array, counts: Array, sum: Dynamic| {
            histogram(name, &bounds, &counts, &sum, &Labels::empty())
        })
        .register_fn("histogram", |name: &str, bounds: Array, counts: Array, sum: Dynamic, with: Map| {
            histogram(name, &bounds, &counts, &sum, &labels(&with)?)
        });
    files(engine);
}

fn files(engine: &mut Engine) {
    engine
        .register_fn("read_file", |path: &str| -> Outcome<String> {
            let call = call()?;
            let bytes = wait(call.read_file(path.to_owned()))?;
            room_for(2 * bytes.len())?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            uncounted(|| drop(bytes));
            Ok(text)
        })
        .register_fn("list_directory", |path: &str| -> Outcome<Array> {
            let call = call()?;
            let entries = wait(call.list_directory(path.to_owned()))?;
            room_for(entries.len() * 256)?;
            let entry = |entry: &crate::host::Entry| -> Dynamic {
                Map::from([
                    ("name".into(), entry.name.as_str().into()),
                    ("directory".into(), entry.directory.into()),
                ])
                .into()
            };
            let array = entries.iter().map(entry).collect();
            uncounted(|| drop(entries));
            Ok(array)
        })
        .register_fn("read_link", |path: &str| -> Outcome<String> {
            let call = call()?;
            wait(call.read_link(path.to_owned()))
        })
        .register_fn("file_system", |path: &str| -> Outcome<Map> {
            let call = call()?;
            let stat = wait(call.file_system(path.to_owned()))?;
            let whole = |value: u64| Dynamic::from(i64::try_from(value).unwrap_or(i64::MAX));
            Ok(Map::from([
                ("block_size".into(), whole(stat.block_size)),
                ("blocks".into(), whole(stat.blocks)),
                ("blocks_free".into(), whole(stat.blocks_free)),
                ("blocks_available".into(), whole(stat.blocks_available)),
                ("inodes".into(), whole(stat.inodes)),
                ("inodes_free".into(), whole(stat.inodes_free)),
                ("read_only".into(), stat.read_only.into()),
            ]))
        })
        .register_fn("uname", || -> Outcome<Map> {
            let kernel = call()?.uname().map_err(thrown)?;
            Ok(Map::from([
                ("sysname".into(), kernel.sysname.into()),
                ("release".into(), kernel.release.into()),
                ("version".into(), kernel.version.into()),
                ("machine".into(), kernel.machine.into()),
                ("nodename".into(), kernel.nodename.into()),
                ("domainname".into(), kernel.domainname.into()),
            ]))
        });
}

fn point(kind: MetricType, name: &str, value: &Dynamic, labels: Labels) -> Outcome<()> {
    let value = number(value)?;
    family(name, kind)?;
    push(name, "", &labels, None, value)
}

/// Buckets with their own counts, not summed up; one count more than bounds is what lies above the last.
fn histogram(name: &str, bounds: &Array, counts: &Array, sum: &Dynamic, labels: &Labels) -> Outcome<()> {
    let bounds = bounds.iter().map(number).collect::<Outcome<Vec<f64>>>()?;
    let counts = counts.iter().map(number).collect::<Outcome<Vec<f64>>>()?;
    let wrong = |message: String| Err(throw(ErrorKind::Permanent, message));
    if !(counts.len() == bounds.len() || counts.len() == bounds.len() + 1) {
        return wrong(format!("`{name}` has {} bounds and {} counts", bounds.len(), counts.len()));
    }
    if !bounds.windows(2).all(|pair| pair[0] < pair[1]) {
        return wrong(format!("the bounds of `{name}` do not ascend"));
    }
    family(name, MetricType::Histogram)?;
    let mut total = 0.0;
    for (index, count) in counts.iter().enumerate() {
        total += count;
        if let Some(bound) = bounds.get(index) {
            push(name, "_bucket", labels, Some(&format_float(*bound)), total)?;
        }
    }
    push(name, "_bucket", labels, Some("+Inf"), total)?;
    push(name, "_sum", labels, None, number(sum)?)?;
    push(name, "_count", labels, None, total)
}

/// Notes the family once, with what the manifest says about it.
fn family(name: &str, kind: MetricType) -> Outcome<()> {
    if !is_legacy_metric_name(name) {
        return Err(throw(ErrorKind::Permanent, format!("`{name}` is not the name of a metric")));
    }
    let running = running()?;
    let mut families = running.families.borrow_mut();
    if !families.contains_key(name) {
        let call = call()?;
        let said = call.profile.manifest.metrics.get(name);
        families.insert(
            name.to_owned(),
            Metadata {
                kind: said.and_then(|said| said.kind).unwrap_or(kind),
                help: said.map(|said| said.help.clone()).unwrap_or_default(),
                unit: said.map(|said| said.unit.clone()).unwrap_or_default(),
            },
        );
    }
    Ok(())
}

fn push(name: &str, suffix: &str, labels: &Labels, le: Option<&str>, value: f64) -> Outcome<()> {
    let max = call()?.profile.limits.points;
    let running = running()?;
    let mut points = running.points.borrow_mut();
    if points.len() >= max {
        return Err(thrown(HostError::limit("points", format!("has more than {max} points"))));
    }
    let mut full = labels.edit();
    full.set(METRIC_NAME, &format!("{name}{suffix}"));
    if let Some(le) = le {
        full.set(BUCKET_LABEL, le);
    }
    points.push(Point { labels: full.build(), value: value.into(), at: None });
    Ok(())
}
