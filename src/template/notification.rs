//! What the templates of messages see.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Annotations, Labels, Notification, NotifiedAlert, Timestamp};

use crate::language::time::{ZERO_TIME_MILLIS, time};
use crate::language::value::{Map, Method, Param, Type, Value, Zero};

/// What a message is about, in the form in which templates see it: `.Alerts`, `.CommonLabels`, `.Status`, …
#[derive(Clone, Debug)]
pub struct NotificationData {
    pub(crate) value: Value,
    pub(crate) external_url: String,
    pub(crate) route_labels: BTreeMap<String, String>,
    pub(crate) route_labels_rendered: bool,
}

/// The parts of [`NotificationData`]. A `None` prints like an empty map, and is `null` in JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NotificationFields {
    /// `.Receiver`
    pub receiver: String,
    /// `.Status`: `firing` or `resolved`.
    pub status: String,
    /// `.Alerts`
    pub alerts: Vec<AlertFields>,
    /// `.NotificationReason`
    pub reason: String,
    /// `.GroupLabels`
    pub group_labels: Option<BTreeMap<String, String>>,
    /// `.CommonLabels`
    pub common_labels: Option<BTreeMap<String, String>>,
    /// `.CommonAnnotations`
    pub common_annotations: Option<BTreeMap<String, String>>,
    /// `.RouteLabels`
    pub route_labels: Option<BTreeMap<String, String>>,
    /// Whether the templates in the route's labels are filled in already.
    pub route_labels_rendered: bool,
    /// `.ExternalURL`
    pub external_url: String,
}

/// One alert of [`NotificationFields`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertFields {
    /// `.Status`: `firing` or `resolved`.
    pub status: String,
    /// `.Labels`
    pub labels: Option<BTreeMap<String, String>>,
    /// `.Annotations`
    pub annotations: Option<BTreeMap<String, String>>,
    /// `.StartsAt`; `None` is the start of year 1.
    pub starts_at: Option<Timestamp>,
    /// `.EndsAt`; `None` is the start of year 1.
    pub ends_at: Option<Timestamp>,
    /// `.GeneratorURL`
    pub generator_url: String,
    /// `.Fingerprint`
    pub fingerprint: String,
}

static DATA: Type = Type {
    fields: &[
        ("Receiver", "receiver"),
        ("Status", "status"),
        ("Alerts", "alerts"),
        ("NotificationReason", "notification_reason"),
        ("GroupLabels", "groupLabels"),
        ("CommonLabels", "commonLabels"),
        ("CommonAnnotations", "commonAnnotations"),
        ("RouteLabels", "routeLabels"),
        ("ExternalURL", "externalURL"),
    ],
    ..Type::plain("*template.Data")
};

static ALERTS: Type = Type {
    methods: &[
        Method { name: "Firing", params: &[], call: |v, _| Ok(with_status(v, "firing")) },
        Method { name: "Resolved", params: &[], call: |v, _| Ok(with_status(v, "resolved")) },
    ],
    ..Type::plain("template.Alerts")
};

/// Some of the alerts: a list without methods.
static SOME_ALERTS: Type = Type::plain("[]template.Alert");

static ALERT: Type = Type {
    fields: &[
        ("Status", "status"),
        ("Labels", "labels"),
        ("Annotations", "annotations"),
        ("StartsAt", "startsAt"),
        ("EndsAt", "endsAt"),
        ("GeneratorURL", "generatorURL"),
        ("Fingerprint", "fingerprint"),
    ],
    ..Type::plain("template.Alert")
};

/// Labels or annotations.
static KV: Type = Type {
    zero: Zero::EmptyString,
    text: Some(|value| pairs_text(&sorted_pairs(value))),
    methods: &[
        Method { name: "SortedPairs", params: &[], call: |v, _| Ok(sorted_pairs(v)) },
        Method { name: "Names", params: &[], call: |v, _| Ok(column(&sorted_pairs(v), "Name")) },
        Method { name: "Values", params: &[], call: |v, _| Ok(column(&sorted_pairs(v), "Value")) },
        Method { name: "Remove", params: &[Param::Strings], call: |v, a| Ok(without(v, &a[0])) },
        Method { name: "String", params: &[], call: |v, _| Ok(Value::str(pairs_text(&sorted_pairs(v)))) },
    ],
    ..Type::plain("template.KV")
};

static PAIRS: Type = Type {
    text: Some(pairs_text),
    methods: &[
        Method { name: "Names", params: &[], call: |v, _| Ok(column(v, "Name")) },
        Method { name: "Values", params: &[], call: |v, _| Ok(column(v, "Value")) },
        Method { name: "String", params: &[], call: |v, _| Ok(Value::str(pairs_text(v))) },
    ],
    ..Type::plain("template.Pairs")
};

static PAIR: Type = Type { fields: &[("Name", "Name"), ("Value", "Value")], ..Type::plain("template.Pair") };

fn with_status(alerts: &Value, status: &str) -> Value {
    let Value::List(list) = alerts else { return alerts.clone() };
    let has = |alert: &&Value| alert.field("Status").and_then(Value::as_str) == Some(status);
    Value::list(&SOME_ALERTS, list.items.iter().filter(has).cloned().collect())
}

/// Name and value of each label; `alertname` first, then by name.
fn sorted_pairs(labels: &Value) -> Value {
    let Value::Map(map) = labels else { return Value::list(&PAIRS, Vec::new()) };
    let pair = |(name, value): (&String, &Value)| {
        Value::structure(&PAIR, vec![Value::str(name.as_str()), value.clone()])
    };
    let (first, rest): (Vec<_>, Vec<_>) =
        map.entries.iter().partition(|(name, _)| *name == model::ALERT_NAME);
    Value::list(&PAIRS, first.into_iter().chain(rest).map(pair).collect())
}

fn column(pairs: &Value, field: &str) -> Value {
    let Value::List(list) = pairs else { return Value::strings(Vec::<String>::new()) };
    Value::strings(list.items.iter().filter_map(|pair| pair.field(field)).filter_map(Value::as_str))
}

fn pairs_text(pairs: &Value) -> String {
    let Value::List(list) = pairs else { return String::new() };
    let text = |pair: &Value| {
        let part = |field| pair.field(field).and_then(Value::as_str).unwrap_or_default();
        format!("{}={}", part("Name"), part("Value"))
    };
    list.items.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn without(labels: &Value, names: &Value) -> Value {
    let Value::Map(map) = labels else { return labels.clone() };
    let names = names.as_strings().unwrap_or_default();
    let kept = map.entries.iter().filter(|(name, _)| !names.contains(&name.as_str()));
    Value::map(&KV, kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn kv(entries: Option<&BTreeMap<String, String>>) -> Value {
    let values =
        entries.into_iter().flatten().map(|(name, value)| (name.clone(), Value::str(value.as_str())));
    Value::Map(Arc::new(Map { ty: &KV, entries: values.collect(), nil: entries.is_none() }))
}

impl AlertFields {
    fn value(&self) -> Value {
        let moment = |at: Option<Timestamp>| time(at.unwrap_or(Timestamp::from_millis(ZERO_TIME_MILLIS)));
        Value::structure(
            &ALERT,
            vec![
                Value::str(self.status.as_str()),
                kv(self.labels.as_ref()),
                kv(self.annotations.as_ref()),
                moment(self.starts_at),
                moment(self.ends_at),
                Value::str(self.generator_url.as_str()),
                Value::str(self.fingerprint.as_str()),
            ],
        )
    }
}

impl From<&NotificationFields> for NotificationData {
    fn from(fields: &NotificationFields) -> Self {
        let value = Value::structure(
            &DATA,
            vec![
                Value::str(fields.receiver.as_str()),
                Value::str(fields.status.as_str()),
                Value::list(&ALERTS, fields.alerts.iter().map(AlertFields::value).collect()),
                Value::str(fields.reason.as_str()),
                kv(fields.group_labels.as_ref()),
                kv(fields.common_labels.as_ref()),
                kv(fields.common_annotations.as_ref()),
                kv(fields.route_labels.as_ref()),
                Value::str(fields.external_url.as_str()),
            ],
        );
        NotificationData {
            value,
            external_url: fields.external_url.clone(),
            route_labels: fields.route_labels.clone().unwrap_or_default(),
            route_labels_rendered: fields.route_labels_rendered,
        }
    }
}

fn labels_map(labels: &Labels) -> Option<BTreeMap<String, String>> {
    Some(labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn annotations_map(annotations: &Annotations) -> Option<BTreeMap<String, String>> {
    Some(annotations.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
}

impl From<&NotifiedAlert> for AlertFields {
    fn from(alert: &NotifiedAlert) -> Self {
        AlertFields {
            status: alert.status.as_str().to_owned(),
            labels: labels_map(&alert.labels),
            annotations: annotations_map(&alert.annotations),
            starts_at: Some(alert.starts_at),
            ends_at: alert.ends_at,
            generator_url: alert.generator_url.to_string(),
            fingerprint: alert.fingerprint.to_string(),
        }
    }
}

impl From<&Notification> for NotificationFields {
    /// The labels of the route are taken as the configuration wrote them, with their templates.
    fn from(notification: &Notification) -> Self {
        NotificationFields {
            // Alertmanager's templates put it into links, where it is read as a regular expression.
            receiver: quote_pattern(&notification.receiver),
            status: notification.status.as_str().to_owned(),
            alerts: notification.alerts.iter().map(AlertFields::from).collect(),
            reason: notification.reason.as_str().to_owned(),
            group_labels: labels_map(&notification.group_labels),
            common_labels: labels_map(&notification.common_labels),
            common_annotations: annotations_map(&notification.common_annotations),
            route_labels: labels_map(&notification.route_labels),
            route_labels_rendered: false,
            external_url: notification.external_url.to_string(),
        }
    }
}

impl From<&Notification> for NotificationData {
    /// The labels of the route are taken as the configuration wrote them, with their templates.
    fn from(notification: &Notification) -> Self {
        NotificationData::from(&NotificationFields::from(notification))
    }
}

impl NotificationData {
    /// The labels of the route are final: whatever looks like a template in them is text.
    #[must_use]
    pub fn with_rendered_route_labels(mut self) -> Self {
        self.route_labels_rendered = true;
        self
    }
}

/// With a backslash before everything that has a meaning in a regular expression.
fn quote_pattern(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '.' | '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
