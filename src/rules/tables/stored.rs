use model::{Labels, Timestamp};
use proptest::prelude::*;

use crate::record::{RecordError, decode, encode};
use crate::{ActiveAlert, AlertState, RuleSnapshot, Snapshot};

fn times() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_millis)
}

fn states() -> impl Strategy<Value = AlertState> {
    prop_oneof![
        times().prop_map(|since| AlertState::Pending { since }),
        (times(), times(), proptest::option::of(times()))
            .prop_map(|(since, fired_at, kept_since)| AlertState::Firing { since, fired_at, kept_since }),
        (times(), times(), times()).prop_map(|(since, fired_at, at)| AlertState::Resolved {
            since,
            fired_at,
            at
        }),
    ]
}

fn snapshots() -> impl Strategy<Value = Snapshot> {
    let pairs = proptest::collection::btree_map("[a-z]{1,4}", "\\PC{1,6}", 0..4);
    let alert =
        (pairs.clone(), pairs, states(), -1e9f64..1e9).prop_map(|(labels, annotations, state, value)| {
            ActiveAlert { labels: Labels::from_pairs(labels), annotations: annotations.into(), state, value }
        });
    let rule = ("\\PC{0,10}", proptest::collection::vec(alert, 0..4))
        .prop_map(|(identity, alerts)| RuleSnapshot { identity, alerts });
    (times(), proptest::collection::vec(rule, 0..4)).prop_map(|(at, rules)| Snapshot { at, rules })
}

proptest! {
    #[test]
    fn what_is_written_is_read(snapshot in snapshots()) {
        prop_assert_eq!(decode(&encode(&snapshot)).unwrap(), snapshot);
    }

    #[test]
    fn damage_is_an_error_or_another_snapshot(snapshot in snapshots(), at in 0usize..400, byte in any::<u8>()) {
        let mut bytes = encode(&snapshot);
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = decode(&bytes);
        prop_assert!(decode(&bytes[..at]).is_err());
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }
}

#[test]
fn a_later_version_is_refused() {
    assert_eq!(decode(&[2]), Err(RecordError::Version(2)));
    assert_eq!(decode(&[]), Err(RecordError::Damaged { at: 0, what: "a version" }));
    let mut bytes = encode(&Snapshot::default());
    bytes.push(0);
    assert!(decode(&bytes).is_err());
}

/// The form on disk: what this test holds, every later version has to read.
#[test]
fn the_form_is_fixed() {
    let alert = ActiveAlert {
        labels: Labels::from([("a", "b")]),
        annotations: [("s".to_owned(), "t".to_owned())].into(),
        state: AlertState::Pending { since: Timestamp::from_millis(5) },
        value: 1.0,
    };
    let rules = vec![RuleSnapshot { identity: "alert X {}".to_owned(), alerts: vec![alert] }];
    let bytes = encode(&Snapshot { at: Timestamp::from_millis(256), rules });
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "01",                     // version
        "0001000000000000",       // at
        "01",                     // rules
        "0a616c6572742058207b7d", // identity
        "01",                     // alerts
        "010161",
        "0162", // labels
        "010173",
        "0174",               // annotations
        "000000000000f03f",   // value
        "010500000000000000", // pending since
    ];
    assert_eq!(text, expected.concat());
}
