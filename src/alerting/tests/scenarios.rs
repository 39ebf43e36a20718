//! Runs `tests/scenarios/*.scenario`: alert lifecycles in simulated time, as text.
//!
//! Lines before the first `at` or `by` describe the configuration; later ones do so again, for the next `reload`.
//!
//! ```text
//! config    KEY: VALUE …             of the root route (group_by, group_wait, …), or resolve_timeout, start_delay
//! receiver  NAME: KIND, KIND(no-resolved)          without any: `ops: webhook`; the first one is the root's
//! route     [>…] {MATCHERS} to NAME KEY: VALUE …   a `>` for each level below the first
//! interval  NAME HH:MM-HH:MM, … [WEEKDAYS] [ZONE]
//! inhibit   {MATCHERS} mutes {MATCHERS} equal [LABEL, …]
//!
//! at TIME   fire NAME{LABELS} [since TIME]   a rule finds it, and goes on until `resolve`
//!           resolve NAME{LABELS}
//!           post NAME{LABELS} [starts TIME] [ends TIME]     a sender says so, once
//!           silence {MATCHERS} for DURATION [as NAME]
//!           extend NAME for DURATION         another end for a silence
//!           expire NAME
//!           reload
//!           crash [for DURATION] [clock DURATION] [reload]   comes back with what is durable, by another clock, or with
//!                                            another configuration
//!           clock DURATION                   the clock is set forward, or back with a leading `-`
//!           disk fails|works|hangs
//!           RECEIVER/KIND fails|works|hangs
//!           RECEIVER/KIND busy|mute for DURATION    asks everybody to wait until then; or takes messages without answering, and
//!                                                   they are sent again then
//!           alert SHORT is active|silenced|inhibited|muted|unprocessed|gone
//!           expect RECEIVER[/KIND]: REASON [firing SHORT, …] [resolved SHORT, …] [id same|new]
//! by TIME   expect …                         the same, at any time since the line before
//!           nothing                          no message until then
//! ```
//!
//! The short name of an alert is the value of the last label that is written, or its name. Every message has to be
//! expected: one that is not fails the scenario as soon as time goes on. Those of one moment come in any order.

mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alerting::{
    AlertDraft, AlertState, AlertingConfig, AlertingView, Answer, Census, Event, GroupBy, InhibitRule,
    MatcherMode, MinuteRange, RouteSpec, RouteTree, SilenceDraft, SilenceId, TimeInterval, Zone,
    parse_matchers, parse_weekdays,
};
use model::{AlertStatus, Annotations, Labels, MatchOp, Matcher, Notification, Timestamp, parse_duration};
use world::{DiskManner, Manner, START, World};

type Outcome<T = ()> = Result<T, String>;

#[derive(Default)]
struct Description {
    root: RouteSpec,
    receivers: Vec<alerting::Receiver>,
    intervals: BTreeMap<String, Vec<TimeInterval>>,
    inhibit: Vec<InhibitRule>,
    resolve_timeout: Option<Duration>,
    start_delay: Duration,
}

impl Description {
    fn config(&self) -> Outcome<AlertingConfig> {
        let mut receivers = self.receivers.clone();
        if receivers.is_empty() {
            receivers.push(world::receiver("ops", &[("webhook", true)]));
        }
        let mut root = self.root.clone();
        root.receiver = Some(receivers[0].name.to_string());
        let problems = AlertingConfig::check(&root, &receivers, &self.intervals);
        if !problems.is_empty() {
            return Err(format!("{problems:?}"));
        }
        let mut config = AlertingConfig::new(RouteTree::build(&root), receivers);
        config.time_intervals = self.intervals.clone();
        config.inhibit_rules = self.inhibit.clone();
        config.start_delay = self.start_delay;
        config.resolve_timeout = self.resolve_timeout.unwrap_or(config.resolve_timeout);
        Ok(config)
    }

    /// Reads a line; `false` if it is not about the configuration.
    fn line(&mut self, word: &str, rest: &str) -> Outcome<bool> {
        match word {
            "config" => {
                for (key, value) in settings(rest)? {
                    match key {
                        "resolve_timeout" => self.resolve_timeout = Some(duration(value)?),
                        "start_delay" => self.start_delay = duration(value)?,
                        _ => route_setting(&mut self.root, key, value)?,
                    }
                }
            }
            "receiver" => {
                let (name, kinds) = rest.split_once(':').ok_or("receiver NAME: KIND, …")?;
                let kinds: Vec<(&str, bool)> = kinds
                    .split(',')
                    .map(str::trim)
                    .filter(|kind| !kind.is_empty())
                    .map(|kind| match kind.strip_suffix("(no-resolved)") {
                        Some(kind) => (kind, false),
                        None => (kind, true),
                    })
                    .collect();
                self.receivers.push(world::receiver(name.trim(), &kinds));
            }
            "route" => {
                let after = rest.trim_start_matches(['>', ' ']);
                let depth = rest[..rest.len() - after.len()].matches('>').count();
                let (matchers, after) = braces(after)?;
                let mut words = after.trim();
                let mut route = RouteSpec { matchers, ..Default::default() };
                if let Some(named) = words.strip_prefix("to ") {
                    let end = named.find(' ').unwrap_or(named.len());
                    route.receiver = Some(named[..end].to_owned());
                    words = named[end..].trim();
                }
                for (key, value) in settings(words)? {
                    route_setting(&mut route, key, value)?;
                }
                let mut parent = &mut self.root;
                for _ in 0..depth {
                    parent = parent.routes.last_mut().ok_or("a route below nothing")?;
                }
                parent.routes.push(route);
            }
            "interval" => {
                let mut words = rest.split_whitespace();
                let name = words.next().ok_or("interval NAME …")?;
                let mut interval = TimeInterval::default();
                for word in words {
                    let word = word.trim_end_matches(',');
                    if let Some((start, end)) = word.split_once('-') {
                        let range = MinuteRange::parse(start, end).map_err(|e| e.to_string())?;
                        interval.times.get_or_insert_default().push(range);
                    } else if let Ok(days) = parse_weekdays(word) {
                        interval.weekdays.get_or_insert_default().push(days);
                    } else {
                        interval.location = Zone::parse(word, &Zone::utc()).map_err(|e| e.to_string())?;
                    }
                }
                self.intervals.entry(name.to_owned()).or_default().push(interval);
            }
            "inhibit" => {
                let (source, after) = braces(rest)?;
                let (target, after) = braces(after.trim().strip_prefix("mutes").ok_or("… mutes …")?)?;
                let equal = after.trim().strip_prefix("equal").unwrap_or_default();
                self.inhibit.push(InhibitRule {
                    name: String::new(),
                    source_matchers: source,
                    target_matchers: target,
                    equal: list(equal).into_iter().map(str::to_owned).collect(),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// `key: value key: [a, b]`.
fn settings(text: &str) -> Outcome<Vec<(&str, &str)>> {
    let (mut found, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':').ok_or(format!("`{rest}` is not KEY: VALUE"))?;
        let after = after.trim_start();
        let end = match after.starts_with('[') {
            true => after.find(']').ok_or("no closing bracket")? + 1,
            false => after.find(' ').unwrap_or(after.len()),
        };
        found.push((key.trim(), after[..end].trim()));
        rest = after[end..].trim();
    }
    Ok(found)
}

fn list(text: &str) -> Vec<&str> {
    let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
    inner.split(',').map(|item| item.trim().trim_matches('\'')).filter(|item| !item.is_empty()).collect()
}

fn route_setting(route: &mut RouteSpec, key: &str, value: &str) -> Outcome {
    let names = || list(value).into_iter().map(str::to_owned).collect();
    match key {
        "group_by" => route.group_by = Some(GroupBy::parse(&list(value), MatcherMode::Fallback)?),
        "group_wait" => route.group_wait = Some(duration(value)?),
        "group_interval" => route.group_interval = Some(duration(value)?),
        "repeat_interval" => route.repeat_interval = Some(duration(value)?),
        "continue" => route.continue_matching = value == "true",
        "mute" => route.mute_time_intervals = names(),
        "active" => route.active_time_intervals = names(),
        _ => return Err(format!("unknown key `{key}`")),
    }
    Ok(())
}

fn duration(text: &str) -> Outcome<Duration> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// By how much a clock is set, and whether back.
fn clock_step(text: &str) -> Outcome<(bool, Duration)> {
    let (back, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    Ok((back, duration(text)?))
}

/// A list of matchers in braces at the start, and what follows.
fn braces(text: &str) -> Outcome<(Vec<Matcher>, &str)> {
    let text = text.trim_start();
    let end = text.find('}').ok_or(format!("`{text}`: no matchers in braces"))? + 1;
    let matchers = parse_matchers(&text[..end], MatcherMode::Fallback).map_err(|error| error.to_string())?;
    Ok((matchers, &text[end..]))
}

/// `NAME{label="value"}` at the start: labels and short name, and what follows.
fn alert(text: &str) -> Outcome<(Labels, String, &str)> {
    let text = text.trim_start();
    let name_ends = text.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(text.len());
    let (name, after) = text.split_at(name_ends);
    let (matchers, after) = match after.starts_with('{') {
        true => braces(after)?,
        false => (Vec::new(), after),
    };
    if matchers.iter().any(|matcher| matcher.op() != MatchOp::Equal) {
        return Err("labels are written with `=`".to_owned());
    }
    let short = matchers.last().map_or(name, |matcher| matcher.pattern()).to_owned();
    let pairs = matchers.iter().map(|m| (m.name().to_owned(), m.pattern().to_owned()));
    let labels = Labels::from_pairs(pairs.chain([("alertname".to_owned(), name.to_owned())]));
    Ok((labels, short, after))
}

struct Run {
    description: Description,
    world: Option<World>,
    shorts: BTreeMap<Labels, String>,
    silences: BTreeMap<String, SilenceId>,
    /// The time of the line before.
    since: Timestamp,
    last_id: Option<std::sync::Arc<str>>,
    fresh: usize,
}

impl Run {
    fn line(&mut self, line: &str) -> Outcome {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if word != "at" && word != "by" {
            return match self.description.line(word, rest)? {
                true => Ok(()),
                false => Err(format!("`{word}`?")),
            };
        }
        if self.world.is_none() {
            self.world = Some(World::new(self.description.config()?));
        }
        let (time, action) = rest.trim().split_once(char::is_whitespace).ok_or("TIME and an action")?;
        let time = START + duration(time)?;
        let action = action.trim();
        if time < self.since {
            return Err("time goes on".to_owned());
        }
        self.advance(time, word == "by")?;
        let result = match (word, action.split_once(char::is_whitespace)) {
            (_, Some(("expect", expected))) => self.expect(expected.trim(), (word == "at").then_some(time)),
            ("by", _) if action == "nothing" => self.nothing_more(Timestamp::MAX),
            ("by", _) => Err("`by` goes with `expect` or `nothing`".to_owned()),
            (_, parts) => {
                let (verb, rest) = parts.unwrap_or((action, ""));
                self.act(verb, rest.trim())
            }
        };
        // The clock may have been set back.
        self.since = time.min(self.world().now);
        result
    }

    fn world(&mut self) -> &mut World {
        self.world.as_mut().expect("made before the first action")
    }

    /// Lets time pass; messages before it that nobody expected are a failure.
    fn advance(&mut self, time: Timestamp, any_time: bool) -> Outcome {
        self.world().run_until(time);
        match any_time {
            true => Ok(()),
            false => self.nothing_more(time),
        }
    }

    fn nothing_more(&mut self, before: Timestamp) -> Outcome {
        match self.world().sent.first().filter(|(at, _)| *at < before).cloned() {
            Some((at, message)) => Err(format!("not expected: {}", self.show(at, &message))),
            None => Ok(()),
        }
    }

    fn show(&self, at: Timestamp, message: &Notification) -> String {
        let mut text = format!("at {:?}, {}/{}: ", at.since(START), message.receiver, message.integration);
        text.push_str(reason(message));
        for (status, word) in [(AlertStatus::Firing, "firing"), (AlertStatus::Resolved, "resolved")] {
            let names: Vec<_> = message
                .alerts
                .iter()
                .filter(|alert| alert.status == status)
                .map(|alert| self.shorts.get(&alert.labels).cloned().unwrap_or(alert.labels.to_string()))
                .collect();
            if !names.is_empty() {
                let _ = write!(text, " {word} {}", names.join(", "));
            }
        }
        text
    }

    fn expect(&mut self, expected: &str, exactly: Option<Timestamp>) -> Outcome {
        let (expected, id) = match expected.split_once(" id ") {
            Some((expected, id)) => (expected, Some(id.trim())),
            None => (expected, None),
        };
        let messages = self.world().sent.clone();
        let Some((first_at, first)) = messages.first() else {
            return Err("there is no message".to_owned());
        };
        if exactly.is_some_and(|time| time != *first_at) {
            return Err(format!("another time: {}", self.show(*first_at, first)));
        }
        let fits = |(at, message): &(Timestamp, Notification)| {
            at == first_at && self.is_shown_as(*at, message, expected)
        };
        let Some(position) = messages.iter().position(fits) else {
            return Err(format!("another message: {}", self.show(*first_at, first)));
        };
        let (_, message) = self.world().sent.remove(position);
        let same = self.last_id.as_ref() == Some(&message.id);
        self.last_id = Some(message.id);
        match id {
            Some("same") if !same => Err("another id".to_owned()),
            Some("new") if same => Err("the same id".to_owned()),
            _ => Ok(()),
        }
    }

    fn is_shown_as(&self, at: Timestamp, message: &Notification, expected: &str) -> bool {
        let normal = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown = self.show(at, message);
        let (_, content) = shown.split_once(", ").expect("a time comes first");
        // The kind may be left out.
        let without_kind = content.replacen(&format!("/{}:", message.integration), ":", 1);
        [normal(content), normal(&without_kind)].contains(&normal(expected))
    }

    fn act(&mut self, verb: &str, rest: &str) -> Outcome {
        match verb {
            "fire" => {
                let (labels, short, after) = alert(rest)?;
                let starts_at = self.option(after, "since")?.unwrap_or(self.world().now);
                self.shorts.insert(labels.clone(), short);
                self.world().fire(labels, Annotations::new(), starts_at);
            }
            "resolve" => {
                let (labels, ..) = alert(rest)?;
                self.world().resolve(&labels);
            }
            "post" => {
                let (labels, short, after) = alert(rest)?;
                self.shorts.insert(labels.clone(), short);
                let (starts_at, ends_at) = (self.option(after, "starts")?, self.option(after, "ends")?);
                let draft = AlertDraft { labels, starts_at, ends_at, ..Default::default() };
                let reply = self.world().reply();
                self.world().happen(Event::PostAlerts { alerts: vec![draft], reply });
                match self.world().answers.get(&reply) {
                    Some(Answer::Alerts(answer)) if answer.refused.is_empty() => {}
                    other => return Err(format!("{other:?}")),
                }
            }
            "silence" => self.silence(rest)?,
            "extend" => self.extend(rest)?,
            "expire" => {
                let id = self.silences.get(rest).cloned().ok_or("no such silence")?;
                let reply = self.world().reply();
                self.world().happen(Event::ExpireSilence { id, reply });
            }
            "reload" => {
                let config = self.description.config()?;
                self.world().reload(config);
            }
            "crash" => {
                let config = rest.contains("reload").then(|| self.description.config()).transpose()?;
                self.world().config = config.map_or(self.world().config.clone(), Arc::new);
                let rest = rest.trim_end_matches("reload").trim();
                let (pause, clock) = rest.split_once("clock ").unwrap_or((rest, "0s"));
                let pause = pause.trim().strip_prefix("for ").map(duration).transpose()?.unwrap_or_default();
                let (back, by) = clock_step(clock)?;
                self.world().crash(pause, back, by);
            }
            "clock" => {
                let (back, by) = clock_step(rest)?;
                self.world().set_clock(back, by);
            }
            "disk" => {
                let manner = match rest {
                    "works" => DiskManner::Works,
                    "fails" => DiskManner::Fails,
                    "hangs" => DiskManner::Hangs,
                    _ => return Err(format!("`{rest}`?")),
                };
                self.world().set_disk(manner);
            }
            "alert" => self.check_state(rest)?,
            name if name.contains('/') => {
                let now = self.world().now;
                let until = |length: &str| duration(length).map(|length| now + length);
                let manner = match rest.split_once(" for ") {
                    None if rest == "works" => Manner::Accepts,
                    None if rest == "fails" => Manner::Fails,
                    None if rest == "hangs" => Manner::Hangs,
                    Some(("busy", length)) => Manner::Busy(until(length)?),
                    Some(("mute", length)) => Manner::Mute(until(length)?),
                    _ => return Err(format!("`{rest}`?")),
                };
                self.world().set_manner(name, manner);
            }
            _ => return Err(format!("`{verb}`?")),
        }
        Ok(())
    }

    /// A time behind a word.
    fn option(&self, text: &str, word: &str) -> Outcome<Option<Timestamp>> {
        let mut words = text.split_whitespace();
        while let Some(found) = words.next() {
            if found == word {
                let text = words.next().ok_or(format!("{word} TIME"))?;
                return match text.strip_prefix('-') {
                    Some(text) => Ok(Some(START - duration(text)?)),
                    None => Ok(Some(START + duration(text)?)),
                };
            }
        }
        Ok(None)
    }

    fn silence(&mut self, rest: &str) -> Outcome {
        let (matchers, after) = braces(rest)?;
        let mut words = after.split_whitespace();
        let (Some("for"), Some(length)) = (words.next(), words.next()) else {
            return Err("silence {MATCHERS} for DURATION".to_owned());
        };
        self.fresh += 1;
        let fresh = SilenceId::new(&format!("silence-{}", self.fresh));
        let now = self.world().now;
        let draft = SilenceDraft {
            matcher_sets: vec![matchers],
            ends_at: Some(now + duration(length)?),
            ..Default::default()
        };
        let reply = self.world().reply();
        self.world().happen(Event::PutSilence { draft, fresh_id: fresh, reply });
        match (self.world().answers.remove(&reply), words.next(), words.next()) {
            (Some(Answer::Silence(Ok(id))), Some("as"), Some(name)) => {
                self.silences.insert(name.to_owned(), id);
            }
            (Some(Answer::Silence(Ok(_))), None, None) => {}
            (Some(Answer::Silence(Err(_))), Some("refused"), None) => {}
            other => return Err(format!("{other:?}")),
        }
        Ok(())
    }

    fn extend(&mut self, rest: &str) -> Outcome {
        let (name, length) = rest.split_once(" for ").ok_or("extend NAME for DURATION")?;
        let id = self.silences.get(name.trim()).cloned().ok_or("no such silence")?;
        let now = self.world().now;
        let view = self.world().alerting.view(now);
        let silence = view.silence(&id).ok_or("the silence is gone")?.silence.clone();
        let draft = SilenceDraft {
            id: Some(id.clone()),
            matcher_sets: silence.matcher_sets.clone(),
            starts_at: Some(silence.starts_at),
            ends_at: Some(now + duration(length)?),
            ..Default::default()
        };
        let reply = self.world().reply();
        self.world().happen(Event::PutSilence { draft, fresh_id: id, reply });
        Ok(())
    }

    fn check_state(&mut self, rest: &str) -> Outcome {
        let (short, expected) = rest.split_once(" is ").ok_or("alert SHORT is STATE")?;
        let now = self.world().now;
        let view = self.world().alerting.view(now);
        check_census(&self.world().alerting.census(now), &view)?;
        let labels = self.shorts.iter().find(|(_, name)| *name == short).map(|(labels, _)| labels);
        let position =
            labels.and_then(|labels| view.alerts.iter().position(|alert| alert.alert.labels == *labels));
        let muted =
            |at| view.groups.iter().any(|group| group.alerts.contains(at) && !group.muted_by.is_empty());
        let state = match position.map(|at| &view.alerts[at]) {
            None => "gone",
            Some(alert) if !alert.inhibited_by.is_empty() => "inhibited",
            Some(alert) if !alert.silenced_by.is_empty() => "silenced",
            Some(alert) if alert.state == AlertState::Unprocessed => "unprocessed",
            Some(_) if position.as_ref().is_some_and(muted) => "muted",
            Some(_) => "active",
        };
        if state == expected.trim() { Ok(()) } else { Err(format!("it is {state}")) }
    }
}

/// What is counted is what is listed.
fn check_census(census: &Census, view: &AlertingView) -> Outcome {
    let listed = |state| view.alerts.iter().filter(|alert| alert.state == state).count() as u64;
    for (state, count) in census.alerts() {
        if listed(state) != count {
            return Err(format!(
                "{count} alerts are counted as {}, {} are listed",
                state.as_str(),
                listed(state)
            ));
        }
    }
    if (census.version, census.holds_until) != (view.version, view.holds_until) {
        return Err("what is counted holds for another time than what is listed".to_owned());
    }
    Ok(())
}

fn reason(message: &Notification) -> &'static str {
    use model::NotifyReason::*;
    match message.reason {
        FirstNotification => "first-notification",
        NewAlertsInGroup => "new-alerts",
        NewResolvedAlerts => "new-resolved",
        AllAlertsResolved => "all-resolved",
        RepeatIntervalElapsed => "repeat-interval",
    }
}

fn run(text: &str) -> Outcome {
    let mut run = Run {
        description: Description::default(),
        world: None,
        shorts: BTreeMap::new(),
        silences: BTreeMap::new(),
        since: START,
        last_id: None,
        fresh: 0,
    };
    for (number, line) in text.lines().enumerate() {
        let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
        if !line.is_empty() {
            run.line(line).map_err(|error| format!("line {}: {line}: {error}", number + 1))?;
        }
    }
    if run.world.is_some() { run.nothing_more(Timestamp::MAX) } else { Ok(()) }
}

#[test]
fn scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "scenario"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no scenarios in {}", folder.display());
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if let Err(error) = run(&std::fs::read_to_string(&file).unwrap()) {
            failures.push(format!("{name}: {error}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The runner itself: what it must not let pass.
#[test]
fn a_wrong_scenario_fails() {
    let fire = "config group_wait: 30s\nat 0s fire A{x=\"a\"}\n";
    for wrong in [
        "by 1m nothing",
        "at 31s expect ops: first-notification firing a",
        "at 30s expect ops: first-notification firing b",
        "at 30s expect ops: new-alerts firing a",
        "by 29s expect ops: first-notification firing a",
        "at 5m alert a is active",
        "at 30s expect ops: first-notification firing a\nat 30s expect ops: first-notification firing a",
        "at 1s alert a is gone",
        "at 1s nonsense",
    ] {
        assert!(run(&format!("{fire}{wrong}")).is_err(), "{wrong}");
    }
    assert_eq!(run(&format!("{fire}at 30s expect ops: first-notification firing a")), Ok(()));
}
