//! Native histograms of a request: the message, and whether it is a histogram that can be.
//!
//! Both protocols number the fields alike. Counts come as whole numbers, buckets as differences, or all as floats; the
//! store has floats. What is wrong with a histogram is said and concerns that sample alone; bytes that are no message
//! are the request's fault.

use model::{BucketSpan, CUSTOM_BUCKETS_SCHEMA, CounterResetHint, Histogram};

use crate::wire::{Fields, Malformed, Value, unzigzag};

/// The finest resolution that can be stored; finer ones, up to [`FINEST_KNOWN`], are made coarser.
const FINEST_STORED: i32 = 8;
const FINEST_KNOWN: i32 = 52;
const COARSEST: i32 = -4;

/// The fields of the message.
#[derive(Default)]
struct Message {
    at: i64,
    count: Count,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_count: Count,
    positive: Side,
    negative: Side,
    custom_values: Vec<f64>,
    reset_hint: u64,
}

/// One of the two forms of a number. Absent is the whole number 0.
#[derive(Clone, Copy)]
enum Count {
    Whole(u64),
    Float(f64),
}

impl Default for Count {
    fn default() -> Self {
        Count::Whole(0)
    }
}

impl Count {
    fn as_float(self) -> f64 {
        match self {
            Count::Whole(count) => count as f64,
            Count::Float(count) => count,
        }
    }
}

#[derive(Default)]
struct Side {
    spans: Vec<BucketSpan>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// Time and value, or what is wrong with the value.
pub(crate) fn read(message: &[u8]) -> Result<(i64, Result<Histogram, String>), Malformed> {
    let message = parse(message)?;
    Ok((message.at, check(message)))
}

fn parse(bytes: &[u8]) -> Result<Message, Malformed> {
    let mut message = Message::default();
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => message.count = Count::Whole(value.varint()?),
            2 => message.count = Count::Float(value.double()?),
            3 => message.sum = value.double()?,
            4 => message.schema = unzigzag(value.varint()?) as i32,
            5 => message.zero_threshold = value.double()?,
            6 => message.zero_count = Count::Whole(value.varint()?),
            7 => message.zero_count = Count::Float(value.double()?),
            8 => message.negative.spans.push(span(value.bytes()?)?),
            9 => push_deltas(&mut message.negative, value)?,
            10 => value.each_double(|count| message.negative.counts.push(count))?,
            11 => message.positive.spans.push(span(value.bytes()?)?),
            12 => push_deltas(&mut message.positive, value)?,
            13 => value.each_double(|count| message.positive.counts.push(count))?,
            14 => message.reset_hint = value.varint()?,
            15 => message.at = value.varint()? as i64,
            16 => value.each_double(|bound| message.custom_values.push(bound))?,
            _ => {}
        }
    }
    Ok(message)
}

fn push_deltas(side: &mut Side, value: Value<'_>) -> Result<(), Malformed> {
    value.each_varint(|delta| side.deltas.push(unzigzag(delta)))
}

fn span(bytes: &[u8]) -> Result<BucketSpan, Malformed> {
    let mut span = BucketSpan { offset: 0, length: 0 };
    let mut fields = Fields::of(bytes);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => span.offset = unzigzag(value.varint()?) as i32,
            2 => span.length = value.varint()? as u32,
            _ => {}
        }
    }
    Ok(span)
}

fn check(message: Message) -> Result<Histogram, String> {
    let float = matches!(message.count, Count::Float(_));
    let custom = message.schema == CUSTOM_BUCKETS_SCHEMA;
    if !custom && !(COARSEST..=FINEST_KNOWN).contains(&message.schema) {
        return Err(format!("schema {} is not known; −4 to 52 and −53 are", message.schema));
    }
    check_custom(&message, custom)?;
    if !float {
        check_whole_counts(&message)?;
    }
    let (positive_spans, positive_buckets) = side(message.positive, float, "positive")?;
    let (negative_spans, negative_buckets) = side(message.negative, float, "negative")?;
    let last_bound = message.custom_values.len() as i64;
    if custom && highest(&positive_spans) > last_bound {
        return Err(format!("a bucket lies beyond the {last_bound} custom bounds"));
    }
    let histogram = Histogram {
        schema: message.schema,
        zero_threshold: message.zero_threshold,
        zero_count: not_negative(message.zero_count.as_float(), "the zero bucket")?,
        count: not_negative(message.count.as_float(), "all observations")?,
        sum: message.sum,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        custom_values: message.custom_values,
        counter_reset_hint: match message.reset_hint {
            1 => CounterResetHint::Reset,
            2 => CounterResetHint::NotReset,
            3 => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        },
    };
    Ok(if histogram.schema > FINEST_STORED { histogram.with_schema(FINEST_STORED) } else { histogram })
}

fn check_custom(message: &Message, custom: bool) -> Result<(), String> {
    if !custom {
        let wrong = !message.custom_values.is_empty();
        return if wrong { Err("exponential buckets and custom bounds at once".to_owned()) } else { Ok(()) };
    }
    let Side { spans, deltas, counts } = &message.negative;
    if !(spans.is_empty() && deltas.is_empty() && counts.is_empty()) {
        return Err("custom bounds and negative buckets at once".to_owned());
    }
    if message.zero_threshold != 0.0 || message.zero_count.as_float() != 0.0 {
        return Err("custom bounds and a zero bucket at once".to_owned());
    }
    let ascend = message.custom_values.windows(2).all(|pair| pair[0] < pair[1]);
    if !ascend || !message.custom_values.iter().all(|bound| bound.is_finite() || *bound == f64::NEG_INFINITY)
    {
        return Err("custom bounds must ascend and be finite".to_owned());
    }
    Ok(())
}

/// Whole numbers add up exactly. Observations that are NaN are in no bucket, and make the sum NaN.
fn check_whole_counts(message: &Message) -> Result<(), String> {
    let Count::Whole(count) = message.count else { return Ok(()) };
    let Count::Whole(zero_count) = message.zero_count else {
        return Err(
            "a zero bucket with a fractional count, but all observations are a whole number".to_owned()
        );
    };
    let mut in_buckets = u128::from(zero_count);
    for side in [&message.positive, &message.negative] {
        let mut bucket = 0i128;
        for delta in &side.deltas {
            bucket += i128::from(*delta);
            // A negative one is refused below, with its side.
            in_buckets += u128::try_from(bucket).unwrap_or(0);
        }
    }
    let count = u128::from(count);
    let fits = if message.sum.is_nan() { in_buckets <= count } else { in_buckets == count };
    if fits { Ok(()) } else { Err(format!("{in_buckets} observations in its buckets, but {count} in all")) }
}

/// Spans and absolute counts of one side.
fn side(side: Side, float: bool, name: &str) -> Result<(Vec<BucketSpan>, Vec<f64>), String> {
    let buckets: Vec<f64> = if float {
        side.counts
    } else {
        let mut bucket = 0i64;
        let absolute = side.deltas.iter().map(|delta| {
            bucket = bucket.saturating_add(*delta);
            bucket as f64
        });
        absolute.collect()
    };
    let expected: u64 = side.spans.iter().map(|span| u64::from(span.length)).sum();
    if expected != buckets.len() as u64 {
        return Err(format!("spans of {expected} {name} buckets, but {} counts", buckets.len()));
    }
    if side.spans.iter().skip(1).any(|span| span.offset < 0) {
        return Err(format!("a {name} span begins before the one in front of it ends"));
    }
    if i32::try_from(highest(&side.spans)).is_err() {
        return Err(format!("a {name} bucket has an index beyond all numbers"));
    }
    if buckets.iter().any(|count| *count < 0.0) {
        return Err(format!("a {name} bucket has a negative count"));
    }
    Ok((side.spans, buckets))
}

/// The index of the last bucket.
fn highest(spans: &[BucketSpan]) -> i64 {
    spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum::<i64>() - 1
}

fn not_negative(count: f64, what: &str) -> Result<f64, String> {
    if count < 0.0 { Err(format!("the count of {what} is negative")) } else { Ok(count) }
}
