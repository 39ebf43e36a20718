//! What rules may call: PromQL and `fire`.

use model::{Annotations, Finding, Labels};
use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};

use super::convert::{annotations, labels, number, seconds};
use super::fault::{throw, thrown};
use super::running::{call, running, wait};
use super::series::{Series, of_matrix, of_vector};
use crate::{ErrorKind, HostError};

type Outcome<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("query", query)
        .register_fn("query_value", query_value)
        .register_fn("query_range", query_range)
        .register_fn("by_label", by_label)
        .register_fn("fire", |series: Series| fire(of(&series), series.value(), Annotations::new()))
        .register_fn("fire", |series: Series, notes: Map| {
            fire(of(&series), series.value(), annotations(&notes))
        })
        .register_fn("fire", |series: Series, value: Dynamic, notes: Map| {
            fire(of(&series), number(&value)?, annotations(&notes))
        })
        .register_fn("fire", |with: Map, value: Dynamic| {
            fire(labels(&with)?, number(&value)?, Annotations::new())
        })
        .register_fn("fire", |with: Map, value: Dynamic, notes: Map| {
            fire(labels(&with)?, number(&value)?, annotations(&notes))
        });
}

fn query(promql: &str) -> Outcome<Array> {
    let call = call()?;
    let vector = wait(call.query_instant(promql, None))?;
    Ok(of_vector(vector)?.into_iter().map(Dynamic::from).collect())
}

/// The one value of a query; `()` if there is none. Several are an error: one of them would be taken by chance.
fn query_value(promql: &str) -> Outcome<Dynamic> {
    let call = call()?;
    let series = of_vector(wait(call.query_instant(promql, None))?)?;
    match series.as_slice() {
        [] => Ok(Dynamic::UNIT),
        [one] => Ok(one.value().into()),
        many => Err(throw(
            ErrorKind::Permanent,
            format!(
                "query `{promql}`: {} series, where one value is wanted; aggregate them, such as with `sum(…)`",
                many.len()
            ),
        )),
    }
}

/// From `back` before the evaluation up to it.
fn query_range(promql: &str, back: Dynamic, step: Dynamic) -> Outcome<Array> {
    let call = call()?;
    let (back, step) = (seconds(&back)?, seconds(&step)?);
    let end = call.now();
    let matrix = wait(call.query_range(promql, end - back, end, step))?;
    Ok(of_matrix(matrix)?.into_iter().map(Dynamic::from).collect())
}

/// Label value → value of the series.
fn by_label(series: Array, label: &str) -> Outcome<Map> {
    let mut map = Map::new();
    for item in &series {
        let item = item
            .read_lock::<Series>()
            .ok_or_else(|| throw(ErrorKind::Permanent, "`by_label` takes what `query` has answered"))?;
        map.insert(item.labels().value(label).into(), item.value().into());
    }
    Ok(map)
}

/// The labels of an alert: those of the series without the metric name.
fn of(series: &Series) -> Labels {
    series.labels().without_name()
}

fn fire(labels: Labels, value: f64, annotations: Annotations) -> Outcome<()> {
    let max = call()?.profile.limits.findings;
    let running = running()?;
    let mut findings = running.findings.borrow_mut();
    if findings.len() >= max {
        return Err(thrown(HostError::limit("findings", format!("fired more than {max} times in one call"))));
    }
    findings.push(Finding { labels, value, annotations });
    Ok(())
}
