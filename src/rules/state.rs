//! A group at work: its rules, what they know, how they are doing.
//!
//! One owner evaluates the group: for each rule in order it asks [`Rule::condition`], hands the answer to
//! [`GroupState::apply`] and stores the rows that come out before it goes on to the next rule.

use std::sync::Arc;
use std::time::Duration;

use model::{Alert, PlantedBug, Timestamp};
use ports::{EvalError, Rejected, Row};
use template::TemplateError;

use crate::restore::as_of;
use crate::{
    Action, AlertChange, AlertState, AlertTracker, Evaluation, External, Found, GroupView, Health, Recalled,
    Recorder, RestoreLimits, Rule, RuleError, RuleGroup, RuleSnapshot, RuleStatus, RuleView, Snapshot,
    StateSample, TemplateQuery, link, raise,
};

/// A group at work.
#[derive(Clone, Debug)]
pub struct GroupState {
    group: Arc<RuleGroup>,
    rules: Vec<RuleState>,
    /// Rules that a reload took away, for as long as the end of their alerts has to be told.
    leaving: Vec<(Rule, AlertTracker)>,
    last_evaluation: Option<Timestamp>,
    evaluation_duration: Duration,
}

#[derive(Clone, Debug)]
struct RuleState {
    identity: String,
    work: Work,
    status: RuleStatus,
}

#[derive(Clone, Debug)]
enum Work {
    Record(Recorder),
    Alert(AlertTracker),
}

impl RuleState {
    fn new(rule: &Rule) -> Self {
        let work = match rule.action {
            Action::Record => Work::Record(Recorder::default()),
            Action::Alert { .. } => Work::Alert(AlertTracker::default()),
        };
        RuleState { identity: rule.identity(), work, status: RuleStatus::default() }
    }

    fn end(&mut self, at: Timestamp) -> Vec<Row> {
        match &mut self.work {
            Work::Record(recorder) => recorder.end(at),
            Work::Alert(tracker) => tracker.end(at),
        }
    }
}

/// What the evaluation of one rule did.
#[derive(Clone, Debug, Default)]
pub struct Evaluated {
    /// Samples to store before the next rule is evaluated.
    pub rows: Vec<Row>,
    /// Alerts that changed their state. If there are any, [`GroupState::snapshot`] is to be kept.
    pub changes: Vec<AlertChange>,
    /// Templates that failed; their alerts were raised with a text that says so.
    pub template_errors: Vec<TemplateError>,
}

impl GroupState {
    /// A group that knows nothing yet.
    pub fn new(group: Arc<RuleGroup>) -> Self {
        let rules = group.rules.iter().map(RuleState::new).collect();
        GroupState {
            group,
            rules,
            leaving: Vec::new(),
            last_evaluation: None,
            evaluation_duration: Duration::ZERO,
        }
    }

    /// The group.
    pub fn group(&self) -> &Arc<RuleGroup> {
        &self.group
    }

    /// The group after a reload. Rules of the same kind, name and labels keep what they know. Of rules that are gone the
    /// series end (the answer are their stale markers), and firing alerts are resolved, which
    /// [`GroupState::alerts_to_send`] tells.
    pub fn replace(&mut self, group: Arc<RuleGroup>, at: Timestamp) -> Vec<Row> {
        let before = std::mem::replace(&mut self.group, group);
        let mut old: Vec<(&Rule, RuleState)> =
            before.rules.iter().zip(std::mem::take(&mut self.rules)).collect();
        for rule in &self.group.rules {
            let identity = rule.identity();
            // The first of several equal ones goes to the first of several equal ones.
            let same = old.iter().position(|(_, state)| state.identity == identity);
            self.rules.push(match same {
                Some(position) => old.remove(position).1,
                None => RuleState::new(rule),
            });
        }
        let mut rows = Vec::new();
        for (rule, mut state) in old {
            rows.extend(state.end(at - before.query_offset));
            if let Work::Alert(mut tracker) = state.work
                && tracker.resolve_all(at)
            {
                self.leaving.push((rule.clone(), tracker));
            }
        }
        rows
    }

    /// Gives away what the rules with these identities know, because they moved to another group: their alerts do not end
    /// here, and neither do their series. [`GroupState::restore`] takes it in there.
    pub fn release(&mut self, identities: &[String], at: Timestamp) -> Snapshot {
        let mut rules = Vec::new();
        for state in self.rules.iter_mut().filter(|state| identities.contains(&state.identity)) {
            let Work::Alert(tracker) = &mut state.work else { continue };
            let alerts: Vec<_> = std::mem::take(tracker).all().cloned().collect();
            if !alerts.is_empty() {
                rules.push(RuleSnapshot { identity: state.identity.clone(), alerts });
            }
        }
        Snapshot { at, rules }
    }

    /// Stale markers for all series of the group: it is gone.
    pub fn end(&mut self, at: Timestamp) -> Vec<Row> {
        let at = at - self.group.query_offset;
        self.rules.iter_mut().flat_map(|state| state.end(at)).collect()
    }

    /// Takes in what the condition of rule number `index` found at `at`. An error changes nothing but the status.
    pub fn apply(
        &mut self,
        index: usize,
        found: Result<Found, EvalError>,
        at: Timestamp,
        took: Duration,
        external: &External,
        query: &mut TemplateQuery<'_>,
    ) -> Result<Evaluated, RuleError> {
        let group = Arc::clone(&self.group);
        let (Some(rule), Some(state)) = (group.rules.get(index), self.rules.get_mut(index)) else {
            return Ok(Evaluated::default());
        };
        let evaluation = Evaluation::of(&group, at, external);
        let found = match found {
            Err(_) if PlantedBug::FailedEvaluationFindsNothing.is_planted() => {
                Ok(Found::Findings(Vec::new()))
            }
            found => found,
        };
        let outcome = match (found, &mut state.work) {
            (Err(error), _) => Err(RuleError::Condition(error)),
            (Ok(found), Work::Record(recorder)) => recorder
                .record(rule, found, &evaluation)
                .map(|rows| Evaluated { rows, ..Evaluated::default() }),
            (Ok(found), Work::Alert(tracker)) => {
                let raised = raise(rule, found, &evaluation, query);
                tracker.apply(rule, raised.alerts, &evaluation).map(|updates| Evaluated {
                    rows: updates.rows,
                    changes: updates.changes,
                    template_errors: raised.template_errors,
                })
            }
        };
        state.status = RuleStatus {
            health: if outcome.is_ok() { Health::Ok } else { Health::Err },
            last_error: outcome.as_ref().err().map(ToString::to_string),
            last_evaluation: Some(at),
            evaluation_duration: took,
        };
        outcome
    }

    /// Remembers where the rows of rule number `index` were stored, so that its next ones are found faster.
    pub fn stored(&mut self, index: usize, rows: &[Row], outcome: &[Result<model::SeriesRef, Rejected>]) {
        match self.rules.get_mut(index).map(|state| &mut state.work) {
            Some(Work::Record(recorder)) => recorder.stored(rows, outcome),
            Some(Work::Alert(tracker)) => tracker.stored(rows, outcome),
            None => {}
        }
    }

    /// Notes the evaluation of the whole group.
    pub fn finish(&mut self, at: Timestamp, took: Duration) {
        self.last_evaluation = Some(at);
        self.evaluation_duration = took;
    }

    /// The alerts that those who are told should hear of now; see [`AlertTracker::alerts_to_send`]. Their labels are
    /// the rule's; [`crate::outgoing`] makes them what leaves this server.
    pub fn alerts_to_send(
        &mut self,
        now: Timestamp,
        resend_delay: Duration,
        external: &External,
    ) -> Vec<Alert> {
        let interval = self.group.interval;
        let mut alerts = Vec::new();
        let mut send = |rule: &Rule, tracker: &mut AlertTracker| {
            // Most rules have nothing to tell, and a link takes longer than the look.
            if !tracker.is_due(now, resend_delay) {
                return;
            }
            let source = link::generator_url(&external.url, rule).into();
            alerts.extend(tracker.alerts_to_send(now, resend_delay, interval, &source));
        };
        self.leaving.retain_mut(|(rule, tracker)| {
            send(rule, tracker);
            tracker.forget_old(now)
        });
        for (rule, state) in self.group.rules.iter().zip(&mut self.rules) {
            if let Work::Alert(tracker) = &mut state.work {
                send(rule, tracker);
            }
        }
        alerts
    }

    /// Everything that must survive a restart; small, and only different when an alert changed.
    pub fn snapshot(&self, at: Timestamp) -> Snapshot {
        let rules = self.rules.iter().filter_map(|state| match &state.work {
            Work::Alert(tracker) => {
                let alerts: Vec<_> = tracker.all().cloned().collect();
                (!alerts.is_empty()).then(|| RuleSnapshot { identity: state.identity.clone(), alerts })
            }
            Work::Record(_) => None,
        });
        Snapshot { at, rules: rules.collect() }
    }

    /// Puts a snapshot back. `alive_until`: when the process before this one is known to have lived, such as the time of
    /// the newest sample in storage; the snapshot's own time counts if it is later.
    pub fn restore(
        &mut self,
        snapshot: Snapshot,
        alive_until: Timestamp,
        now: Timestamp,
        limits: &RestoreLimits,
    ) {
        let interval = self.group.interval;
        let alive_until = alive_until.max(snapshot.at).min(now);
        let mut kept = snapshot.rules;
        // Times that have not come yet: the clock was set back since. They move with it.
        let times = kept.iter().flat_map(|rule| &rule.alerts).map(|alert| alert.state.latest());
        let newest = times.max().unwrap_or(snapshot.at).max(snapshot.at);
        let back = newest.as_millis().saturating_sub(now.as_millis());
        for (rule, state) in self.group.rules.iter().zip(&mut self.rules) {
            let Action::Alert { hold, .. } = rule.action else { continue };
            let Some(position) = kept.iter().position(|kept| kept.identity == state.identity) else {
                continue;
            };
            let mut alerts = kept.remove(position).alerts;
            for alert in alerts.iter_mut().filter(|_| back > 0) {
                alert.state = alert.state.earlier(back);
                // What fires has been found for long enough, whatever the clock says.
                if let AlertState::Firing { since, .. } = &mut alert.state {
                    *since = (*since).min(now - hold);
                }
            }
            if let Work::Alert(tracker) = &mut state.work {
                tracker.put_back(as_of(alerts, alive_until, now, interval, hold, limits), now);
            }
        }
    }

    /// Uses what `ALERTS_FOR_STATE` held before the restart, for rules of which no snapshot is left. Samples of all rules
    /// may be given to every group.
    pub fn recall(&mut self, samples: &[StateSample], limits: RestoreLimits) {
        for (rule, state) in self.group.rules.iter().zip(&mut self.rules) {
            if let Work::Alert(tracker) = &mut state.work {
                let of_rule =
                    samples.iter().filter(|sample| sample.labels.value(model::ALERT_NAME) == rule.name);
                tracker.recall(Recalled::new(of_rule.cloned().collect(), limits));
            }
        }
    }

    /// What identifies rule number `index` in a [`Snapshot`].
    pub fn identity(&self, index: usize) -> Option<&str> {
        self.rules.get(index).map(|state| state.identity.as_str())
    }

    /// The alerts of rule number `index`; `None` if it records.
    pub fn tracker(&self, index: usize) -> Option<&AlertTracker> {
        match &self.rules.get(index)?.work {
            Work::Alert(tracker) => Some(tracker),
            Work::Record(_) => None,
        }
    }

    /// The group as people see it.
    pub fn view(&self) -> GroupView {
        GroupView {
            group: Arc::clone(&self.group),
            rules: self.rules.iter().map(rule_view).collect(),
            last_evaluation: self.last_evaluation,
            evaluation_duration: self.evaluation_duration,
        }
    }
}

fn rule_view(state: &RuleState) -> RuleView {
    let (alerts, furthest) = match &state.work {
        Work::Alert(tracker) => (tracker.active().cloned().collect(), tracker.state()),
        Work::Record(_) => (Vec::new(), "inactive"),
    };
    RuleView { state: furthest, alerts, status: state.status.clone() }
}
