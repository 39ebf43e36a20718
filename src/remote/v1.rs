//! `prometheus.WriteRequest`, the message of remote write 1.0.

use model::{Metadata, MetricType};

use crate::receiver::{Intake, SeriesMessage};
use crate::wire::{Fields, Malformed};

/// Shows `intake` each series of a request.
pub(crate) fn read(body: &[u8], intake: &mut Intake<'_>) -> Result<(), Malformed> {
    let mut series = SeriesMessage::default();
    let mut fields = Fields::of(body);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => {
                series.clear();
                read_series(value.bytes()?, &mut series)?;
                intake.take(&series)?;
            }
            3 => read_metadata(value.bytes()?, intake)?,
            _ => {}
        }
    }
    Ok(())
}

fn read_series<'a>(message: &'a [u8], series: &mut SeriesMessage<'a>) -> Result<(), Malformed> {
    let mut fields = Fields::of(message);
    // As long as labels stand in front of everything else, their bytes in one piece are a key.
    let mut only_labels = true;
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => {
                series.labels.push(read_label(value.bytes()?)?);
                if only_labels {
                    series.label_bytes = Some(&message[..message.len() - fields.rest().len()]);
                } else {
                    series.label_bytes = None;
                }
                continue;
            }
            2 => series.samples.push(read_sample(value.bytes()?)?),
            3 => {
                read_exemplar(value.bytes()?)?;
                series.exemplars += 1;
            }
            4 => series.histograms.push(value.bytes()?),
            _ => {}
        }
        only_labels = false;
    }
    Ok(())
}

#[inline]
fn read_label(message: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut name, mut text): (&[u8], &[u8]) = (b"", b"");
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => name = value.bytes()?,
            2 => text = value.bytes()?,
            _ => {}
        }
    }
    Ok((name, text))
}

/// Time and value. Protocol 2.0 has the same two fields.
#[inline]
pub(crate) fn read_sample(message: &[u8]) -> Result<(i64, f64), Malformed> {
    let (mut at, mut number_read) = (0, 0.0);
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => number_read = value.double()?,
            2 => at = value.varint()? as i64,
            _ => {}
        }
    }
    Ok((at, number_read))
}

fn read_exemplar(message: &[u8]) -> Result<(), Malformed> {
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => drop(read_label(value.bytes()?)?),
            2 => drop(value.double()?),
            3 => drop(value.varint()?),
            _ => {}
        }
    }
    Ok(())
}

fn read_metadata(message: &[u8], intake: &mut Intake<'_>) -> Result<(), Malformed> {
    let (mut name, mut metadata) = (String::new(), Metadata::default());
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => metadata.kind = metric_type(value.varint()?),
            2 => name = text(value.bytes()?),
            4 => metadata.help = text(value.bytes()?),
            5 => metadata.unit = text(value.bytes()?),
            _ => {}
        }
    }
    intake.describe(name, metadata);
    Ok(())
}

/// The type of a metric; both protocols number them alike.
pub(crate) fn metric_type(number: u64) -> MetricType {
    match number {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}
