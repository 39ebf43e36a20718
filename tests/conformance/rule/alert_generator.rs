//! A rule group on a time line: what the API shows, and what is sent.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Alert, Labels, SampleValue, Timestamp};
use promql::testing::Memory;
use rules::{ActiveAlert, External, GroupState, RuleGroup};
use serde_json::Value;

use super::{duration, evaluate, group_of, labels, pairs, rule, text};
use crate::{Report, read_json};

pub(super) fn run(corpus: &Path, report: &mut Report) {
    let folder = corpus.join("alert-generator");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.to_string_lossy().ends_with(".case.json")) {
        let Some(file) = read_json(path) else { continue };
        for case in file["cases"].as_array().into_iter().flatten() {
            let id = text(case, "id");
            report.case("alert-generator", "cases", id, || TimeLine::of(&file["meta"], case)?.check(case));
        }
    }
}

struct TimeLine {
    step: Duration,
    interval: Duration,
    resend_delay: Duration,
    /// By how much everything may be late.
    late: Duration,
    state: GroupState,
    memory: Memory,
    end: Timestamp,
}

/// What was sent, and when.
struct Sent {
    at: Timestamp,
    alert: Alert,
}

impl TimeLine {
    fn of(meta: &Value, case: &Value) -> Result<Self, String> {
        let seconds = |name: &str| Duration::from_secs(meta[name].as_u64().unwrap_or_default());
        let group = &case["rule_group"];
        let rules =
            group["rules"].as_array().into_iter().flatten().map(rule).collect::<Result<Vec<_>, _>>()?;
        let interval = duration(text(group, "interval"))?;
        let group = RuleGroup { interval, ..group_of(rules) };
        let step = seconds("step_s");
        let mut memory = Memory::default();
        for series in case["series"].as_array().into_iter().flatten() {
            for (i, value) in values(&series["values"])?.into_iter().enumerate() {
                let at = Timestamp::EPOCH + step * u32::try_from(i).unwrap_or(u32::MAX);
                memory.push(&labels(&series["labels"]), at, SampleValue::Float(value));
            }
        }
        let entries = case["api_states"].as_array().into_iter().flatten();
        let last = entries.filter_map(|entry| entry["to"].as_u64()).max().unwrap_or(0);
        Ok(TimeLine {
            step,
            interval,
            resend_delay: seconds("resend_delay_s"),
            late: seconds("evaluation_interval_s") + Duration::from_secs(10),
            state: GroupState::new(Arc::new(group)),
            memory,
            end: Timestamp::EPOCH + step * u32::try_from(last).unwrap_or(u32::MAX),
        })
    }

    /// A time of the case: a number of steps, with `+ 15m` perhaps.
    fn time(&self, json: &Value) -> Result<Timestamp, String> {
        let (steps, more) = match json.as_str() {
            Some(text) => match text.split_once('+') {
                Some((steps, more)) => {
                    (steps.trim().parse().map_err(|_| text.to_owned())?, duration(more.trim())?)
                }
                None => return Err(format!("no time: {text}")),
            },
            None => (json.as_u64().ok_or("no time")?, Duration::ZERO),
        };
        Ok(Timestamp::EPOCH + self.step * u32::try_from(steps).unwrap_or(u32::MAX) + more)
    }

    fn check(&mut self, case: &Value) -> Result<(), String> {
        let external = External::default();
        let mut sent = Vec::new();
        let mut at = Timestamp::EPOCH;
        while at < self.end {
            for index in 0..self.state.group().rules.len() {
                evaluate(&mut self.state, index, &mut self.memory, at, &external)?;
            }
            let now = self.state.alerts_to_send(at, self.resend_delay, &external);
            sent.extend(now.into_iter().map(|alert| Sent { at, alert }));
            self.check_shown(case, at)?;
            at = at + self.interval;
        }
        self.check_sent(case, &sent)
    }

    /// The alerts that are shown fit one of the states around this time.
    fn check_shown(&self, case: &Value, at: Timestamp) -> Result<(), String> {
        let view = self.state.view();
        let shown: Vec<&ActiveAlert> = view.rules.iter().flat_map(|rule| &rule.alerts).collect();
        let mut reasons = Vec::new();
        for entry in case["api_states"].as_array().into_iter().flatten() {
            let (from, to) = (self.time(&entry["from"])?, self.time(&entry["to"])?);
            if at + self.late < from || at > to + self.late {
                continue;
            }
            match self.fits(entry, &shown) {
                Ok(()) => return Ok(()),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(format!("at {at}: {}", reasons.join("; ")))
    }

    fn fits(&self, entry: &Value, shown: &[&ActiveAlert]) -> Result<(), String> {
        let wanted = entry["alerts"].as_array().cloned().unwrap_or_default();
        if wanted.len() != shown.len() {
            return Err(format!("{} alerts instead of {}", shown.len(), wanted.len()));
        }
        for alert in &wanted {
            let wanted_labels = labels(&alert["labels"]);
            let found = shown.iter().find(|shown| shown.labels == wanted_labels);
            let found = found.ok_or_else(|| format!("no alert {wanted_labels}"))?;
            let active_at = self.time(&alert["active_at"])?;
            let same = found.state.as_str() == text(alert, "state")
                && found.annotations == pairs(&alert["annotations"]).into_iter().collect()
                && model::format_float(found.value) == text(alert, "value")
                && found.state.since() >= active_at
                && found.state.since() <= active_at + self.late;
            if !same {
                return Err(format!("{found:?} instead of {alert}"));
            }
        }
        Ok(())
    }

    /// Everything that is sent is expected, and everything that is expected is sent in time.
    fn check_sent(&self, case: &Value, sent: &[Sent]) -> Result<(), String> {
        let mut known = vec![false; sent.len()];
        for entry in case["sent"].as_array().into_iter().flatten() {
            let (from, to) = (self.time(&entry["from"])?, self.time(&entry["to"])?);
            let resolved = entry["resolved"].as_bool().unwrap_or(false);
            let wanted: Labels = labels(&entry["labels"]);
            let mut times = Vec::new();
            for (message, known) in sent.iter().zip(&mut known) {
                let alert = &message.alert;
                let is_resolved = alert.ends_at <= message.at;
                let in_time = message.at >= from && message.at <= to + self.late;
                let same = alert.annotations == pairs(&entry["annotations"]).into_iter().collect();
                if alert.labels == wanted && is_resolved == resolved && in_time && same {
                    self.check_times(entry, message)?;
                    *known = true;
                    times.push(message.at);
                }
            }
            self.check_rhythm(&times, from, to.min(self.end), entry["first_is_new"] == true)
                .map_err(|what| format!("{wanted} from {from}: {what}"))?;
        }
        match sent.iter().zip(known).find(|(_, known)| !known) {
            Some((message, _)) => Err(format!("at {}: unexpected {:?}", message.at, message.alert)),
            None => Ok(()),
        }
    }

    fn check_times(&self, entry: &Value, message: &Sent) -> Result<(), String> {
        let alert = &message.alert;
        let near = |got: Timestamp, wanted: Timestamp| got >= wanted && got <= wanted + self.interval;
        if !near(alert.starts_at, self.time(&entry["starts_at"])?) {
            return Err(format!("starts at {} instead of {}", alert.starts_at, entry["starts_at"]));
        }
        let ends_well = match entry["ends_at"].is_null() {
            true => alert.ends_at == message.at + self.resend_delay.max(self.interval) * 4,
            false => near(alert.ends_at, self.time(&entry["ends_at"])?),
        };
        if ends_well {
            Ok(())
        } else {
            Err(format!("ends at {} instead of {}", alert.ends_at, entry["ends_at"]))
        }
    }

    /// One message at the start and one each resend delay, until the end.
    fn check_rhythm(
        &self,
        times: &[Timestamp],
        from: Timestamp,
        to: Timestamp,
        first_is_new: bool,
    ) -> Result<(), String> {
        let gap = self.resend_delay + self.late;
        let first_until = from + if first_is_new { self.late } else { gap };
        let Some(first) = times.first() else {
            // A state that is shorter than the tolerance may pass unseen.
            return if to.since(from) <= gap { Ok(()) } else { Err("nothing is sent".to_owned()) };
        };
        if *first > first_until {
            return Err(format!("first sent at {first}"));
        }
        for pair in times.windows(2) {
            if pair[1].since(pair[0]) > gap || pair[1].since(pair[0]) < self.resend_delay {
                return Err(format!("sent at {} and then at {}", pair[0], pair[1]));
            }
        }
        let last = times.last().copied().unwrap_or(from);
        if to.since(last) > gap { Err(format!("last sent at {last}, needed until {to}")) } else { Ok(()) }
    }
}

/// `"V"` is one sample, `"AxB"` are B samples, each A more than the one before.
fn values(json: &Value) -> Result<Vec<f64>, String> {
    let mut values: Vec<f64> = Vec::new();
    for text in json.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let number = |text: &str| text.parse::<f64>().map_err(|_| format!("no number: {text}"));
        match text.split_once('x') {
            None => values.push(number(text)?),
            Some((step, count)) => {
                let step = number(step)?;
                for _ in 0..number(count)? as usize {
                    values.push(values.last().copied().unwrap_or_default() + step);
                }
            }
        }
    }
    Ok(values)
}
