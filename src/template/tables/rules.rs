use model::{Labels, SampleValue, Timestamp, VectorSample};

use super::{NOW, table};
use crate::{RuleData, RuleEnv, expand_rule};

#[test]
fn numbers_for_people() {
    table(&[
        (
            "{{ humanize 1234567.0 }} {{ humanize 0.00012 }} {{ humanize -12 }} {{ humanize \"1e9\" }}",
            "1.235M 120u -12 1G",
        ),
        ("{{ humanize1024 1048576.0 }} {{ humanize1024 1000 }} {{ humanize1024 -2048 }}", "1Mi 1000 -2ki"),
        (
            "{{ humanizeDuration 93784.5 }} {{ humanizeDuration 59.99 }} {{ humanizeDuration -0.25 }}",
            "1d 2h 3m 4s 59.99s -250ms",
        ),
        ("{{ humanizeDuration (toDuration 90) }}", "1m 30s"),
        ("{{ humanizePercentage 0.1234 }} {{ humanizePercentage 1 }}", "12.34% 100%"),
        ("{{ humanizeTimestamp 0 }} {{ humanizeTimestamp \"NaN\" }}", "1970-01-01 00:00:00 +0000 UTC NaN"),
        ("{{ humanize \"x\" }}", "!`x` is not a number"),
        ("{{ humanize .list }}", "!a []string is not a number"),
        ("{{ humanizeTimestamp 1e30 }}", "!too far away"),
        ("{{ toTime \"NaN\" }}", "!not a time"),
        ("{{ (toTime 1.5).UnixMilli }} {{ now }}", "1500 1.709622489012e+09"),
        ("{{ parseDuration \"1h30m\" }} {{ parseDuration \"-5s\" }}", "5400 -5"),
        ("{{ parseDuration \"5\" }}", "!is not a duration"),
    ]);
}

#[test]
fn texts() {
    table(&[
        (
            "{{ title \"hello wORLD a-b\" }} {{ toUpper \"aB\" }} {{ toLower \"aB\" }}",
            "Hello WORLD A-B AB ab",
        ),
        ("{{ toUpper \"ßŉᾳ\" }} {{ toLower \"İΣΑΣ\" }} {{ title \"ǆ ß a.B 1c\" }}", "ßŉᾼ iσασ ǅ Ss A.B 1C"),
        ("{{ humanize \"0x1p4\" }} {{ humanize \"1_000\" }} {{ humanize \"+Inf\" }}", "16 1k +Inf"),
        ("{{ (toTime -1.5).Unix }} {{ (toTime -0.0005).UnixMilli }}", "-2 -1"),
        ("{{ humanize \"0x1f\" }}", "!`0x1f` is not a number"),
        ("{{ humanize .t.Month }}", "!a time.Month is not a number"),
        ("{{ match \"^a.*\" \"abc\" }} {{ reReplaceAll \"(.)-(.)\" \"$2-$1\" \"a-b\" }}", "true b-a"),
        ("{{ match \"(\" \"abc\" }}", "!not a regular expression"),
        (
            "{{ stripPort \"[::1]:80\" }} {{ stripPort \"h:80\" }} {{ stripPort \"h\" }} {{ stripPort \"::1\" }}",
            "::1 h h ::1",
        ),
        (
            "{{ stripDomain \"a.b.c:80\" }} {{ stripDomain \"a.b\" }} {{ stripDomain \"10.0.0.1:80\" }}",
            "a:80 a 10.0.0.1:80",
        ),
        (
            "{{ urlQueryEscape \"a b&c\" }} {{ graphLink \"up{a=\\\"b\\\"}\" }}",
            "a+b%26c /graph?g0.expr=up%7Ba%3D%22b%22%7D&g0.tab=0",
        ),
        ("{{ args 1 \"a\" }} {{ (args 1 \"a\").arg1 }}", "map[arg0:1 arg1:a] a"),
    ]);
}

fn rule(text: &str) -> Result<String, String> {
    let labels = Labels::from([("instance", "a:80"), ("job", "x")]);
    let external = Labels::from([("cluster", "eu")]);
    let value = SampleValue::Float(12.5);
    let data = RuleData {
        labels: &labels,
        value: &value,
        external_labels: &external,
        external_url: "https://fog.example/sub/",
    };
    let mut query = |expr: &str| match expr {
        "bad" => Err("parse error".to_owned()),
        _ => Ok(["b", "a"]
            .into_iter()
            .zip([1.0, 2.0])
            .map(|(name, value)| VectorSample {
                labels: Labels::from([("n", name), ("__value__", "v")]),
                at: Timestamp::EPOCH,
                value: SampleValue::Float(value),
            })
            .collect()),
    };
    expand_rule(text, &data, &mut RuleEnv { now: NOW, query: &mut query }).map_err(|error| error.to_string())
}

#[test]
fn rules_see_labels_value_and_the_server() {
    for (text, wanted) in [
        ("{{ $labels.instance }} {{ .Labels.job }} {{ $labels.gone }}.", "a:80 x ."),
        ("{{ $value }} {{ .Value | humanize }} {{ if gt $value 10.0 }}high{{ end }}", "12.5 12.5 high"),
        (
            "{{ $externalLabels.cluster }} {{ $externalURL }} {{ externalURL }} {{ pathPrefix }}",
            "eu https://fog.example/sub/ https://fog.example/sub/ /sub/",
        ),
        (
            "{{ with query \"x\" }}{{ . | first | value }} {{ range sortByLabel \"n\" . }}{{ .Labels.n }}{{ end }}{{ end }}",
            "1 ab",
        ),
        ("{{ query \"x\" | first | label \"n\" }} {{ query \"x\" | first | strvalue }}", "b v"),
        ("{{ $labels }}", "map[instance:a:80 job:x]"),
        ("no action", "no action"),
    ] {
        assert_eq!(rule(text).unwrap_or_else(|e| e), wanted, "{text}");
    }
    for (text, part) in [
        ("{{ query \"bad\" }}", "template rule:1:4: `query`: parse error"),
        ("{{ $label.x }}", "undefined variable `$label`; did you mean `$labels`?"),
        ("{{ (query \"x\").banana }}", "has no field or method `banana`"),
        ("{{ \"a\" | first }}", "expected the answer of a query, got string"),
    ] {
        let error = rule(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}
