use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use model::Timestamp;

use super::*;

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_millis)
}

fn labels() -> impl Strategy<Value = Labels> {
    btree_map(".{1,5}", ".{1,5}", 0..4).prop_map(Labels::from_pairs)
}

fn alerts() -> impl Strategy<Value = Vec<Fingerprint>> {
    btree_set(any::<u64>(), 0..5).prop_map(|set| set.into_iter().map(Fingerprint).collect())
}

fn reasons() -> impl Strategy<Value = NotifyReason> {
    (0usize..5).prop_map(|n| REASONS[n])
}

prop_compose! {
    fn alert_record()(
        labels in labels(), annotations in btree_map(".{0,5}", ".{0,9}", 0..3), times in (time(), time(), time()),
        generator_url in ".{0,9}", timeout: bool, ended: bool, value in option::of(-1e9..1e9),
    ) -> AlertRecord {
        let (starts_at, ends_at, updated_at) = times;
        let (annotations, generator_url) = (annotations.into(), generator_url.into());
        let alert = Alert { labels, annotations, starts_at, ends_at, updated_at, generator_url, timeout, value };
        AlertRecord { alert, ended }
    }
}

prop_compose! {
    fn told()(
        at in time(), reason in reasons(), firing in alerts(), resolved in alerts(), held in alerts(),
        remember in option::of(".{0,9}"), keep_until in time(),
    ) -> Told {
        let [firing, resolved, held] = [firing, resolved, held].map(|alerts| alerts.into_iter().collect());
        Told { at, reason, firing, resolved, held, remember, keep_until }
    }
}

prop_compose! {
    fn attempt()(at in time(), reason in reasons(), firing in alerts(), resolved in alerts()) -> Attempt {
        let [firing, resolved] = [firing, resolved].map(|alerts| alerts.into_iter().collect());
        Attempt { at, reason, firing, resolved, recovered: true, in_doubt: true }
    }
}

prop_compose! {
    fn silence()(
        sets in vec(vec((".{1,4}", 0usize..4, "[a-z|.]{0,5}"), 0..3), 0..3), times in (time(), time(), time()),
        texts in (".{0,9}", ".{0,9}"), annotations in btree_map(".{0,5}", ".{0,9}", 0..3),
    ) -> Silence {
        let matcher = |(name, op, pattern): (String, usize, String)| Matcher::for_alerts(name, OPS[op], pattern).unwrap();
        Silence {
            id: SilenceId::new("id"),
            matcher_sets: sets.into_iter().map(|set| set.into_iter().map(matcher).collect()).collect(),
            starts_at: times.0, ends_at: times.1, updated_at: times.2,
            created_by: texts.0, comment: texts.1, annotations: annotations.into(),
        }
    }
}

proptest! {
    #[test]
    fn alerts_come_back(record in alert_record()) {
        let key = Key::Alert(record.alert.labels.clone());
        prop_assert_eq!(Key::decode(&key.encode()), Ok(key));
        let bytes = encode_alert(&record.alert, record.ended);
        prop_assert_eq!(decode_alert(record.alert.labels.clone(), &bytes), Ok(record));
    }

    #[test]
    fn log_entries_come_back(
        sequence: u64, told in option::of(told()), attempt in option::of(attempt()), failed in option::of(attempt()),
    ) {
        let failed = failed.map(|failed| Box::new(Attempt { recovered: false, in_doubt: false, ..failed }));
        let (told, attempt) = (told.map(Box::new), attempt.map(Box::new));
        let entry = LogEntry { sequence, told, attempt, failed, waited: None, skipped: None };
        prop_assert_eq!(decode_log(&encode_log(&entry)), Ok(entry));
    }

    #[test]
    fn silences_come_back(silence in silence()) {
        prop_assert_eq!(decode_silence(silence.id.clone(), &encode_silence(&silence)), Ok(silence));
    }

    #[test]
    fn other_keys_come_back(texts in (".{0,9}", ".{0,9}", ".{0,9}"), index: usize) {
        let destination = Destination { receiver: texts.1.into(), kind: texts.2.into(), index };
        for key in [
            Key::Group(texts.0.as_str().into()),
            Key::Silence(SilenceId::new(&texts.0)),
            Key::Log(texts.0.as_str().into(), destination),
        ] {
            prop_assert_eq!(Key::decode(&key.encode()), Ok(key));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in vec(any::<u8>(), 0..60), version: bool) {
        if version && !bytes.is_empty() {
            bytes[0] = VERSION;
        }
        let _ = Key::decode(&bytes);
        let _ = decode_alert(Labels::empty(), &bytes);
        let _ = decode_group(&bytes);
        let _ = decode_log(&bytes);
        let _ = decode_silence(SilenceId::new(""), &bytes);
    }

    #[test]
    fn what_a_later_program_appends_is_ignored(record in alert_record(), tail in vec(any::<u8>(), 0..9)) {
        let mut bytes = encode_alert(&record.alert, record.ended);
        bytes.extend(tail);
        prop_assert_eq!(decode_alert(record.alert.labels.clone(), &bytes), Ok(record));
    }
}

#[test]
fn a_group_comes_back() {
    for flushed in [false, true] {
        let record = GroupRecord { next_flush: Timestamp::from_secs(-5), flushed };
        assert_eq!(decode_group(&encode_group(record)), Ok(record));
    }
}

#[test]
fn names_a_later_version() {
    assert_eq!(decode_group(&[9, 0, 0]), Err(RecordError::Version(9)));
}

/// Yesterday's bytes: a change of the format has to keep reading them.
#[test]
fn version_1_stays_readable() {
    let alert = decode_alert(
        Labels::from([("a", "b")]),
        &[1, 0xd0, 0x0f, 0xa0, 0x1f, 2, 1, 1, b'u', 1, 1, b'n', 1, b't'],
    )
    .unwrap();
    assert_eq!(alert.alert.starts_at, Timestamp::from_millis(1000));
    assert_eq!(alert.alert.ends_at, Timestamp::from_millis(2000));
    assert_eq!(alert.alert.updated_at, Timestamp::from_millis(1));
    assert!(alert.alert.timeout && !alert.ended);
    assert_eq!((&*alert.alert.generator_url, &alert.alert.annotations["n"]), ("u", "t"));
    let log = decode_log(&[1, 7, 1, 2, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, b'm', 4, 0, 0]).unwrap();
    let told = log.told.unwrap();
    assert_eq!(
        (log.sequence, &*told.firing, told.remember.as_deref()),
        (7, &[Fingerprint(9)][..], Some("m"))
    );
}
