//! `io.prometheus.write.v2.Request`, the message of remote write 2.0: every text stands once, in the table of symbols.

use model::{METRIC_NAME, Metadata, MetricType};

use crate::receiver::{Intake, SeriesMessage};
use crate::refusals::Why;
use crate::v1::{metric_type, read_sample};
use crate::wire::{Fields, Malformed};

/// Shows `intake` each series of a request.
pub(crate) fn read(body: &[u8], intake: &mut Intake<'_>) -> Result<(), Malformed> {
    // The table is complete only when the whole message has been seen: fields may come in any order.
    let mut symbols: Vec<&[u8]> = Vec::new();
    let mut fields = Fields::of(body);
    while let Some((number, value)) = fields.next()? {
        if number == 4 {
            symbols.push(value.bytes()?);
        }
    }
    let mut series = SeriesMessage::default();
    let mut refs = Vec::new();
    let mut fields = Fields::of(body);
    while let Some((number, value)) = fields.next()? {
        if number == 5 {
            read_series(value.bytes()?, &symbols, &mut series, &mut refs, intake)?;
        }
    }
    Ok(())
}

fn read_series<'a>(
    message: &'a [u8],
    symbols: &[&'a [u8]],
    series: &mut SeriesMessage<'a>,
    refs: &mut Vec<u64>,
    intake: &mut Intake<'_>,
) -> Result<(), Malformed> {
    series.clear();
    refs.clear();
    let mut bad_exemplars = 0;
    let mut metadata = None;
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => value.each_varint(|symbol| refs.push(symbol))?,
            2 => series.samples.push(read_sample(value.bytes()?)?),
            3 => series.histograms.push(value.bytes()?),
            4 => match exemplar_is_good(value.bytes()?, symbols)? {
                true => series.exemplars += 1,
                false => bad_exemplars += 1,
            },
            5 => metadata = Some(value.bytes()?),
            _ => {}
        }
    }
    if let Err(problem) = resolve(refs, symbols, &mut series.labels) {
        intake.refuse(Why::Labels, series.len().max(1), problem);
        return Ok(());
    }
    if bad_exemplars > 0 {
        let example = "an exemplar whose labels are not in the table of symbols".to_owned();
        intake.refuse(Why::Exemplar, bad_exemplars, example);
    }
    let is_new = intake.take(series)?;
    if let Some(metadata) = metadata.filter(|_| is_new) {
        describe(metadata, symbols, series, intake)?;
    }
    Ok(())
}

/// The labels that pairs of references mean.
fn resolve<'a>(
    refs: &[u64],
    symbols: &[&'a [u8]],
    labels: &mut Vec<(&'a [u8], &'a [u8])>,
) -> Result<(), String> {
    let (pairs, rest) = refs.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!("{} references for labels: a name without a value", refs.len()));
    }
    for pair in pairs {
        let [name, value] = pair.map(|symbol| usize::try_from(symbol).ok().and_then(|s| symbols.get(s)));
        match (name, value) {
            (Some(name), Some(value)) => labels.push((name, value)),
            _ => {
                return Err(format!(
                    "references {} and {} of a label, but {} symbols",
                    pair[0],
                    pair[1],
                    symbols.len()
                ));
            }
        }
    }
    Ok(())
}

fn exemplar_is_good(message: &[u8], symbols: &[&[u8]]) -> Result<bool, Malformed> {
    let mut refs = Vec::new();
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => value.each_varint(|symbol| refs.push(symbol))?,
            2 => drop(value.double()?),
            3 => drop(value.varint()?),
            _ => {}
        }
    }
    Ok(resolve(&refs, symbols, &mut Vec::new()).is_ok())
}

/// What a series says about its family; once for each series that is new here, since it says the same each time.
fn describe(
    message: &[u8],
    symbols: &[&[u8]],
    series: &SeriesMessage<'_>,
    intake: &mut Intake<'_>,
) -> Result<(), Malformed> {
    let mut metadata = Metadata::default();
    let text = |symbol: u64| {
        let found = usize::try_from(symbol).ok().and_then(|s| symbols.get(s)).copied().unwrap_or_default();
        String::from_utf8_lossy(found).into_owned()
    };
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => metadata.kind = metric_type(value.varint()?),
            3 => metadata.help = text(value.varint()?),
            4 => metadata.unit = text(value.varint()?),
            _ => {}
        }
    }
    let name = series.labels.iter().find(|(name, _)| *name == METRIC_NAME.as_bytes());
    let Some(name) = name.and_then(|(_, name)| std::str::from_utf8(name).ok()) else { return Ok(()) };
    if metadata != Metadata::default() {
        intake.describe(family(name, metadata.kind).to_owned(), metadata);
    }
    Ok(())
}

/// The family that a series of this name belongs to.
fn family(name: &str, kind: MetricType) -> &str {
    let suffixes: &[&str] = match kind {
        MetricType::Histogram | MetricType::GaugeHistogram => {
            &["_bucket", "_count", "_sum", "_gcount", "_gsum"]
        }
        MetricType::Summary => &["_count", "_sum"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}
