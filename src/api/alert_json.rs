//! Alerts and groups as API v2 writes them, written piece by piece as the client takes them.
//!
//! In: a view and a filter. Out: pieces of one JSON array, made as they are asked for: the view is shared, and neither
//! the answer nor a tree of it is in memory as a whole.
//! Start at [`alerts_body`] and [`groups_body`].

use std::convert::Infallible;
use std::sync::Arc;

use alerting::{AlertFilter, AlertState, AlertView, AlertingView, GroupView};
use axum::body::{Body, Bytes};
use futures_util::stream;
use model::Annotations;

use crate::json::{write_labels, write_string, write_strings, write_time};

/// About how long a piece is.
const PIECE_BYTES: usize = 64 << 10;
/// A piece ends with an alert: its buffer has room for one beyond.
const ALERT_BYTES: usize = 4 << 10;

/// The alerts that a filter wants.
pub(crate) fn alerts_body(view: Arc<AlertingView>, filter: AlertFilter) -> Body {
    body(AlertPieces { view, filter, next: 0, written: false, ended: false })
}

/// The groups that a filter wants, each with its alerts.
pub(crate) fn groups_body(view: Arc<AlertingView>, filter: AlertFilter) -> Body {
    body(GroupPieces { view, filter, group: 0, alert: 0, written: false, ended: false })
}

/// A short answer goes as a whole, with its length.
fn body(mut pieces: impl Iterator<Item = String> + Send + 'static) -> Body {
    let (Some(first), second) = (pieces.next(), pieces.next()) else { return Body::empty() };
    if second.is_none() {
        return Body::from(first);
    }
    let pieces = [Some(first), second].into_iter().flatten().chain(pieces);
    Body::from_stream(stream::iter(pieces.map(|piece| Ok::<_, Infallible>(Bytes::from(piece)))))
}

struct AlertPieces {
    view: Arc<AlertingView>,
    filter: AlertFilter,
    /// The alert that is looked at next.
    next: usize,
    /// Whether one was written already.
    written: bool,
    ended: bool,
}

impl Iterator for AlertPieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        let mut out = String::with_capacity(PIECE_BYTES + ALERT_BYTES);
        if self.next == 0 {
            out.push('[');
        }
        while out.len() < PIECE_BYTES {
            let Some(alert) = self.view.alerts.get(self.next) else {
                out.push(']');
                self.ended = true;
                break;
            };
            self.next += 1;
            if self.filter.wants(&self.view, alert) {
                comma(&mut out, &mut self.written);
                write_alert(&mut out, alert, alert.receivers.iter().map(AsRef::as_ref), &[]);
            }
        }
        // What was too much room for little is given back.
        out.shrink_to_fit();
        Some(out)
    }
}

struct GroupPieces {
    view: Arc<AlertingView>,
    filter: AlertFilter,
    /// The group that is looked at next, or is being written.
    group: usize,
    /// The next of its alerts; 0 while none was looked at.
    alert: usize,
    /// Whether a group was written already.
    written: bool,
    ended: bool,
}

impl Iterator for GroupPieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.ended {
            return None;
        }
        let mut out = String::with_capacity(PIECE_BYTES + ALERT_BYTES);
        if self.group == 0 && self.alert == 0 {
            out.push('[');
        }
        while out.len() < PIECE_BYTES {
            let view = Arc::clone(&self.view);
            let Some(group) = view.groups.get(self.group) else {
                out.push(']');
                self.ended = true;
                break;
            };
            if self.alert == 0 {
                let first = match self.filter.wants_group(&view, group) {
                    true => group.alerts.iter().position(|at| self.filter.accepts(&view.alerts[*at])),
                    false => None,
                };
                let Some(first) = first else {
                    self.group += 1;
                    continue;
                };
                comma(&mut out, &mut self.written);
                out.push_str("{\"alerts\":[");
                self.write_alert_of(&mut out, &view, group, group.alerts[first]);
                self.alert = first + 1;
            }
            self.write_rest(&mut out, &view, group);
        }
        out.shrink_to_fit();
        Some(out)
    }
}

impl GroupPieces {
    /// Alerts of the group that is being written, and its end if the piece has room for it.
    fn write_rest(&mut self, out: &mut String, view: &AlertingView, group: &GroupView) {
        while out.len() < PIECE_BYTES {
            let Some(at) = group.alerts.get(self.alert) else {
                write_group_end(out, group);
                (self.group, self.alert) = (self.group + 1, 0);
                return;
            };
            self.alert += 1;
            if self.filter.accepts(&view.alerts[*at]) {
                out.push(',');
                self.write_alert_of(out, view, group, *at);
            }
        }
    }

    /// The alert at this place of the view, with those of its receivers that are wanted, by name.
    fn write_alert_of(&self, out: &mut String, view: &AlertingView, group: &GroupView, at: usize) {
        let alert = &view.alerts[at];
        let mut receivers: Vec<&str> = alert.receivers.iter().map(AsRef::as_ref).collect();
        receivers.retain(|name| self.filter.wants_receiver(view, name));
        receivers.sort_unstable();
        write_alert(out, alert, receivers.into_iter(), &group.muted_by);
    }
}

fn comma(out: &mut String, written: &mut bool) {
    if std::mem::replace(written, true) {
        out.push(',');
    }
}

/// What follows a group's alerts.
fn write_group_end(out: &mut String, group: &GroupView) {
    out.push_str("],\"labels\":");
    write_labels(out, &group.labels);
    out.push_str(",\"receiver\":{\"name\":");
    write_string(out, &group.receiver);
    out.push_str("},\"routeLabels\":");
    write_labels(out, &group.route_labels);
    out.push('}');
}

/// Time intervals mute groups, not alerts: what is muted in one group may be told in another. So they are shown with groups
/// only.
fn write_alert<'a>(
    out: &mut String,
    view: &AlertView,
    receivers: impl Iterator<Item = &'a str>,
    muted_by: &[String],
) {
    let alert = &view.alert;
    out.push_str("{\"annotations\":");
    write_annotations(out, &alert.annotations);
    out.push_str(",\"endsAt\":");
    write_time(out, alert.ends_at);
    out.push_str(",\"fingerprint\":\"");
    out.push_str(&view.fingerprint.to_string());
    out.push('"');
    // An empty text is no address.
    if !alert.generator_url.is_empty() {
        out.push_str(",\"generatorURL\":");
        write_string(out, &alert.generator_url);
    }
    out.push_str(",\"labels\":");
    write_labels(out, &alert.labels);
    out.push_str(",\"receivers\":[");
    for (index, name) in receivers.enumerate() {
        out.push_str(if index > 0 { ",{\"name\":" } else { "{\"name\":" });
        write_string(out, name);
        out.push('}');
    }
    out.push_str("],\"startsAt\":");
    write_time(out, alert.starts_at);
    out.push_str(",\"status\":{\"inhibitedBy\":");
    let by: Vec<String> = view.inhibited_by.iter().map(ToString::to_string).collect();
    write_strings(out, by.iter().map(String::as_str));
    out.push_str(",\"mutedBy\":");
    write_strings(out, muted_by.iter().map(|name| &**name));
    out.push_str(",\"silencedBy\":");
    write_strings(out, view.silenced_by.iter().map(|id| id.as_str()));
    out.push_str(",\"state\":\"");
    let state = if muted_by.is_empty() { view.state } else { AlertState::Suppressed };
    out.push_str(state.as_str());
    out.push_str("\"},\"updatedAt\":");
    write_time(out, alert.updated_at);
    out.push('}');
}

fn write_annotations(out: &mut String, annotations: &Annotations) {
    out.push('{');
    for (index, (name, text)) in annotations.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        write_string(out, text);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use model::{Alert, Labels, Timestamp};
    use serde_json::{Value, json};

    use super::*;

    fn alert(name: &str, state: AlertState, text: &str) -> AlertView {
        let labels = Labels::from([("alertname", name), ("quoted", "a\"b\\c")]);
        AlertView {
            fingerprint: labels.fingerprint(),
            alert: Arc::new(Alert {
                labels,
                annotations: [("summary".to_owned(), text.to_owned())].into_iter().collect(),
                starts_at: Timestamp::from_millis(1500),
                ends_at: Timestamp::from_secs(60),
                updated_at: Timestamp::from_secs(2),
                generator_url: if text.is_empty() { "" } else { "http://g.test/" }.into(),
                timeout: false,
                value: None,
            }),
            state,
            silenced_by: Vec::new(),
            inhibited_by: vec![model::Fingerprint(7)],
            receivers: ["ops".into(), "db".into()].into(),
            told: Vec::new(),
        }
    }

    fn view(alerts: Vec<AlertView>, of_groups: Vec<Vec<usize>>) -> Arc<AlertingView> {
        let group = |(at, alerts): (usize, Vec<usize>)| GroupView {
            key: format!("g{at}").into(),
            group_key: format!("g{at}").into(),
            route_id: "{}".to_owned(),
            labels: Labels::from([("group", at.to_string().as_str())]),
            route_labels: Labels::from([("owner", "dba")]),
            receiver: "ops".into(),
            alerts,
            muted_by: if at == 4 { vec!["nights".to_owned()] } else { Vec::new() },
            next_flush: Timestamp::EPOCH,
            flushed: true,
            deliveries: Vec::new(),
        };
        Arc::new(AlertingView {
            at: Timestamp::from_secs(3),
            holds_until: Timestamp::MAX,
            version: 1,
            alerts,
            groups: of_groups.into_iter().enumerate().map(group).collect(),
            silences: Vec::new(),
            receivers: Vec::new(),
        })
    }

    async fn read(body: Body) -> Value {
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn an_alert_as_api_v2_has_it() {
        let view = view(vec![alert("A", AlertState::Suppressed, "x\ny")], Vec::new());
        let wanted = json!([{
            "annotations": {"summary": "x\ny"},
            "endsAt": "1970-01-01T00:01:00.000Z",
            "fingerprint": view.alerts[0].fingerprint.to_string(),
            "generatorURL": "http://g.test/",
            "labels": {"alertname": "A", "quoted": "a\"b\\c"},
            "receivers": [{"name": "ops"}, {"name": "db"}],
            "startsAt": "1970-01-01T00:00:01.500Z",
            "status": {"inhibitedBy": ["0000000000000007"], "mutedBy": [], "silencedBy": [], "state": "suppressed"},
            "updatedAt": "1970-01-01T00:00:02.000Z",
        }]);
        assert_eq!(read(alerts_body(Arc::clone(&view), AlertFilter::default())).await, wanted);
        let none = AlertFilter { inhibited: false, ..AlertFilter::default() };
        assert_eq!(read(alerts_body(Arc::clone(&view), none.clone())).await, json!([]));
        assert_eq!(read(groups_body(view, none)).await, json!([]));
    }

    #[tokio::test]
    async fn many_pieces_are_one_answer() {
        let long = "x".repeat(3000);
        let state =
            |at: usize| if at.is_multiple_of(3) { AlertState::Unprocessed } else { AlertState::Active };
        let alerts: Vec<AlertView> = (0..400).map(|at| alert(&format!("A{at}"), state(at), &long)).collect();
        // The second and the last one have nothing that is wanted.
        let groups = vec![(0..200).collect(), vec![0, 3], (200..400).collect(), vec![1], vec![300]];
        let view = view(alerts, groups);
        let filter = AlertFilter { unprocessed: false, ..AlertFilter::default() };
        let names = |alerts: &Value| -> Vec<String> {
            let name = |alert: &Value| alert["labels"]["alertname"].as_str().unwrap().to_owned();
            alerts.as_array().unwrap().iter().map(name).collect()
        };
        let wanted = |mut range: std::ops::Range<usize>| -> Vec<String> {
            range.by_ref().filter(|at| at % 3 != 0).map(|at| format!("A{at}")).collect()
        };
        let listed = read(alerts_body(Arc::clone(&view), filter.clone())).await;
        assert_eq!(names(&listed), wanted(0..400));
        let listed = read(groups_body(view, filter)).await;
        let groups: Vec<(Value, Vec<String>)> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|group| (group["labels"]["group"].clone(), names(&group["alerts"])))
            .collect();
        let of = |name: &str, range| (json!(name), wanted(range));
        assert_eq!(groups, [of("0", 0..200), of("2", 200..400), of("3", 1..2)]);
        assert_eq!(listed[0]["receiver"], json!({"name": "ops"}));
        assert_eq!(listed[2]["routeLabels"], json!({"owner": "dba"}));
    }

    #[tokio::test]
    async fn a_time_interval_mutes_an_alert_in_its_group_only() {
        let groups = vec![vec![0], vec![], vec![], vec![], vec![0]];
        let mut view = view(vec![alert("A", AlertState::Active, "")], groups);
        Arc::get_mut(&mut view).unwrap().alerts[0].inhibited_by.clear();
        let status = |by: &[&str], state: &str| json!({"inhibitedBy": [], "mutedBy": by, "silencedBy": [], "state": state});
        let listed = read(groups_body(Arc::clone(&view), AlertFilter::default())).await;
        assert_eq!(listed[0]["alerts"][0]["status"], status(&[], "active"));
        assert_eq!(listed[1]["alerts"][0]["status"], status(&["nights"], "suppressed"));
        let listed = read(alerts_body(view, AlertFilter::default())).await;
        assert_eq!(listed[0]["status"], status(&[], "active"));
    }
}
