//! The other programs that post alerts, and when they learn what is true.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alerting::{AlertDraft, Event, ReplyTo};
use model::Timestamp;

use super::{Asked, MINUTE, World};
use crate::plan::{Name, POSTED};
use crate::setup::labels;

/// Alerts that ended, when, and until when that is posted, by the clock that nobody sets.
pub(super) type Ends = BTreeMap<Name, (Timestamp, u64)>;

/// For so long an end is posted again.
const ENDS_FOR: u64 = 15 * MINUTE;

/// A sender that looks at the world when it has just posted: what it posts was true a minute ago.
#[derive(Default)]
pub(super) struct SecondSender {
    fires: BTreeSet<Name>,
    ends: Ends,
}

impl World {
    /// The first sender posts what is true now.
    pub(super) fn post(&mut self) -> Result<(), String> {
        let now = self.now;
        self.ends_posted.retain(|_, (_, until)| now < *until);
        let fires = self.truth.iter().filter(|name| POSTED.contains(&name.alert)).copied().collect();
        let ends = self.ends_posted.clone();
        self.post_these(&fires, &ends)
    }

    /// The first sender learns that an alert ended.
    pub(super) fn post_end(&mut self, name: Name) -> Result<(), String> {
        self.ends_posted.insert(name, (self.wall(), self.now + ENDS_FOR));
        self.post()
    }

    /// The second sender posts what was true the last time, and looks again.
    pub(super) fn post_too(&mut self) -> Result<(), String> {
        let mut second = std::mem::take(&mut self.second);
        self.post_these(&second.fires, &second.ends)?;
        let (now, wall) = (self.now, self.wall());
        let fires: BTreeSet<Name> =
            self.truth.iter().filter(|name| POSTED.contains(&name.alert)).copied().collect();
        second.ends.retain(|name, (_, until)| now < *until && !fires.contains(name));
        second.ends.extend(second.fires.difference(&fires).map(|name| (*name, (wall, now + ENDS_FOR))));
        self.second = SecondSender { fires, ends: second.ends };
        Ok(())
    }

    fn post_these(&mut self, fires: &BTreeSet<Name>, ends: &Ends) -> Result<(), String> {
        if self.process.is_none() {
            return Ok(());
        }
        let wall = self.wall();
        let given_end = self.random.percent(50);
        let draft =
            |name: &Name, ends_at| AlertDraft { labels: labels(name), ends_at, ..AlertDraft::default() };
        let mut names = Vec::new();
        let mut alerts = Vec::new();
        for name in fires {
            alerts.push(draft(name, given_end.then_some(wall + Duration::from_secs(240))));
            names.push((*name, true));
        }
        for (name, (ended, _)) in ends {
            let ended = (*ended).min(wall);
            alerts.push(AlertDraft { starts_at: Some(ended.plus_millis(-1000)), ..draft(name, Some(ended)) });
            names.push((*name, false));
        }
        if alerts.is_empty() {
            return Ok(());
        }
        self.ordinal += 1;
        let reply = ReplyTo(self.ordinal);
        self.note(|| format!("posted {names:?}"));
        self.asked.insert(reply, Asked::Posted(names.clone()));
        self.step(Event::PostAlerts { alerts, reply })?;
        self.note_given(&names);
        Ok(())
    }
}
