//! The notification log: who was told what, and when; and from it, whether there is something to tell.
//!
//! In: what an integration was last told about a group, and what there is to tell now. Out: a [`Verdict`] with its reason.
//! An entry outlives its group for a while, so that a group that comes back is not told twice.
//! Start at [`plan_flush`].

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use model::{Fingerprint, NotifyReason, PlantedBug, Timestamp};

use crate::Few;
use crate::SkipReason;
use crate::group_key::sha256_hex;

/// One integration of one receiver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// The integration's kind.
    pub kind: Arc<str>,
    /// Its position among the receiver's integrations of that kind.
    pub index: usize,
}

impl Destination {
    fn is(&self, other: &Destination) -> bool {
        match PlantedBug::IntegrationsShareTheLog.is_planted() {
            true => self.receiver == other.receiver,
            false => self == other,
        }
    }
}

/// What an integration was last told about a group. Sets of fingerprints are sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When the other side accepted it.
    pub at: Timestamp,
    /// Why it was told.
    pub reason: NotifyReason,
    /// Alerts it was told fire.
    pub firing: Few<Fingerprint>,
    /// Alerts it was told ended.
    pub resolved: Few<Fingerprint>,
    /// Alerts it was told of before and that were muted this time: it does not know how they went on.
    pub held: Few<Fingerprint>,
    /// What the integration wanted to remember.
    pub remember: Option<String>,
    /// Until when this is kept after the group is gone.
    pub keep_until: Timestamp,
}

impl Told {
    /// Whether the integration believes that the alert fires.
    pub fn is_open(&self, alert: Fingerprint) -> bool {
        contains(&self.firing, alert) || contains(&self.held, alert)
    }
}

/// A message that is under way, or whose outcome is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// When the flush decided to send it.
    pub at: Timestamp,
    pub reason: NotifyReason,
    pub firing: Few<Fingerprint>,
    pub resolved: Few<Fingerprint>,
    /// From before a restart: it has to be sent again, as the same message.
    pub recovered: bool,
    /// It may have arrived, though nobody answered.
    pub in_doubt: bool,
}

impl Attempt {
    /// What names a message with this content that is decided on at `now_millis`: the time, and in the lowest bits what is
    /// told. A clock that is set back may come to the same moment again, and then tells something else.
    pub(crate) fn sequence_at(&self, now_millis: u64) -> u64 {
        const CONTENT_BITS: u32 = 16;
        let told = self.firing.iter().map(|alert| alert.0).chain(self.resolved.iter().map(|alert| !alert.0));
        let mixed = told
            .fold(0u64, |mixed, alert| (mixed.rotate_left(5) ^ alert).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (now_millis << CONTENT_BITS) | (mixed >> (u64::BITS - CONTENT_BITS))
    }

    /// Whether an integration that was told `told` hears something new, or was to be reminded.
    pub(crate) fn tells_more_than(&self, told: Option<&Told>) -> bool {
        let Some(told) = told else { return !self.firing.is_empty() };
        let reminds = self.reason == NotifyReason::RepeatIntervalElapsed && !self.firing.is_empty();
        reminds
            || self.firing.iter().any(|alert| !contains(&told.firing, *alert))
            || self.resolved.iter().any(|alert| told.is_open(*alert))
    }
}

/// What is known about one group at one integration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogEntry {
    /// Names the last message. Taken from the time and from what is told ([`Attempt::sequence_at`]), so that an id does not
    /// return after the entry was forgotten.
    pub sequence: u64,
    pub told: Option<Box<Told>>,
    pub attempt: Option<Box<Attempt>>,
    /// What was last given up. The same content again is the same message.
    pub failed: Option<Box<Attempt>>,
    /// What waited until now and certainly did not arrive. The same content again is the same message. Not written down:
    /// it is decided about in the same step.
    pub waited: Option<Box<Attempt>>,
    /// The last decision that was recorded: only changes are.
    pub skipped: Option<SkipReason>,
}

impl LogEntry {
    /// Id of the message with this entry's sequence.
    pub(crate) fn notification_id(&self, group: &str, destination: &Destination) -> Arc<str> {
        let Destination { receiver, kind, index } = destination;
        let numbers = format!("\0{index}\0{}", self.sequence);
        let texts = [group, "\0", receiver, "\0", kind, &numbers];
        sha256_hex(&texts.map(str::as_bytes), 32)
    }

    /// What the integration was told, as far as it is certain: of alerts whose end was in a message that was given up it
    /// may or may not believe that they fire.
    pub(crate) fn certain(&self) -> Option<Cow<'_, Told>> {
        let told = self.told.as_deref()?;
        let ended = self.failed.as_ref().map_or(&[][..], |failed| &failed.resolved);
        if !told.firing.iter().any(|alert| contains(ended, *alert)) {
            return Some(Cow::Borrowed(told));
        }
        let doubtful = told.firing.iter().copied().filter(|alert| contains(ended, *alert));
        let mut held: Few<_> = told.held.iter().copied().chain(doubtful).collect();
        held.sort_unstable();
        let firing = told.firing.iter().copied().filter(|alert| !contains(ended, *alert)).collect();
        Some(Cow::Owned(Told { firing, held, ..told.clone() }))
    }

    pub(crate) fn is_open(&self, alert: Fingerprint) -> bool {
        self.told.as_ref().is_some_and(|told| told.is_open(alert))
    }

    pub(crate) fn is_under_way(&self, alert: Fingerprint) -> bool {
        self.attempt
            .as_ref()
            .is_some_and(|attempt| contains(&attempt.firing, alert) || contains(&attempt.resolved, alert))
    }

    /// The other side accepted the message that is under way. `is_member` says which alerts are in the group still.
    pub(crate) fn accept(
        &mut self,
        now: Timestamp,
        remember: Option<String>,
        keep: Duration,
        is_member: impl Fn(Fingerprint) -> bool,
    ) {
        let Some(attempt) = self.attempt.take() else { return };
        let before = self.told.take();
        let mut held = Vec::new();
        if let Some(before) = &before {
            let known = before.firing.iter().chain(&before.held).copied();
            held.extend(known.filter(|alert| {
                is_member(*alert)
                    && !contains(&attempt.firing, *alert)
                    && !contains(&attempt.resolved, *alert)
            }));
            held.sort_unstable();
            held.dedup();
        }
        let remembered = match attempt.reason {
            NotifyReason::FirstNotification => None,
            _ => before.and_then(|told| told.remember),
        };
        self.told = Some(Box::new(Told {
            at: now,
            reason: attempt.reason,
            firing: attempt.firing,
            resolved: attempt.resolved,
            held: held.into_iter().collect(),
            remember: remember.or(remembered),
            keep_until: now + keep,
        }));
        self.failed = None;
    }

    /// The alert is no longer the integration's business. Says whether that changed anything.
    pub(crate) fn forget(&mut self, alert: Fingerprint) -> bool {
        let Some(told) = &mut self.told else { return false };
        let open = told.is_open(alert);
        told.firing.retain(|other| *other != alert);
        told.held.retain(|other| *other != alert);
        open
    }
}

/// Whether a sorted set contains an alert.
pub(crate) fn contains(sorted: &[Fingerprint], alert: Fingerprint) -> bool {
    sorted.binary_search(&alert).is_ok()
}

/// Whether there is something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Tell(NotifyReason),
    /// No.
    Keep(SkipReason),
}

/// Whether an integration that was told `told` has to hear of a group with these alerts, muted ones left out.
///
/// A group of which only ended alerts are left is told only if the integration knows of one of them. The end of the last
/// alert is a reason even for an integration that does not want to hear of ends: the log has to know.
pub fn plan_flush(
    told: Option<&Told>,
    firing: &[Fingerprint],
    resolved: &[Fingerprint],
    send_resolved: bool,
    repeat_interval: Duration,
    now: Timestamp,
) -> Verdict {
    let Some(told) = told else {
        return match firing {
            [] => Verdict::Keep(SkipReason::NeverTold),
            _ => Verdict::Tell(NotifyReason::FirstNotification),
        };
    };
    if firing.iter().any(|alert| !contains(&told.firing, *alert)) {
        // Everything it knew of had ended: this opens a new incident.
        let reason = match told.firing[..] {
            [] => NotifyReason::FirstNotification,
            _ => NotifyReason::NewAlertsInGroup,
        };
        return Verdict::Tell(reason);
    }
    let ended = resolved.iter().any(|alert| told.is_open(*alert));
    if firing.is_empty() {
        return match ended {
            true => Verdict::Tell(NotifyReason::AllAlertsResolved),
            false => Verdict::Keep(SkipReason::NeverTold),
        };
    }
    if send_resolved && ended {
        return Verdict::Tell(NotifyReason::NewResolvedAlerts);
    }
    if told.at < now - repeat_interval {
        return Verdict::Tell(NotifyReason::RepeatIntervalElapsed);
    }
    Verdict::Keep(SkipReason::Unchanged { repeat_after: told.at + repeat_interval })
}

/// Entries by group and integration.
#[derive(Debug, Default)]
pub(crate) struct NotificationLog {
    groups: HashMap<Arc<str>, Vec<(Destination, LogEntry)>>,
}

impl NotificationLog {
    pub(crate) fn get(&self, group: &str, destination: &Destination) -> Option<&LogEntry> {
        self.of_group(group).iter().find(|(other, _)| other.is(destination)).map(|(_, entry)| entry)
    }

    pub(crate) fn get_mut(&mut self, group: &str, destination: &Destination) -> Option<&mut LogEntry> {
        let entries = self.groups.get_mut(group)?;
        entries.iter_mut().find(|(other, _)| other.is(destination)).map(|(_, entry)| entry)
    }

    /// The entry, made if there is none.
    pub(crate) fn entry(&mut self, group: &Arc<str>, destination: &Destination) -> &mut LogEntry {
        // Most groups tell one integration.
        let entries = self.groups.entry(group.clone()).or_insert_with(|| Vec::with_capacity(1));
        let at = entries.iter().position(|(other, _)| other.is(destination)).unwrap_or_else(|| {
            entries.push((destination.clone(), LogEntry::default()));
            entries.len() - 1
        });
        &mut entries[at].1
    }

    /// All entries of a group.
    pub(crate) fn of_group(&self, group: &str) -> &[(Destination, LogEntry)] {
        self.groups.get(group).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn of_group_mut(&mut self, group: &str) -> &mut [(Destination, LogEntry)] {
        self.groups.get_mut(group).map_or(&mut [], Vec::as_mut_slice)
    }

    /// Drops the entries of a group that say nothing.
    pub(crate) fn drop_empty(&mut self, group: &str) {
        if let Some(entries) = self.groups.get_mut(group) {
            entries.retain(|(_, entry)| entry.told.is_some() || entry.attempt.is_some());
            if entries.is_empty() {
                self.groups.remove(group);
            }
        }
    }

    /// Drops the entries for which `keep` says no; returns them in a stable order.
    pub(crate) fn prune(
        &mut self,
        mut keep: impl FnMut(&str, &Destination, &LogEntry) -> bool,
    ) -> Vec<(Arc<str>, Destination)> {
        let mut dropped = Vec::new();
        self.groups.retain(|group, entries| {
            entries.retain(|(destination, entry)| {
                let kept = keep(group, destination, entry);
                if !kept {
                    dropped.push((group.clone(), destination.clone()));
                }
                kept
            });
            !entries.is_empty()
        });
        dropped.sort();
        dropped
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut LogEntry> {
        self.groups.values_mut().flatten().map(|(_, entry)| entry)
    }

    /// Messages under way for groups that do not exist, by `exists`, are given up: nobody could send them again as they
    /// were. They may have arrived.
    pub(crate) fn give_up_attempts(&mut self, exists: impl Fn(&str) -> bool) -> Vec<(Arc<str>, Destination)> {
        let mut dropped = Vec::new();
        for (group, entries) in self.groups.iter_mut().filter(|(group, _)| !exists(group)) {
            for (destination, entry) in entries {
                if let Some(attempt) = entry.attempt.take() {
                    entry.failed = Some(attempt);
                    dropped.push((group.clone(), destination.clone()));
                }
            }
        }
        dropped.sort();
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(alerts: &[u64]) -> Few<Fingerprint> {
        alerts.iter().map(|alert| Fingerprint(*alert)).collect()
    }

    fn told(firing: &[u64], held: &[u64], at: i64) -> Told {
        Told {
            at: Timestamp::from_secs(at),
            reason: NotifyReason::FirstNotification,
            firing: set(firing),
            resolved: Few::new(),
            held: set(held),
            remember: None,
            keep_until: Timestamp::MAX,
        }
    }

    fn check(
        told: Option<Told>,
        firing: &[u64],
        resolved: &[u64],
        send_resolved: bool,
        now: i64,
    ) -> &'static str {
        let hour = Duration::from_secs(3600);
        let now = Timestamp::from_secs(now);
        match plan_flush(told.as_ref(), &set(firing), &set(resolved), send_resolved, hour, now) {
            Verdict::Tell(reason) => reason.as_str(),
            Verdict::Keep(SkipReason::NeverTold) => "never told",
            Verdict::Keep(SkipReason::Unchanged { .. }) => "unchanged",
            Verdict::Keep(_) => "other",
        }
    }

    #[test]
    fn tells_what_is_new() {
        assert_eq!(check(None, &[1], &[], true, 0), "first notification");
        assert_eq!(check(Some(told(&[1], &[], 0)), &[1, 2], &[], true, 0), "new alerts added");
        assert_eq!(check(Some(told(&[], &[], 0)), &[1], &[], true, 0), "first notification");
        assert_eq!(check(Some(told(&[1, 2], &[], 0)), &[1], &[2], true, 0), "some alerts resolved");
        assert_eq!(check(Some(told(&[1, 2], &[], 0)), &[1], &[2], false, 0), "unchanged");
        assert_eq!(check(Some(told(&[1, 2], &[], 0)), &[], &[2], false, 0), "all alerts resolved");
    }

    #[test]
    fn repeats_only_after_the_interval() {
        assert_eq!(check(Some(told(&[1], &[], 0)), &[1], &[], true, 3600), "unchanged");
        assert_eq!(check(Some(told(&[1], &[], 0)), &[1], &[], true, 3601), "repeat interval elapsed");
    }

    #[test]
    fn never_says_that_something_ended_of_which_nobody_knew() {
        assert_eq!(check(None, &[], &[1], true, 0), "never told");
        assert_eq!(check(Some(told(&[], &[], 0)), &[], &[1], true, 0), "never told");
        assert_eq!(check(Some(told(&[1], &[], 0)), &[1], &[2], true, 0), "unchanged");
        assert_eq!(check(Some(told(&[1], &[], 0)), &[], &[2], true, 0), "never told");
        assert_eq!(check(Some(told(&[1], &[2], 0)), &[1], &[2], true, 0), "some alerts resolved");
    }

    #[test]
    fn remembers_who_was_left_out_while_muted() {
        let mut entry = LogEntry { told: Some(Box::new(told(&[1, 2, 3], &[], 0))), ..Default::default() };
        entry.attempt = Some(Box::new(Attempt {
            at: Timestamp::from_secs(5),
            reason: NotifyReason::RepeatIntervalElapsed,
            firing: set(&[1]),
            resolved: Few::new(),
            recovered: false,
            in_doubt: false,
        }));
        // 2 is muted, 3 left the group.
        entry.accept(Timestamp::from_secs(6), Some("m".into()), Duration::ZERO, |a| a == Fingerprint(2));
        let told = entry.told.as_ref().unwrap();
        assert_eq!((&told.firing, &told.held, told.remember.as_deref()), (&set(&[1]), &set(&[2]), Some("m")));
        assert!(entry.forget(Fingerprint(2)) && !entry.forget(Fingerprint(2)));
    }

    #[test]
    fn what_is_told_at_the_same_moment_by_a_clock_that_was_set_back_has_another_id() {
        let attempt = |firing: &[u64], resolved: &[u64]| Attempt {
            at: Timestamp::from_secs(5),
            reason: NotifyReason::FirstNotification,
            firing: set(firing),
            resolved: set(resolved),
            recovered: false,
            in_doubt: false,
        };
        let at = |millis, firing: &[u64], resolved: &[u64]| attempt(firing, resolved).sequence_at(millis);
        assert_eq!(at(7, &[1, 2], &[3]), at(7, &[1, 2], &[3]));
        let others = [at(7, &[1], &[]), at(7, &[], &[1]), at(7, &[1, 2], &[]), at(7, &[2], &[])];
        let distinct: std::collections::BTreeSet<u64> = others.into_iter().collect();
        assert_eq!(distinct.len(), others.len());
        // Later is more, whatever is told.
        assert!(others.iter().all(|other| *other < at(8, &[1], &[]) && *other < at(8, &[], &[])));
    }

    #[test]
    fn ids_name_a_message_not_an_attempt() {
        let to = Destination { receiver: "r".into(), kind: "k".into(), index: 0 };
        let mut entry = LogEntry { sequence: 5, ..Default::default() };
        let id = entry.notification_id("g", &to);
        assert_eq!(id, entry.notification_id("g", &to));
        assert_eq!(id.len(), 32);
        entry.sequence = 6;
        assert_ne!(id, entry.notification_id("g", &to));
        assert_ne!(entry.notification_id("g", &to), entry.notification_id("h", &to));
    }
}
