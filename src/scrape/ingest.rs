//! One answer of a target → samples in the store.
//!
//! In: what a collector brought, or why it brought nothing. Out: one [`WriteBatch`] with the samples, stale markers for what
//! ended, and the synthetic series; and what to say about the scrape. A scrape counts as a whole: if anything in it is wrong,
//! none of its samples is stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use exposition::{Entry, Format, ParseError};
use model::{
    Histogram, Labels, METRIC_NAME, Metadata, MetricType, SampleValue, SeriesRef, Timestamp, stale_nan,
};
use ports::{Append, Payload, Point, Rejected, Row, Scrape, Target, TextFormat, WriteBatch};

use crate::PoolConfig;
use crate::sample_cache::SampleCache;
use crate::sample_labels::{Honor, SeriesError, finish, join};
use crate::stats::{ScrapeStats, count};

/// A timestamp further ahead of the scrape than this is refused.
const AHEAD_MAX: Duration = Duration::from_secs(600);
/// Scrapes over which the description of a family is kept although the target no longer gives it.
const FAMILY_KEPT_PASSES: u64 = 10;
/// The coarsest resolution of a native histogram.
const COARSEST_SCHEMA: i32 = -4;
/// The finest one.
const FINEST_SCHEMA: i32 = 8;

/// What a loop remembers of its target from one scrape to the next.
#[derive(Debug, Default)]
pub(crate) struct LoopState {
    cache: SampleCache,
    reports: HashMap<&'static str, Option<SeriesRef>>,
    families: Families,
    /// The time of the last scrape.
    pub(crate) last: Option<Timestamp>,
}

impl LoopState {
    /// The rules have changed: what is alive stays alive, what texts mean has to be found out again.
    pub(crate) fn forget_texts(&mut self) {
        self.cache.forget_texts();
    }
}

/// What a collector brought.
pub(crate) enum Collected {
    /// Samples.
    Scrape(Scrape),
    /// Nothing; `too_large` if the body was beyond its limit.
    Nothing { error: String, too_large: bool },
}

/// How a scrape went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Why it failed.
    pub(crate) error: Option<String>,
    /// What was wrong although it did not fail.
    pub(crate) warning: Option<String>,
    /// Samples that the target exposed.
    pub(crate) scraped: usize,
    /// The families that the target describes, if that has changed.
    pub(crate) families: Option<Arc<[(String, Metadata)]>>,
}

/// What ingesting needs beside the state.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a PoolConfig,
    pub(crate) target: &'a Target,
    pub(crate) append: &'a dyn Append,
    pub(crate) stats: &'a ScrapeStats,
}

/// Stores one scrape at time `at`, which took `took`.
pub(crate) fn ingest(
    context: &Context<'_>,
    state: &mut LoopState,
    collected: Collected,
    at: Timestamp,
    took: Duration,
) -> Outcome {
    state.cache.begin();
    let mut reader = Reader::new(context, &mut state.cache, &mut state.families, at);
    let (result, body_bytes) = match collected {
        Collected::Scrape(scrape) => {
            let bytes = match &scrape.payload {
                Payload::Body { bytes, .. } => bytes.len(),
                Payload::Points(_) => scrape.wire_bytes,
            };
            (reader.read(scrape), bytes as f64)
        }
        Collected::Nothing { error, too_large } => {
            if too_large {
                count(&context.stats.exceeded_body_size_limit, 1);
            }
            (Err(error), if too_large { -1.0 } else { 0.0 })
        }
    };
    let Reader { mut batch, scraped, kept, added, .. } = reader;
    let ended = match &result {
        Ok(()) => state.cache.succeed(),
        Err(_) => {
            batch = Batch::default();
            state.cache.end_all()
        }
    };
    for (labels, hint) in ended {
        batch.push(None, Row { labels, hint, at, value: SampleValue::Float(stale_nan()) });
    }
    let up = if result.is_ok() { 1.0 } else { 0.0 };
    let mut reports = vec![
        ("up", up),
        ("scrape_duration_seconds", took.as_secs_f64()),
        ("scrape_samples_scraped", scraped as f64),
        ("scrape_samples_post_metric_relabeling", kept as f64),
        ("scrape_series_added", added as f64),
    ];
    if context.config.extra_metrics {
        reports.push(("scrape_timeout_seconds", context.target.timeout.as_secs_f64()));
        reports.push(("scrape_sample_limit", context.config.limits.samples as f64));
        reports.push(("scrape_body_size_bytes", body_bytes));
    }
    let warning = store(context, state, batch, &reports, at);
    state.cache.tidy();
    state.last = Some(at);
    Outcome { error: result.err(), warning, scraped, families: state.families.take_changed() }
}

/// Marks everything stale that the target had, at time `at`.
pub(crate) fn end(context: &Context<'_>, state: &mut LoopState, at: Timestamp) {
    let mut batch = Batch::default();
    for (labels, hint) in state.cache.end_all() {
        batch.push(None, Row { labels, hint, at, value: SampleValue::Float(stale_nan()) });
    }
    let reports: Vec<(&'static str, f64)> = state.reports.keys().map(|name| (*name, stale_nan())).collect();
    store(context, state, batch, &reports, at);
}

/// Appends samples and synthetic series as one batch. What went wrong, for people.
fn store(
    context: &Context<'_>,
    state: &mut LoopState,
    mut batch: Batch,
    reports: &[(&'static str, f64)],
    at: Timestamp,
) -> Option<String> {
    for (name, value) in reports {
        let labels = context.target.labels.with(METRIC_NAME, name);
        let hint = state.reports.get(name).copied().flatten();
        batch.push(None, Row { labels, hint, at, value: SampleValue::Float(*value) });
    }
    let samples = batch.write.rows.len() - reports.len();
    let appended = match context.append.append(&batch.write) {
        Ok(appended) => appended,
        Err(error) => {
            count(&context.stats.append_failures, 1);
            return Some(error.to_string());
        }
    };
    let mut refused = 0;
    for (place, outcome) in appended.outcome.iter().enumerate() {
        match outcome {
            Ok(stored) => match (batch.slots.get(place).copied().flatten(), place.checked_sub(samples)) {
                (Some(slot), _) => state.cache.set_hint(slot, *stored),
                (None, Some(report)) => {
                    state.reports.insert(reports[report].0, Some(*stored));
                }
                (None, None) => {}
            },
            // Somebody else reads the target meanwhile: their samples are newer and win.
            Err(_) if batch.write.rows[place].value.is_stale() => {}
            Err(Rejected::OutOfOrder) => count(&context.stats.out_of_order, 1),
            Err(Rejected::DuplicateTimestamp) => count(&context.stats.duplicate_timestamp, 1),
            Err(Rejected::OutOfBounds) => count(&context.stats.out_of_bounds, 1),
            Err(Rejected::SeriesLimit) => refused += 1,
        }
    }
    for (name, _) in reports {
        state.reports.entry(name).or_default();
    }
    count(&context.stats.series_refused, refused);
    (refused > 0).then(|| format!("{refused} samples were refused: the store holds as many series as it may"))
}

/// Rows, and for each the slot of the cache that it comes from.
#[derive(Default)]
struct Batch {
    write: WriteBatch,
    slots: Vec<Option<u32>>,
}

impl Batch {
    fn push(&mut self, slot: Option<u32>, row: Row) {
        self.write.rows.push(row);
        self.slots.push(slot);
    }
}

/// Reads the samples of one scrape.
struct Reader<'a> {
    context: &'a Context<'a>,
    cache: &'a mut SampleCache,
    families: &'a mut Families,
    at: Timestamp,
    honor: Honor,
    batch: Batch,
    scraped: usize,
    /// After relabelling.
    kept: usize,
    /// Of those, series that were not there before.
    added: usize,
    /// Samples that count towards the limit.
    counted: u64,
}

impl<'a> Reader<'a> {
    fn new(
        context: &'a Context<'a>,
        cache: &'a mut SampleCache,
        families: &'a mut Families,
        at: Timestamp,
    ) -> Self {
        let honor = if context.config.honor_labels { Honor::Body } else { Honor::Target };
        Reader {
            context,
            cache,
            families,
            at,
            honor,
            batch: Batch::default(),
            scraped: 0,
            kept: 0,
            added: 0,
            counted: 0,
        }
    }

    fn read(&mut self, scrape: Scrape) -> Result<(), String> {
        let limit = self.context.config.limits.body_bytes;
        let bytes = match &scrape.payload {
            Payload::Body { bytes, .. } => bytes.len() as u64,
            Payload::Points(_) => scrape.wire_bytes as u64,
        };
        if limit > 0 && bytes > limit {
            count(&self.context.stats.exceeded_body_size_limit, 1);
            return Err(format!("the body has {bytes} bytes; body_size_limit is {limit}"));
        }
        self.families.begin();
        for (family, metadata) in &scrape.metadata {
            self.families.say(family, Says::Kind(metadata.kind));
            self.families.say(family, Says::Help(&metadata.help));
            self.families.say(family, Says::Unit(&metadata.unit));
        }
        match scrape.payload {
            Payload::Body { bytes, format } => self.read_body(&bytes, format)?,
            Payload::Points(points) => self.read_points(points)?,
        }
        let limit = self.context.config.limits.samples;
        if limit > 0 && self.counted > limit {
            count(&self.context.stats.exceeded_sample_limit, 1);
            return Err(format!("{} samples; sample_limit is {limit}", self.counted));
        }
        self.families.end();
        Ok(())
    }

    fn read_body(&mut self, bytes: &[u8], format: TextFormat) -> Result<(), String> {
        let format = match format {
            TextFormat::Prometheus => Format::PrometheusText,
            TextFormat::OpenMetrics => Format::OpenMetrics,
            TextFormat::Protobuf => Format::Protobuf,
        };
        for entry in exposition::parse(bytes, format, &self.context.config.parse_options()) {
            match entry.map_err(|error: ParseError| error.to_string())? {
                Entry::Sample(sample) => {
                    self.scraped += 1;
                    let slot = match self.cache.find_text(&sample.series) {
                        Some(slot) => slot,
                        None => {
                            let labels = sample
                                .labels()
                                .map_err(|error| format!("`{}`: {error}", shortened(&sample.series)))?;
                            let empty = match self.honor {
                                Honor::Body => sample.empty_labels(),
                                Honor::Target => Vec::new(),
                            };
                            let labels = self.finish(&labels, &empty)?;
                            self.cache.add_text(&sample.series, labels)
                        }
                    };
                    self.take(slot, sample.value, sample.at)?;
                }
                Entry::Type { family, kind } => self.families.say(&family, Says::Kind(kind)),
                Entry::Help { family, help } => self.families.say(&family, Says::Help(&help)),
                Entry::Unit { family, unit } => self.families.say(&family, Says::Unit(&unit)),
                Entry::Comment(_) => {}
            }
        }
        Ok(())
    }

    fn read_points(&mut self, points: Vec<Point>) -> Result<(), String> {
        for point in points {
            self.scraped += 1;
            let slot = match self.cache.find_point(&point.labels) {
                Some(slot) => slot,
                None => {
                    let labels = self.finish(&point.labels, &[])?;
                    self.cache.add_point(&point.labels, labels)
                }
            };
            let value = match point.value {
                // The stale marker is ours to set.
                SampleValue::Float(value) if value.is_nan() => SampleValue::Float(f64::NAN),
                value => value,
            };
            self.take(slot, value, point.at)?;
        }
        Ok(())
    }

    /// The labels to store, or `None` if the series is dropped.
    fn finish(&self, labels: &Labels, empty: &[String]) -> Result<Option<Labels>, String> {
        let config = self.context.config;
        let joined = join(labels, empty, &self.context.target.labels, self.honor);
        finish(&joined, &config.metric_relabel, &config.limits, config.legacy_names).map_err(
            |error: SeriesError| {
                if error.is_limit() {
                    count(&self.context.stats.exceeded_label_limits, 1);
                }
                error.to_string()
            },
        )
    }

    /// A sample whose series is known.
    fn take(&mut self, slot: Option<u32>, value: SampleValue, own: Option<Timestamp>) -> Result<(), String> {
        let Some(slot) = slot else { return Ok(()) };
        let config = self.context.config;
        let own = own.filter(|_| config.honor_timestamps);
        let sighting = self.cache.see(slot, own.is_none() || config.track_timestamps_staleness);
        self.kept += 1;
        if sighting.again && own.is_none() {
            count(&self.context.stats.duplicate_timestamp, 1);
            return Ok(());
        }
        self.counted += 1;
        if config.limits.samples > 0 && self.counted > config.limits.samples {
            return Ok(());
        }
        if own.is_some_and(|own| own > self.at + AHEAD_MAX) {
            count(&self.context.stats.out_of_bounds, 1);
            return Ok(());
        }
        let value = match value {
            SampleValue::Histogram(histogram) => SampleValue::Histogram(self.coarser(histogram)?),
            value => value,
        };
        self.added += usize::from(sighting.new);
        let series = self.cache.series(slot);
        let row = Row { labels: series.labels.clone(), hint: series.hint, at: own.unwrap_or(self.at), value };
        self.batch.push(Some(slot), row);
        Ok(())
    }

    /// `histogram` at the resolution that the job allows.
    fn coarser(&self, histogram: Arc<Histogram>) -> Result<Arc<Histogram>, String> {
        let config = self.context.config;
        let buckets = |h: &Histogram| (h.positive_buckets.len() + h.negative_buckets.len()) as u64;
        let mut histogram = histogram;
        let is_exponential = !histogram.uses_custom_buckets();
        if is_exponential && config.native_histogram_min_bucket_factor > 1.0 {
            let schema = schema_of_factor(config.native_histogram_min_bucket_factor);
            if histogram.schema > schema {
                histogram = Arc::new(histogram.with_schema(schema));
            }
        }
        let limit = config.limits.native_histogram_buckets;
        while limit > 0 && buckets(&histogram) > limit {
            if !is_exponential || histogram.schema <= COARSEST_SCHEMA {
                count(&self.context.stats.exceeded_bucket_limit, 1);
                let number = buckets(&histogram);
                return Err(format!(
                    "a native histogram with {number} buckets; native_histogram_bucket_limit is {limit}"
                ));
            }
            histogram = Arc::new(histogram.with_schema(histogram.schema - 1));
        }
        Ok(histogram)
    }
}

/// The finest schema whose buckets grow by at least `factor`.
fn schema_of_factor(factor: f64) -> i32 {
    let schema = (-factor.log2().log2()).floor();
    (schema as i32).clamp(COARSEST_SCHEMA, FINEST_SCHEMA)
}

/// A series text that may be long.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// One thing that is said about a family.
enum Says<'a> {
    Kind(MetricType),
    Help(&'a str),
    Unit(&'a str),
}

/// What a target says about its metric families.
#[derive(Debug, Default)]
struct Families {
    known: HashMap<String, Family>,
    pass: u64,
    changed: bool,
}

#[derive(Debug, Default)]
struct Family {
    metadata: Metadata,
    pass: u64,
}

impl Families {
    fn begin(&mut self) {
        self.pass += 1;
    }

    fn say(&mut self, family: &str, says: Says<'_>) {
        if !self.known.contains_key(family) {
            self.known.insert(family.to_owned(), Family::default());
            self.changed = true;
        }
        let Some(known) = self.known.get_mut(family) else { return };
        known.pass = self.pass;
        let metadata = &mut known.metadata;
        let (text, new) = match says {
            Says::Kind(kind) => {
                self.changed |= std::mem::replace(&mut metadata.kind, kind) != kind;
                return;
            }
            Says::Help(help) => (&mut metadata.help, help),
            Says::Unit(unit) => (&mut metadata.unit, unit),
        };
        if text != new {
            new.clone_into(text);
            self.changed = true;
        }
    }

    /// Forgets what was not said for a while.
    fn end(&mut self) {
        let oldest = self.pass.saturating_sub(FAMILY_KEPT_PASSES);
        let before = self.known.len();
        self.known.retain(|_, family| family.pass >= oldest);
        self.changed |= self.known.len() != before;
    }

    /// All families by name, if anything about them has changed.
    fn take_changed(&mut self) -> Option<Arc<[(String, Metadata)]>> {
        std::mem::take(&mut self.changed).then(|| {
            let mut all: Vec<(String, Metadata)> =
                self.known.iter().map(|(name, family)| (name.clone(), family.metadata.clone())).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use model::BucketSpan;
    use ports::{AppendError, Appended};

    use super::*;

    #[derive(Default)]
    struct Rows(Mutex<Vec<Row>>);

    impl Append for Rows {
        fn append(&self, batch: &WriteBatch) -> Result<Appended, AppendError> {
            self.0.lock().unwrap().extend(batch.rows.iter().cloned());
            Ok(Appended { outcome: batch.rows.iter().map(|_| Ok(SeriesRef(1))).collect(), created: 0 })
        }
    }

    /// Scrapes one native histogram with eight buckets of schema 3; its schema and buckets as stored, or the error.
    fn store_histogram(change: impl FnOnce(&mut PoolConfig)) -> Result<(i32, usize), String> {
        let mut config = PoolConfig::new("j");
        change(&mut config);
        let labels = Labels::from([("job", "j")]);
        let target = Target {
            labels,
            discovered: Labels::empty(),
            address: "a".to_owned(),
            url: "http://a".to_owned(),
            params: Vec::new(),
            interval: config.interval,
            timeout: config.timeout,
        };
        let histogram = Histogram {
            schema: 3,
            count: 8.0,
            positive_spans: vec![BucketSpan { offset: 1, length: 8 }],
            positive_buckets: vec![1.0; 8],
            ..Histogram::default()
        };
        let labels = Labels::from([(METRIC_NAME, "h")]);
        let point = Point { labels, value: SampleValue::Histogram(Arc::new(histogram)), at: None };
        let scrape = Scrape { payload: Payload::Points(vec![point]), metadata: Vec::new(), wire_bytes: 0 };
        let (rows, stats) = (Rows::default(), ScrapeStats::default());
        let context = Context { config: &config, target: &target, append: &rows, stats: &stats };
        let mut state = LoopState::default();
        let outcome =
            ingest(&context, &mut state, Collected::Scrape(scrape), Timestamp::from_secs(1), Duration::ZERO);
        if let Some(error) = outcome.error {
            return Err(error);
        }
        let rows = rows.0.into_inner().unwrap();
        match &rows[0].value {
            SampleValue::Histogram(h) => Ok((h.schema, h.positive_buckets.len())),
            SampleValue::Float(_) => Err("no histogram was stored".to_owned()),
        }
    }

    #[test]
    fn native_histograms_are_made_coarser() {
        assert_eq!(store_histogram(|_| ()), Ok((3, 8)));
        assert_eq!(store_histogram(|c| c.limits.native_histogram_buckets = 8), Ok((3, 8)));
        assert_eq!(store_histogram(|c| c.limits.native_histogram_buckets = 4), Ok((2, 4)));
        assert_eq!(store_histogram(|c| c.limits.native_histogram_buckets = 1), Ok((0, 1)));
        // Two to the power of one quarter is the first growth beyond 1.1.
        assert_eq!(store_histogram(|c| c.native_histogram_min_bucket_factor = 1.1), Ok((2, 4)));
        assert_eq!(store_histogram(|c| c.native_histogram_min_bucket_factor = 1.01), Ok((3, 8)));
    }
}
