//! Templates of rules and of notifications.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::{Histogram, Labels, SampleValue, Timestamp, Vector, VectorSample};
use serde_json::Value;
use template::{
    AlertFields, NotificationData, NotificationFields, PlainData, RuleEnv, Templates, Trial, try_rule_text,
};

use crate::{Report, read_json};

const AREA: &str = "templates";

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let folder = corpus.join("templates");
    let tables = [
        ("prometheus/rule_template_expansion", rule_case as fn(&Value, &Value) -> Result<(), String>),
        ("alertmanager/notification_template_expansion", |_, case| notification_case(case)),
        ("alertmanager/notification_data", |_, case| data_case(case)),
    ];
    for (path, check) in tables {
        let Some(file) = read_json(&folder.join(format!("{path}.json"))) else { continue };
        let table = path.rsplit('/').next().unwrap_or(path);
        for case in file["cases"].as_array().into_iter().flatten() {
            report.case(AREA, table, case["id"].as_str().unwrap_or_default(), || check(&file["meta"], case));
        }
    }
}

/// Compares an outcome with what the case expects: a text, or an error.
fn expect<E: std::fmt::Display>(case: &Value, got: Result<String, E>) -> Result<(), String> {
    match (got, case["fail"].as_bool().unwrap_or(false)) {
        (Err(_), true) => Ok(()),
        (Err(error), false) => Err(error.to_string()),
        (Ok(text), true) => Err(format!("should fail, gives {text:?}")),
        (Ok(text), false) => {
            let wanted = case["output"].as_str().unwrap_or_default();
            if text == wanted { Ok(()) } else { Err(format!("got {text:?}, wanted {wanted:?}")) }
        }
    }
}

fn sample(json: &Value) -> VectorSample {
    let labels: Labels = string_map(&json["labels"]).unwrap_or_default().into_iter().collect();
    let histogram = &json["histogram"];
    let value = match histogram.is_object() {
        true => SampleValue::Histogram(Arc::new(Histogram {
            count: histogram["count"].as_f64().unwrap_or_default(),
            sum: histogram["sum"].as_f64().unwrap_or_default(),
            ..Histogram::default()
        })),
        false => SampleValue::Float(json["value"].as_f64().unwrap_or_default()),
    };
    VectorSample { labels, at: Timestamp::EPOCH, value }
}

fn string_map(json: &Value) -> Option<BTreeMap<String, String>> {
    let object = json.as_object()?;
    Some(object.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect())
}

fn rule_case(meta: &Value, case: &Value) -> Result<(), String> {
    let context = &meta["context"];
    let vector: Vector = case["query_result"].as_array().into_iter().flatten().map(sample).collect();
    let mut query = |_: &str| Ok(vector.clone());
    let mut env = RuleEnv {
        now: Timestamp::from_millis(context["now_ms"].as_i64().unwrap_or_default()),
        query: &mut query,
    };
    let option = |name: &str| case["options"].as_array().into_iter().flatten().any(|o| o == name);
    let trial = Trial {
        data: rule_input(case),
        external_url: context["external_url"].as_str().unwrap_or_default().to_owned(),
        html: case["html"].as_bool().unwrap_or(false),
        missing_key_is_error: option("missingkey=error"),
    };
    expect(case, try_rule_text(case["text"].as_str().unwrap_or_default(), &trial, &mut env))
}

/// The dot of a rule template, by the type that the case names.
fn rule_input(case: &Value) -> PlainData {
    let input = &case["input"];
    if case["input_type"] == "sample" {
        return PlainData::sample(&sample(&input["Value"].as_object().map_or_else(
            || input.clone(),
            |_| {
                serde_json::json!({ "labels": input["Labels"], "histogram": input["Value"]["histogram"],
                                    "value": input["Value"]["value"] })
            },
        )));
    }
    typed(input, case["input_type"].as_str().unwrap_or_default())
}

/// A JSON value as the Go type `kind`.
fn typed(json: &Value, kind: &str) -> PlainData {
    match json {
        Value::Array(items) => {
            let element = kind.trim_start_matches("[]");
            PlainData::list(items.iter().map(|item| typed(item, element)).collect())
        }
        Value::Number(number) => match kind {
            "uint" | "uint64" => PlainData::uint(number.as_u64().unwrap_or_default()),
            "int" | "int64" => PlainData::int(number.as_i64().unwrap_or_default()),
            "float64" => PlainData::float(number.as_f64().unwrap_or_default()),
            _ => match number.as_i64() {
                Some(number) => PlainData::int(number),
                None => PlainData::float(number.as_f64().unwrap_or_default()),
            },
        },
        Value::String(text) => PlainData::text(text),
        Value::Object(entries) => {
            PlainData::map(entries.iter().map(|(name, value)| (name.clone(), typed(value, ""))).collect())
        }
        _ => PlainData::nothing(),
    }
}

/// The time of these cases; any will do.
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn notification_case(case: &Value) -> Result<(), String> {
    let templates = Templates::parse::<&str, &str>(&[]).map_err(|error| error.to_string())?;
    let text = case["template"].as_str().unwrap_or_default();
    let html = case["html"].as_bool().unwrap_or(false);
    if case["title"] == "now" {
        let got =
            templates.try_text(text, &Trial::of(PlainData::nothing()), NOW).map_err(|e| e.to_string())?;
        let wanted = "2023-11-14T22:13:20+0000";
        return if got == wanted { Ok(()) } else { Err(format!("got {got:?}, wanted {wanted:?}")) };
    }
    let data = &case["data"];
    let plain = match case["data_type"].as_str().unwrap_or("notification data") {
        "notification data" => {
            let data = NotificationData::from(&fields(data));
            let got = match html {
                true => templates.expand_html(text, &data, NOW),
                false => templates.expand_text(text, &data, NOW),
            };
            return expect(case, got);
        }
        "list of strings" => typed(data, "[]string"),
        "list of floats" => typed(data, "[]float64"),
        "list of integers" => typed(data, "[]int"),
        "list of unsigned integers" => typed(data, "[]uint"),
        "time" => PlainData::time(moment(data.as_str().unwrap_or_default())?),
        "map" => typed(data, ""),
        other => typed(data, other),
    };
    let trial = Trial { html, ..Trial::of(plain) };
    expect(case, templates.try_text(text, &trial, NOW))
}

/// A time as the cases write it.
fn moment(text: &str) -> Result<Timestamp, String> {
    if text == "one hour before now" {
        return Ok(NOW.plus_millis(-3_600_000));
    }
    let number = |range: std::ops::Range<usize>| {
        text.get(range).and_then(|digits| digits.parse::<i64>().ok()).ok_or(format!("no time: {text}"))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    // Days from civil, for the few dates of the cases.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Ok(Timestamp::from_secs(days * 86_400 + number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?))
}

fn alert_fields(json: &Value) -> AlertFields {
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    AlertFields {
        status: text("Status"),
        labels: string_map(&json["Labels"]),
        annotations: string_map(&json["Annotations"]),
        starts_at: json["StartsAt"].as_str().and_then(|text| moment(text).ok()),
        ends_at: json["EndsAt"].as_str().and_then(|text| moment(text).ok()),
        generator_url: text("GeneratorURL"),
        fingerprint: text("Fingerprint"),
    }
}

fn fields(data: &Value) -> NotificationFields {
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let rendered = "RouteLabels (already rendered)";
    NotificationFields {
        receiver: text("Receiver"),
        status: text("Status"),
        alerts: data["Alerts"].as_array().into_iter().flatten().map(alert_fields).collect(),
        reason: text("NotificationReason"),
        group_labels: string_map(&data["GroupLabels"]),
        common_labels: string_map(&data["CommonLabels"]),
        common_annotations: string_map(&data["CommonAnnotations"]),
        route_labels: string_map(&data["RouteLabels"]).or_else(|| string_map(&data[rendered])),
        route_labels_rendered: data[rendered].is_object(),
        external_url: text("ExternalURL"),
    }
}

/// Methods of the data, and the data itself.
fn data_case(case: &Value) -> Result<(), String> {
    let templates = Templates::parse::<&str, &str>(&[]).map_err(|error| error.to_string())?;
    let expand = |text: &str, fields: &NotificationFields| {
        templates.expand_text(text, &NotificationData::from(fields), NOW).map_err(|error| error.to_string())
    };
    let compare = |got: String, wanted: &Value| {
        let got: Value = serde_json::from_str(&got).map_err(|error| format!("{got}: {error}"))?;
        if got == *wanted { Ok(()) } else { Err(format!("got {got}, wanted {wanted}")) }
    };
    let method = case["method"].as_str().unwrap_or_default();
    if let Some(states) = case["alert_states"].as_array() {
        let alerts = states.iter().map(|state| AlertFields {
            status: state.as_str().unwrap_or_default().to_owned(),
            ..AlertFields::default()
        });
        let fields = NotificationFields { alerts: alerts.collect(), ..NotificationFields::default() };
        return compare(expand(&format!("{{{{ len .Alerts.{method} }}}}"), &fields)?, &case["result_count"]);
    }
    if case["data"].is_object() {
        return whole_data(case, compare);
    }
    let pairs = case["pairs"].as_array().map(|pairs| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect::<BTreeMap<_, _>>()
    });
    let of_pairs = pairs.is_some();
    let fields = NotificationFields {
        common_labels: pairs.or_else(|| string_map(&case["kv"])),
        ..NotificationFields::default()
    };
    let subject = if of_pairs { ".CommonLabels.SortedPairs" } else { ".CommonLabels" };
    let got = match method {
        "string form" => {
            let got = expand(&format!("{{{{ {subject} }}}}"), &fields)?;
            return match case["result"].as_str() == Some(&got) {
                true => Ok(()),
                false => Err(format!("got {got:?}, wanted {}", case["result"])),
            };
        }
        "SortedPairs" => {
            let rows = "[{{ range $i, $p := .CommonLabels.SortedPairs }}{{ if $i }},{{ end }}[{{ toJson $p.Name }},{{ toJson $p.Value }}]{{ end }}]";
            expand(rows, &fields)?
        }
        _ => match method.strip_prefix("Remove [") {
            Some(rest) => {
                let (names, then) = rest.split_once("] then ").ok_or("no names")?;
                let names: Vec<String> = names.split(' ').map(|name| format!("{name:?}")).collect();
                let names = names.join(" ");
                expand(
                    &format!("{{{{ (.CommonLabels.Remove (stringSlice {names})).{then} | toJson }}}}"),
                    &fields,
                )?
            }
            None => expand(&format!("{{{{ {subject}.{method} | toJson }}}}"), &fields)?,
        },
    };
    compare(got, &case["result"])
}

/// The data that is built from a group of alerts, as JSON.
fn whole_data(case: &Value, compare: impl Fn(String, &Value) -> Result<(), String>) -> Result<(), String> {
    use model::{AlertStatus, Notification, NotifiedAlert, NotifyReason};
    let templates = Templates::parse::<&str, &str>(&[]).map_err(|error| error.to_string())?;
    let labels = |json: &Value| -> Labels { string_map(json).unwrap_or_default().into_iter().collect() };
    let alert = |json: &Value| -> Result<NotifiedAlert, String> {
        let labels = labels(&json["labels"]);
        let ends_at = json["endsAt"].as_str().map(moment).transpose()?;
        Ok(NotifiedAlert {
            status: if ends_at.is_some() { AlertStatus::Resolved } else { AlertStatus::Firing },
            fingerprint: labels.fingerprint(),
            labels,
            annotations: string_map(&json["annotations"]).unwrap_or_default().into(),
            value: None,
            starts_at: moment(json["startsAt"].as_str().unwrap_or_default())?,
            ends_at,
            generator_url: Default::default(),
        })
    };
    let alerts = case["alerts"].as_array().into_iter().flatten().map(alert).collect::<Result<Vec<_>, _>>()?;
    let firing = alerts.iter().any(|alert| alert.status == AlertStatus::Firing);
    let notification = Notification {
        id: Default::default(),
        dedup_key: Default::default(),
        receiver: case["receiver"].as_str().unwrap_or_default().into(),
        integration: "webhook".into(),
        index: 0,
        group_key: Default::default(),
        status: if firing { AlertStatus::Firing } else { AlertStatus::Resolved },
        reason: NotifyReason::FirstNotification,
        group_labels: labels(&case["group_labels"]),
        common_labels: labels(&case["data"]["commonLabels"]),
        common_annotations: string_map(&case["data"]["commonAnnotations"]).unwrap_or_default().into(),
        route_labels: labels(&case["route_labels"]),
        alerts: alerts.into(),
        external_url: case["external_url"].as_str().unwrap_or_default().into(),
        settings: Default::default(),
        previous: None,
        at: NOW,
        give_up_after: std::time::Duration::ZERO,
    };
    let text = "{{ . | toJson }}";
    let got = templates.expand_text(text, &NotificationData::from(&notification), NOW);
    let got = got.map_err(|error| error.to_string())?;
    let mut got: Value = serde_json::from_str(&got).map_err(|error| error.to_string())?;
    // Newer than the case.
    got.as_object_mut().map(|data| data.remove("notification_reason"));
    for alert in got["alerts"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        alert.retain(|name, value| name != "generatorURL" || value != "");
    }
    compare(got.to_string(), &case["data"])
}
