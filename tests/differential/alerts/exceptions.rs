//! What may differ between the two, and why. Every entry is a rule that can be read, never a list of trees.

use serde_json::Value;

use crate::compare::{Difference, TOLERANCE};
use crate::sides::{Play, Run};
use crate::sink::Message;
use crate::timeline::Life;
use crate::tree::STEP;

/// The longest time between two ticks of a group, and what may be late.
const RECENTLY: i64 = (4 * STEP + STEP) as i64;

/// A difference that is none.
struct Exception {
    reason: &'static str,
    applies: fn(&Case<'_>) -> bool,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "of several alerts that inhibit with equal labels Alertmanager looks at one; if that one ended or is on \
                 both sides of the rule, the others do not count",
        applies: |case| {
            if let Some(alert) = &case.difference.alert {
                return case.is_inhibited(alert, case.play.timeline.until as i64);
            }
            let Some(theirs) = case.theirs() else { return false };
            case.only_there().iter().any(|(alert, _)| case.is_inhibited(alert, case.millis(theirs)))
        },
    },
    Exception {
        reason: "groups show the time intervals that mute them now, and Alertmanager what it found when it last looked: it \
                 does not look while all alerts are inhibited",
        applies: |case| {
            let alert = case.difference.alert.as_ref().and_then(|alert| case.play.timeline.alerts.get(alert));
            let is_target =
                |life: &Life| case.play.tree.inhibit.iter().any(|rule| rule.target.holds(&life.labels));
            let what = &case.difference.what;
            what.starts_with(".status.mutedBy") && what.ends_with("[] there") && alert.is_some_and(is_target)
        },
    },
    Exception {
        reason: "an alert whose end was not told, because it was muted or the receiver does not want to hear of ends, has \
                 ended: if it fires again that is news; for Alertmanager it never ended",
        applies: |case| {
            let Some(ours) = case.ours() else { return false };
            let news = matches!(reason_of(ours), "first notification" | "new alerts added");
            let ended = |(alert, life): (&String, &Life)| {
                let believed = case.told_before(alert).filter(|(_, firing)| *firing);
                believed.is_some_and(|(at, _)| life.ended_between(at, case.millis(ours)))
            };
            news && case.play.timeline.alerts.iter().any(ended)
        },
    },
    Exception {
        reason: "an end that was muted is not told later; Alertmanager tells it if the sender repeats it, or if the alert \
                 ends once more, when nothing mutes it",
        applies: |case| {
            let Some(theirs) = case.theirs() else { return false };
            let muted = |alert: &String| {
                let believed = case.told_before(alert).filter(|(_, firing)| *firing);
                let life = case.play.timeline.alerts.get(alert);
                believed
                    .zip(life)
                    .is_some_and(|((at, _), life)| life.times_ended(at, case.millis(theirs)) > 1)
            };
            case.only_there().iter().any(|(alert, firing)| !firing && muted(alert))
        },
    },
    Exception {
        reason: "what ended goes along with news once; Alertmanager keeps it until every integration of the receiver has \
                 taken a message, and one refused",
        applies: |case| {
            let Some(theirs) = case.theirs() else { return false };
            let open = |alert: &String| case.told_before(alert).is_some_and(|(_, firing)| firing);
            case.was_refused_before(theirs)
                && case.only_there().iter().any(|(alert, firing)| !firing && !open(alert))
        },
    },
    Exception {
        reason: "an end is told once; Alertmanager tells it again along with other news if the sender repeats it, or if \
                 the alert fired and ended again unnoticed",
        applies: |case| {
            let Some(theirs) = case.theirs() else { return false };
            let at = case.millis(theirs);
            let repeated = |alert: &String| {
                let life = case.play.timeline.alerts.get(alert);
                life.is_some_and(|life| {
                    life.repeated_ends.iter().any(|end| at - RECENTLY < *end && *end < at)
                })
            };
            let known = |alert: &String| case.told_before(alert).is_some_and(|(_, firing)| !firing);
            case.only_there().iter().any(|(alert, firing)| !firing && (known(alert) || repeated(alert)))
        },
    },
    Exception {
        reason: "the end of an alert that nobody was told of is no reason to tell something; for Alertmanager it is, if \
                 the receiver was told of others in the group",
        applies: |case| {
            let Some(theirs) = case.theirs() else { return false };
            let open = |alert: &String| case.told_before(alert).is_some_and(|(_, firing)| firing);
            matches!(reason_of(theirs), "some alerts resolved" | "all alerts resolved")
                && !case.alerts(theirs).iter().any(|(alert, firing)| !firing && open(alert))
        },
    },
];

/// Why a difference may be, if there is a reason.
pub(crate) fn reason(play: &Play, run: &Run, difference: &Difference) -> Option<&'static str> {
    let case = Case { play, run, difference };
    EXCEPTIONS.iter().find(|exception| (exception.applies)(&case)).map(|exception| exception.reason)
}

/// The first difference of a line, with all that is known about it.
struct Case<'a> {
    play: &'a Play,
    run: &'a Run,
    difference: &'a Difference,
}

impl Case<'_> {
    fn ours(&self) -> Option<&Message> {
        self.difference.ours.get(self.difference.at)
    }

    fn theirs(&self) -> Option<&Message> {
        self.difference.theirs.get(self.difference.at)
    }

    fn millis(&self, message: &Message) -> i64 {
        message.at.saturating_duration_since(self.run.began).as_millis() as i64
    }

    /// The alerts in a message, and whether they fire. Any of the tree, both ways, if some are not listed.
    fn alerts(&self, message: &Message) -> Vec<(String, bool)> {
        if is_truncated(message) {
            let all = self.play.timeline.alerts.keys();
            return all.flat_map(|alert| [(alert.clone(), true), (alert.clone(), false)]).collect();
        }
        listed(message)
    }

    /// Alerts that Alertmanager tells here and Foghorn does not, or only later.
    fn only_there(&self) -> Vec<(String, bool)> {
        let Some(theirs) = self.theirs() else { return Vec::new() };
        let mut told = self.alerts(theirs);
        let together = |ours: &&Message| ours.at.saturating_duration_since(theirs.at) < TOLERANCE;
        if let Some(ours) = self.ours().filter(together) {
            let known = listed(ours);
            told.retain(|(alert, _)| !known.iter().any(|(other, _)| other == alert));
        }
        told
    }

    /// When the receiver was last told of an alert before the difference, and whether it was told that it fires.
    fn told_before(&self, alert: &str) -> Option<(i64, bool)> {
        let before =
            self.difference.theirs[..self.difference.at.min(self.difference.theirs.len())].iter().rev();
        before.filter(|message| message.taken).find_map(|message| {
            let at = self.millis(message);
            let of_it = listed(message).into_iter().find(|(other, _)| other == alert);
            let unlisted = || {
                let life = self.play.timeline.alerts.get(alert).filter(|_| is_truncated(message))?;
                Some((at, life.fires(at)))
            };
            of_it.map(|(_, firing)| (at, firing)).or_else(unlisted)
        })
    }

    /// Whether an integration of the group's receiver refused something before this message.
    fn was_refused_before(&self, message: &Message) -> bool {
        let receiver = |path: &str| path.rsplit_once('/').map(|(receiver, _)| receiver.to_owned());
        self.run.theirs.iter().any(|other| {
            !other.taken
                && other.at < message.at
                && other.body["groupKey"] == message.body["groupKey"]
                && receiver(&other.path) == receiver(&message.path)
        })
    }

    /// Whether an alert is inhibited, by one of at least two alerts that could.
    fn is_inhibited(&self, alert: &str, at: i64) -> bool {
        let alerts = &self.play.timeline.alerts;
        let Some(target) = alerts.get(alert) else { return false };
        self.play.tree.inhibit.iter().filter(|rule| rule.target.holds(&target.labels)).any(|rule| {
            let equal =
                |life: &&Life| rule.equal.iter().all(|name| life.labels.get(name) == target.labels.get(name));
            let known = |life: &&Life| rule.source.holds(&life.labels) && life.began_before(at);
            let sources: Vec<&Life> = alerts.values().filter(known).filter(equal).collect();
            let both_sides = rule.source.holds(&target.labels);
            let inhibits = |life: &&&Life| life.fires(at) && !(both_sides && rule.target.holds(&life.labels));
            sources.len() > 1 && sources.iter().any(|life| inhibits(&life))
        })
    }
}

fn is_truncated(message: &Message) -> bool {
    message.body["truncatedAlerts"].as_u64().is_some_and(|count| count > 0)
}

fn reason_of(message: &Message) -> &str {
    message.body["notification_reason"].as_str().unwrap_or_default()
}

/// Fingerprints, and whether they fire.
fn listed(message: &Message) -> Vec<(String, bool)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alerts = message.body["alerts"].as_array().into_iter().flatten();
    alerts.map(|alert| (text(&alert["fingerprint"]), alert["status"] == "firing")).collect()
}
