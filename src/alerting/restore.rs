//! After a restart: everything that was written down comes back, nothing that was told is told again, and what was under
//! way is told again as the same message.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Alert, AlertStatus, PlantedBug, Timestamp};

use crate::alerting::Alerting;
use crate::intake::{after_clock_went_back, grace_end};
use crate::record::{self, AlertRecord, GroupRecord, Key, RecordError};
use crate::timers::Timer;
use crate::{AlertingConfig, Silence, notification_log::LogEntry};

/// What came back, and what did not.
#[derive(Debug)]
pub struct Restored {
    /// The state machine, ready to go on.
    pub alerting: Alerting,
    /// Records that could not be read, by key. They stay where they are.
    pub problems: Vec<(Vec<u8>, RecordError)>,
}

enum Record {
    Alert(AlertRecord),
    Group(Arc<str>, GroupRecord),
    Log(LogEntry),
    Silence(Silence),
}

fn decode(key: &Key, value: &[u8]) -> Result<Record, RecordError> {
    Ok(match key {
        Key::Alert(labels) => Record::Alert(record::decode_alert(labels.clone(), value)?),
        Key::Group(key) => Record::Group(key.clone(), record::decode_group(value)?),
        Key::Log(..) => Record::Log(record::decode_log(value)?),
        Key::Silence(id) => Record::Silence(record::decode_silence(id.clone(), value)?),
    })
}

impl Alerting {
    /// Goes on where another process stopped, from the values that are durable, in any order.
    pub fn restore(
        config: Arc<AlertingConfig>,
        now: Timestamp,
        records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Restored {
        let mut alerting = Alerting::new(config, now);
        let mut problems = Vec::new();
        let (mut alerts, mut groups) = (Vec::new(), BTreeMap::new());
        let mut ordered: Vec<_> = records.into_iter().collect();
        ordered.sort();
        for (key_bytes, value) in ordered {
            let read = Key::decode(&key_bytes).and_then(|key| Ok((decode(&key, &value)?, key)));
            match read {
                Ok((Record::Alert(alert), _)) => alerts.push(alert),
                Ok((Record::Group(key, group), _)) => {
                    groups.insert(key, group);
                }
                Ok((Record::Log(mut entry), Key::Log(group, to))) => {
                    if let Some(told) = &mut entry.told {
                        told.at = told.at.min(now);
                    }
                    *alerting.log.entry(&group, &to) = entry;
                }
                Ok((Record::Log(_), _)) => {}
                Ok((Record::Silence(silence), _)) => {
                    // Made by a clock that was set back since: what muted then mutes now.
                    let back = Some(silence.updated_at).filter(|at| *at > now);
                    let moved = back.and_then(|before| silence.after_clock_went_back(before, now));
                    let silence = moved.unwrap_or(silence);
                    alerting.watch_silence(&silence);
                    alerting.silences.put(Arc::new(silence), now);
                }
                Err(error) => problems.push((key_bytes, error)),
            }
        }
        for alert in alerts {
            alerting.restore_alert(alert);
        }
        alerting.restore_timers(groups);
        // What nobody needs any more leaves in the first step.
        alerting.timers.set(Timer::PruneLog, now);
        Restored { alerting, problems }
    }

    fn restore_alert(&mut self, AlertRecord { mut alert, ended }: AlertRecord) {
        // The clock may have been set back meanwhile.
        if alert.updated_at > self.now {
            alert = after_clock_went_back(&alert, ended, alert.updated_at, self.now);
        }
        let end = match ended {
            true => alert.ends_at,
            false if PlantedBug::OutageEndsAlerts.is_planted() => alert.ends_at.min(self.now),
            // Nobody heard its sender meanwhile: that it was not repeated does not mean that it ended.
            false => alert.ends_at.max(grace_end(&alert, self.now, self.config.resolve_timeout)),
        };
        let (labels, written) = (alert.labels.clone(), alert.ends_at);
        let id = self.add_alert(Alert { ends_at: end, ..alert }, ended);
        self.alerts.get_mut(id).written_end = Some(written);
        match self.alerts.get(id).status(self.now) {
            AlertStatus::Firing => self.join_groups(id),
            AlertStatus::Resolved => self.rejoin_where_open(id),
        }
        if self.alerts.get(id).groups.is_empty() {
            self.alerts.get_mut(id).written_end = None;
            self.commits.put(Key::Alert(labels), None);
        }
    }

    fn restore_timers(&mut self, mut records: BTreeMap<Arc<str>, GroupRecord>) {
        for id in self.groups.ids() {
            let key = self.groups.get(id).key.clone();
            let under_way = self.log.of_group(&key).iter().any(|(_, entry)| entry.attempt.is_some());
            let record = records.remove(&key);
            if let Some(record) = record {
                self.groups.get_mut(id).flushed = record.flushed;
            }
            let at = match record {
                Some(record) if PlantedBug::GroupWaitsAgainAfterRestart.is_planted() && !record.flushed => {
                    self.now + self.config.routes.route(self.groups.get(id).route).group_wait
                }
                _ if under_way => self.now,
                // A flush that may have been missed is made up for: the log knows what was told. One that is further away
                // than a group waits was planned by another clock.
                Some(record) => {
                    let route = self.config.routes.route(self.groups.get(id).route);
                    let longest = match record.flushed {
                        true => route.group_interval.max(route.group_wait),
                        false => route.group_wait,
                    };
                    record.next_flush.clamp(self.now, self.now + longest)
                }
                None => self.groups.get(id).next_flush,
            };
            self.set_flush(id, at.max(self.quiet_until));
        }
        for key in records.into_keys() {
            self.commits.put(Key::Group(key), None);
        }
        for (group, to) in self.log.give_up_attempts(|key| self.groups.find(key).is_some()) {
            self.write_log(&group, &to);
        }
    }
}
