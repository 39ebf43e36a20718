//! Requests and what becomes of them, over a store that keeps what it is given.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use model::{BucketSpan, Histogram, Labels, MetricType, SampleValue, SeriesRef, Timestamp, stale_nan};
use ports::{Append, AppendError, Appended, Rejected, WriteBatch};
use proptest::prelude::*;

use crate::testing::{Sent, body, compressed, message};
use crate::{Limits, Protocol, Received, Receiver, WriteProblem, Written};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const BOTH: [Protocol; 2] = [Protocol::V1, Protocol::V2];

/// A store that refuses what is not newer than the last sample of its series.
#[derive(Default)]
struct Store {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    refs: HashMap<Labels, u64>,
    newest: HashMap<u64, Timestamp>,
    rows: Vec<String>,
    hinted: usize,
    batches: usize,
    full: bool,
}

impl Append for Store {
    fn append(&self, batch: &WriteBatch) -> Result<Appended, AppendError> {
        let mut kept = self.kept.lock().unwrap();
        if kept.full {
            return Err(AppendError::Log(std::io::ErrorKind::StorageFull.into()));
        }
        kept.batches += 1;
        let mut appended = Appended::default();
        for row in &batch.rows {
            let next = kept.refs.len() as u64;
            let id = *kept.refs.entry(row.labels.clone()).or_insert(next);
            kept.hinted += usize::from(row.hint == Some(SeriesRef(id)));
            if kept.newest.get(&id).is_some_and(|newest| *newest >= row.at) {
                appended.outcome.push(Err(Rejected::OutOfOrder));
                continue;
            }
            kept.newest.insert(id, row.at);
            let value = match &row.value {
                SampleValue::Float(value) if row.value.is_stale() => format!("stale {value}"),
                SampleValue::Float(value) => value.to_string(),
                SampleValue::Histogram(histogram) => histogram.to_string(),
            };
            kept.rows.push(format!("{} {} {value}", row.labels, row.at.as_millis()));
            appended.outcome.push(Ok(SeriesRef(id)));
        }
        Ok(appended)
    }
}

fn receiver() -> (Arc<Store>, Receiver) {
    let store = Arc::new(Store::default());
    (store.clone(), Receiver::new(store, Limits::default()))
}

fn rows(store: &Store) -> Vec<String> {
    std::mem::take(&mut store.kept.lock().unwrap().rows)
}

fn written(samples: usize, histograms: usize, exemplars: usize) -> Received {
    Received { written: Written { samples, histograms, exemplars }, problem: None }
}

fn histogram() -> Histogram {
    Histogram {
        schema: 0,
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 10.0,
        sum: 7.5,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }, BucketSpan { offset: 1, length: 1 }],
        positive_buckets: vec![1.0, 3.0, 1.0],
        negative_spans: vec![BucketSpan { offset: 0, length: 1 }],
        negative_buckets: vec![3.0],
        ..Histogram::default()
    }
}

fn custom() -> Histogram {
    Histogram {
        schema: -53,
        count: 3.0,
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        custom_values: vec![1.0, 2.0],
        ..Histogram::default()
    }
}

fn refusal(received: &Received) -> &str {
    match &received.problem {
        Some(WriteProblem::Refused(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn samples_of_both_kinds_are_stored() {
    for protocol in BOTH {
        let (store, receiver) = receiver();
        let mut up = Sent::series(&[("__name__", "up"), ("job", "a")]).samples(&[(1, 1.0), (2, stale_nan())]);
        up.exemplars.push((vec![("trace_id".to_owned(), "x".to_owned())], 1.0, 1));
        up.metadata = Some((MetricType::Gauge, "Whether it is up.".to_owned(), String::new()));
        let series =
            [up, Sent::series(&[("__name__", "h")]).histogram(3, histogram()).histogram(4, custom())];
        let received = receiver.receive(protocol, &body(protocol, &series), NOW);
        assert_eq!(received, written(2, 2, 1));
        assert_eq!(
            rows(&store),
            [
                "up{job=\"a\"} 1 1".to_owned(),
                "up{job=\"a\"} 2 stale NaN".to_owned(),
                format!("h 3 {}", histogram()),
                format!("h 4 {}", custom()),
            ]
        );
        assert_eq!(receiver.families()[0].0, "up");
        assert_eq!(receiver.families()[0].1.help, "Whether it is up.");
        assert_eq!(receiver.totals().samples, 2);
    }
}

#[test]
fn a_known_series_is_found_without_its_labels() {
    for protocol in BOTH {
        let (store, receiver) = receiver();
        for round in 0..3 {
            let series = ["a", "b"]
                .map(|job| Sent::series(&[("__name__", "up"), ("job", job)]).samples(&[(round, 1.0)]));
            assert_eq!(receiver.receive(protocol, &body(protocol, &series), NOW), written(2, 0, 0));
        }
        let kept = store.kept.lock().unwrap();
        assert_eq!((kept.refs.len(), kept.hinted, kept.batches), (2, 4, 3));
    }
}

#[test]
fn labels_in_any_order_and_empty_ones_are_the_same_series() {
    for protocol in BOTH {
        let (store, receiver) = receiver();
        let series = [
            Sent::series(&[("__name__", "up"), ("job", "a")]).samples(&[(1, 1.0)]),
            Sent::series(&[("job", "a"), ("__name__", "up")]).samples(&[(2, 1.0)]),
            Sent::series(&[("job", "a"), ("x", ""), ("__name__", "up")]).samples(&[(3, 1.0)]),
        ];
        assert_eq!(receiver.receive(protocol, &body(protocol, &series), NOW), written(3, 0, 0));
        assert_eq!(store.kept.lock().unwrap().refs.len(), 1);
    }
}

#[test]
fn what_is_bad_is_named_and_the_rest_is_stored() {
    for protocol in BOTH {
        let (store, receiver) = receiver();
        let mut wrong_count = histogram();
        wrong_count.count = 11.0;
        let series = [
            Sent::series(&[("job", "a")]).samples(&[(1, 1.0), (2, 1.0)]),
            Sent::series(&[("__name__", "up")]).samples(&[(5, 1.0), (4, 1.0), (3, 1.0), (6, 2.0)]),
            Sent::series(&[("__name__", "a"), ("b", "1"), ("b", "2")]).samples(&[(1, 1.0)]),
            Sent::series(&[("__name__", "h")]).histogram(1, wrong_count),
            Sent::series(&[("__name__", "late")]).samples(&[(NOW.as_millis() + 600_001, 1.0)]),
        ];
        let received = receiver.receive(protocol, &body(protocol, &series), NOW);
        assert_eq!(received.written, Written { samples: 2, histograms: 0, exemplars: 0 });
        assert_eq!(rows(&store), ["up 5 1", "up 6 2"]);
        let message = refusal(&received);
        for part in [
            "labels that name no series: {job=\"a\"}: there is no label `__name__` and 2 more",
            "out of order sample: up at 0.004 and 1 more",
            "invalid native histogram: h at 0.001: 10 observations in its buckets, but 11 in all",
            "too far in the future: late at 1000600.001",
        ] {
            assert!(message.contains(part), "{part:?} in {message:?}");
        }
    }
}

#[test]
fn histograms_that_cannot_be_are_refused() {
    let wrong = |change: fn(&mut Histogram)| {
        let mut histogram = histogram();
        change(&mut histogram);
        histogram
    };
    for (histogram, why) in [
        (wrong(|h| h.schema = 53), "schema 53 is not known"),
        (wrong(|h| h.schema = -5), "schema -5 is not known"),
        (wrong(|h| h.positive_spans[0].length = 3), "spans of 4 positive buckets, but 3 counts"),
        (wrong(|h| h.positive_spans[1].offset = -1), "a positive span begins before"),
        (wrong(|h| h.custom_values = vec![1.0]), "exponential buckets and custom bounds at once"),
        (wrong(|h| h.count = -0.5), "the count of all observations is negative"),
        (Histogram { custom_values: vec![2.0, 1.0], ..custom() }, "custom bounds must ascend"),
        (Histogram { custom_values: vec![], ..custom() }, "a bucket lies beyond the 0 custom bounds"),
        (Histogram { zero_threshold: 1.0, ..custom() }, "custom bounds and a zero bucket at once"),
    ] {
        let (_, receiver) = receiver();
        let series = [Sent::series(&[("__name__", "h")]).histogram(1, histogram)];
        let received = receiver.receive(Protocol::V2, &body(Protocol::V2, &series), NOW);
        assert!(refusal(&received).contains(why), "{why}: {received:?}");
    }
}

#[test]
fn finer_histograms_than_can_be_stored_are_made_coarser() {
    let (store, receiver) = receiver();
    let fine = Histogram { schema: 12, ..histogram() };
    let series = [Sent::series(&[("__name__", "h")]).histogram(1, fine.clone())];
    assert_eq!(receiver.receive(Protocol::V2, &body(Protocol::V2, &series), NOW), written(0, 1, 0));
    assert_eq!(rows(&store), [format!("h 1 {}", fine.with_schema(8))]);
}

#[test]
fn what_is_no_request_stores_nothing() {
    for protocol in BOTH {
        let (store, receiver) = receiver();
        let good = message(protocol, &[Sent::series(&[("__name__", "up")]).samples(&[(1, 1.0)])]);
        let mut snappy_head = compressed(&good);
        snappy_head[0] = 0xff;
        for bad in [snappy_head, compressed(&good[..good.len() - 1]), compressed(b"no message"), Vec::new()] {
            let received = receiver.receive(protocol, &bad, NOW);
            assert!(matches!(received.problem, Some(WriteProblem::Malformed(_))), "{received:?}");
        }
        assert_eq!(store.kept.lock().unwrap().batches, 0);
        // Nor is the next request disturbed.
        assert_eq!(receiver.receive(protocol, &compressed(&good), NOW), written(1, 0, 0));
    }
}

#[test]
fn references_beyond_the_table_of_symbols_are_refused() {
    let (store, receiver) = receiver();
    // Two symbols; a series with references 0 and 7, then one with a name alone.
    let request = [&[0x22, 0, 0x22, 1, b'a'][..], &[0x2a, 4, 0x0a, 2, 0, 7], &[0x2a, 3, 0x0a, 1, 1]].concat();
    let received = receiver.receive(Protocol::V2, &compressed(&request), NOW);
    assert!(
        refusal(&received).contains("references 0 and 7 of a label, but 2 symbols and 1 more"),
        "{received:?}"
    );
    assert!(rows(&store).is_empty());
}

#[test]
fn limits_are_named() {
    let store = Arc::new(Store::default());
    let limits = Limits { body_bytes_max: 1000, message_bytes_max: 5000, samples_max: 100 };
    let receiver = Receiver::new(store, limits);
    let samples: Vec<(i64, f64)> = (0..101).map(|at| (at, 0.0)).collect();
    let long: String = "x".repeat(6000);
    let noise: Vec<u8> = (0..2000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (request, part) in [
        (compressed(&noise), "1000 are allowed"),
        (body(Protocol::V1, &[Sent::series(&[("__name__", &long)])]), "5000 are allowed"),
        (
            body(Protocol::V1, &[Sent::series(&[("__name__", "a")]).samples(&samples)]),
            "more than 100 samples",
        ),
    ] {
        let received = receiver.receive(Protocol::V1, &request, NOW);
        let Some(WriteProblem::TooLarge(message)) = received.problem else { panic!("{received:?}") };
        assert!(message.contains(part), "{part:?} in {message:?}");
    }
}

#[test]
fn a_store_that_cannot_write_is_not_the_senders_fault() {
    let (store, receiver) = receiver();
    store.kept.lock().unwrap().full = true;
    let request = body(Protocol::V1, &[Sent::series(&[("__name__", "up")]).samples(&[(1, 1.0)])]);
    let received = receiver.receive(Protocol::V1, &request, NOW);
    assert!(matches!(received.problem, Some(WriteProblem::Storage(_))), "{received:?}");
    assert_eq!(received.written, Written::default());
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_not_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_, receiver) = receiver();
        for protocol in BOTH {
            receiver.receive(protocol, &bytes, NOW);
            receiver.receive(protocol, &compressed(&bytes), NOW);
        }
    }

    #[test]
    fn a_request_with_a_changed_byte_never_panics(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let series = [
            Sent::series(&[("__name__", "h"), ("job", "a")]).samples(&[(1, 1.0)]).histogram(2, histogram()),
            Sent::series(&[("__name__", "c")]).histogram(2, custom()),
        ];
        for protocol in BOTH {
            let mut request = message(protocol, &series);
            let place = place.index(request.len());
            request[place] = byte;
            let (_, receiver) = receiver();
            receiver.receive(protocol, &compressed(&request), NOW);
        }
    }
}
