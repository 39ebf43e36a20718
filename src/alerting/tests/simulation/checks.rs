//! What must always hold.

use std::collections::BTreeSet;

use alerting::SilenceId;
use model::{AlertStatus, Labels, Notification, Timestamp};

use crate::{KnownSilence, REPEAT_INTERVAL, Sent, Simulation, stream};

impl Simulation {
    /// At every message that goes out.
    pub(crate) fn check_message(&mut self, message: &Notification) {
        let key = stream(message);
        let before = self.arrivals.get(&key).map_or(&[][..], Vec::as_slice);
        if message.alerts.is_empty() {
            self.fail("an empty message");
        }
        // Nothing that was silenced is told. A message that goes out again was decided on before; what counts for it is
        // the time at which it goes out.
        let decided = if message.at < self.now { message.at } else { self.now };
        for alert in &message.alerts {
            if let Some(id) = self.silenced_at(&alert.labels, decided) {
                self.fail(&format!("{} is told although {id} silences it: {}", alert.labels, show(message)));
            }
        }
        // Nothing that is inhibited is told. After a crash that lost what was not written, a source may not be known yet.
        if self.features.inhibition && !self.features.crashes {
            for alert in message.alerts.iter().filter(|alert| alert.status == AlertStatus::Firing) {
                if let Some(source) = self.source_at(&alert.labels, message.at) {
                    self.fail(&format!("{} is told although {source} explains it", alert.labels));
                }
            }
        }
        // Nothing ended that did not fire.
        if message.status == AlertStatus::Resolved {
            let told = |labels: &Labels| {
                before.iter().any(|arrival| {
                    arrival
                        .message
                        .alerts
                        .iter()
                        .any(|a| a.labels == *labels && a.status == AlertStatus::Firing)
                })
            };
            if !message.alerts.iter().any(|alert| told(&alert.labels)) {
                self.fail(&format!("an end of which nobody knew the beginning: {}", show(message)));
            }
        }
        // Nothing is repeated without a reason.
        let Some(last) = before.last() else { return };
        if last.message.id == message.id {
            if last.recorded {
                self.fail(&format!("recorded as told, and told again: {}", show(message)));
            }
            return;
        }
        let early = self.now < last.at + REPEAT_INTERVAL;
        let same = content(&last.message) == content(message);
        if early && same && last.recorded && self.last_loss < last.at {
            self.fail(&format!("told twice: {}, and before {}", show(message), show(&last.message)));
        }
    }

    fn silenced_at(&self, labels: &Labels, at: Timestamp) -> Option<SilenceId> {
        let holds = |silence: &KnownSilence| {
            silence.acknowledged_at < at
                && at < silence.ends_at
                // While its end is being stored either may be true.
                && silence.expired_at.is_none_or(|expired| at < expired)
                && labels.value(&silence.labels.0) == silence.labels.1
        };
        self.silences.iter().find(|(_, silence)| holds(silence)).map(|(id, _)| id.clone())
    }

    /// What inhibits an alert at `at`, if anything.
    fn source_at(&self, labels: &Labels, at: Timestamp) -> Option<Labels> {
        let fires = |(other, sent): &(&Labels, &Sent)| {
            other.value("kind") == "source"
                && other.value("host") == labels.value("host")
                && sent.starts_at < at
                && sent.ended_at.is_none_or(|ended| at < ended)
        };
        let target = labels.value("kind") == "target";
        self.senders.iter().filter(|_| target).find(fires).map(|(other, _)| other.clone())
    }

    /// Everything is healed and calm: every receiver knows what fires, and of nothing else, but for what may be missed.
    pub(crate) fn check_end(&mut self) {
        let firing: BTreeSet<Labels> = self
            .senders
            .iter()
            .filter(|(_, sent)| sent.ended_at.is_none())
            .map(|(labels, _)| labels.clone())
            .collect();
        let inhibited = |labels: &Labels| {
            self.features.inhibition
                && labels.value("kind") == "target"
                && firing.iter().any(|other| {
                    other.value("kind") == "source" && other.value("host") == labels.value("host")
                })
        };
        let mut problems = Vec::new();
        for labels in firing.iter().filter(|labels| !inhibited(labels)) {
            for id in self.config.routes.matching(labels) {
                let route = self.config.routes.route(id);
                let group = show_group(&route.group_by.group_labels(labels));
                let group_key = format!("{}:{group}", route.key);
                for integration in &self.config.receiver(&route.receiver).unwrap().integrations {
                    let knows = self.believed.iter().any(|(key, believed)| {
                        key.group_key == group_key
                            && key.receiver == route.receiver
                            && key.kind == integration.kind
                            && believed.contains(labels)
                    });
                    if !knows {
                        let (receiver, kind) = (&route.receiver, &integration.kind);
                        problems.push(format!("{receiver}/{kind} does not know of {labels}"));
                    }
                }
            }
        }
        // Ends under a mute are not told, nor those of groups that a reload took away.
        if !self.features.silences && !self.features.inhibition && !self.features.reloads {
            for (key, believed) in self.believed.iter().filter(|(key, _)| key.kind == "webhook") {
                for labels in believed.difference(&firing) {
                    problems.push(format!("{}/{} believes in {labels}", key.receiver, key.kind));
                }
            }
        }
        if self.machine.sizes().behind {
            problems.push("something is not written".to_owned());
        }
        if !problems.is_empty() {
            self.fail(&problems.join("\n"));
        }
    }
}

/// What a message says, in order.
fn content(message: &Notification) -> Vec<(AlertStatus, Labels, Timestamp)> {
    let mut content: Vec<_> =
        message.alerts.iter().map(|a| (a.status, a.labels.clone(), a.starts_at)).collect();
    content.sort();
    content
}

pub(crate) fn show(message: &Notification) -> String {
    let alerts: Vec<String> =
        message.alerts.iter().map(|a| format!("{} {}", a.status.as_str(), a.labels)).collect();
    format!("{}: {}", message.reason, alerts.join(", "))
}

fn show_group(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    format!("{{{}}}", pairs.join(", "))
}
