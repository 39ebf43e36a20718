//! Alertmanager's behaviour: matchers, routing, inhibition, silences, time intervals, decisions of the pipeline, and
//! notification scenarios in simulated time.
//!
//! `api_v2_scenarios` needs HTTP and is run against the whole server instead.

mod scenarios;
mod time_intervals;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use alerting::{
    AlertDraft, AlertingConfig, Event, Few, GroupBy, InhibitRule, Integration, MatcherMode, Receiver,
    RouteSpec, RouteTree, Silence, SilenceDraft, SilenceId, SilenceState, Told, Verdict, match_re,
    matcher_text, merge_overlapping, parse_matcher, parse_matchers, plan_flush, receiver_matches,
    silence_is_listed,
};
use model::{Alert, Annotations, Fingerprint, Labels, MatchOp, Matcher, NotifyReason, Timestamp};
use serde_json::Value;
use serde_yaml::Value as Yaml;

use crate::{Report, bytes_of, read_json};

const AREA: &str = "alertmanager";
/// Times in the tables are relative to this.
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

type Outcome = Result<(), String>;

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    let tables: [(&str, fn(&Value) -> Outcome); 8] = [
        ("matcher_parsing", matcher_parsing),
        ("matcher_semantics", matcher_semantics),
        ("routing", routing),
        ("inhibition", inhibition),
        ("silences", silences),
        ("time_intervals", time_intervals::check),
        ("pipeline", pipeline),
        ("notification_scenarios", scenarios::check),
    ];
    for (table, check) in tables {
        let Some(file) = read_json(&corpus.join(AREA).join(format!("{table}.json"))) else { continue };
        for case in file["cases"].as_array().into_iter().flatten() {
            let id = case["id"].as_str().unwrap_or_default();
            report.case(AREA, table, id, || check(case));
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("found {found:?}, expected {expected:?}")) }
}

fn text(value: &Value) -> Result<String, String> {
    String::from_utf8(bytes_of(value)).map_err(|_| "not UTF-8".to_owned())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn strings(value: &Value) -> Vec<String> {
    list(value).map(|item| item.as_str().unwrap_or_default().to_owned()).collect()
}

pub(crate) fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    Labels::from_pairs(pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default())))
}

fn secs(value: &Value) -> Option<Timestamp> {
    value.as_f64().map(|seconds| NOW.plus_millis((seconds * 1000.0) as i64))
}

fn op(text: &str) -> Result<MatchOp, String> {
    let ops = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
    ops.into_iter().find(|op| op.as_str() == text).ok_or_else(|| format!("unknown matcher type {text}"))
}

/// `{"name", "op", "value"}`.
fn matcher(value: &Value) -> Result<Matcher, String> {
    let op = op(value["op"].as_str().unwrap_or_default())?;
    let value_text = text(&value["value"]).map_err(|_| "invalid label value".to_owned())?;
    Matcher::for_alerts(text(&value["name"])?, op, value_text)
        .map_err(|error| format!("invalid regular expression: {error}"))
}

fn mode(case: &Value) -> MatcherMode {
    match case["mode"].as_str().or(case["parser"].as_str()) {
        Some("classic") => MatcherMode::Classic,
        Some("utf8") => MatcherMode::Utf8,
        _ => MatcherMode::Fallback,
    }
}

fn matcher_parsing(case: &Value) -> Outcome {
    let input = text(&case["input"]);
    let mode = match case["skipped_upstream"].as_bool() {
        // The classic reading is given for a text that the newer grammar refuses or reads differently: that is what the
        // default mode has to say.
        Some(true) => MatcherMode::Fallback,
        _ => mode(case),
    };
    let found = input.map_err(|_| ()).and_then(|input| match case["single"].as_bool() {
        Some(true) => parse_matcher(&input, mode).map(|matcher| vec![matcher]).map_err(drop),
        _ => parse_matchers(&input, mode).map_err(drop),
    });
    let expected = match case["valid"].as_bool() {
        Some(false) => Err(()),
        _ => Ok(list(&case["matchers"]).map(matcher).collect::<Result<Vec<_>, _>>()?),
    };
    same(found, expected)
}

fn matcher_semantics(case: &Value) -> Outcome {
    let expected = case["match"].as_bool();
    if case.get("silence_matchers").is_some() {
        let of = |key: &str| list(&case[key]).map(matcher).collect::<Result<Vec<_>, _>>();
        let silence = silence(vec![of("silence_matchers")?], NOW, NOW);
        return same(Some(silence_is_listed(&silence, &of("filter")?)), expected);
    }
    if case.get("receiver_labels").is_some() {
        let filter = parse_matchers(case["filter"].as_str().unwrap_or_default(), MatcherMode::Fallback)
            .map_err(|error| error.to_string())?;
        let receivers = strings(&case["receivers"]);
        let found =
            receivers.iter().any(|name| receiver_matches(&labels(&case["receiver_labels"][name]), &filter));
        return same(Some(found), expected);
    }
    if let Some(name) = case.get("label_name") {
        let valid = text(name).is_ok_and(|name| mode(case).is_label_name(&name));
        return same(Some(valid), case["valid"].as_bool());
    }
    if let Some(written) = case["text"].as_str() {
        return same(matcher_text(&matcher(case)?), written.to_owned());
    }
    if let Some(json) = case["json"].as_str() {
        // The flags of the JSON form say the operator; `isEqual` is true when it is missing.
        let json: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let matcher = matcher(case)?;
        let equal = json["isEqual"].as_bool().unwrap_or(true);
        let flags = (json["isRegex"].as_bool().unwrap_or(false), equal);
        return same((matcher.op().is_regex(), matcher.op().is_positive()), flags);
    }
    let name = case["name"].as_str().unwrap_or("label").to_owned();
    let pattern = case.get("pattern").unwrap_or(&case["value"]);
    let matcher = Matcher::for_alerts(name, op(case["op"].as_str().unwrap_or_default())?, text(pattern)?)
        .map_err(|error| error.to_string())?;
    let found = match case.get("labels") {
        Some(set) => matcher.matches_labels(&labels(set)),
        None => matcher.matches(&text(&case["value"])?),
    };
    same(Some(found), expected)
}

/// A route as a configuration file writes it.
pub(crate) fn route_spec(yaml: &Yaml) -> Result<RouteSpec, String> {
    let mut spec =
        RouteSpec { receiver: yaml["receiver"].as_str().map(str::to_owned), ..RouteSpec::default() };
    spec.matchers = old_and_new_matchers(yaml, "match", "match_re", "matchers")?;
    if let Some(names) = yaml["group_by"].as_sequence() {
        let names: Vec<&str> = names.iter().filter_map(Yaml::as_str).collect();
        spec.group_by = Some(GroupBy::parse(&names, MatcherMode::Fallback)?);
    }
    spec.continue_matching = yaml["continue"].as_bool().unwrap_or(false);
    let duration = |key: &str| match yaml[key].as_str() {
        Some(text) => model::parse_duration(text).map(Some).map_err(|error| error.to_string()),
        None => Ok(None),
    };
    spec.group_wait = duration("group_wait")?;
    spec.group_interval = duration("group_interval")?;
    spec.repeat_interval = duration("repeat_interval")?;
    for (name, value) in yaml["labels"].as_mapping().into_iter().flatten() {
        let text = |value: &Yaml| value.as_str().unwrap_or_default().to_owned();
        spec.labels.insert(text(name), text(value));
    }
    spec.routes =
        yaml["routes"].as_sequence().into_iter().flatten().map(route_spec).collect::<Result<_, _>>()?;
    Ok(spec)
}

fn old_and_new_matchers(yaml: &Yaml, equal: &str, regex: &str, list: &str) -> Result<Vec<Matcher>, String> {
    let mut matchers = Vec::new();
    let pairs = |key: &str| -> Vec<(String, String)> {
        let map = yaml[key].as_mapping().into_iter().flatten();
        let text = |value: &Yaml| value.as_str().unwrap_or_default().to_owned();
        map.map(|(name, value)| (text(name), text(value))).collect()
    };
    for (name, value) in pairs(equal) {
        matchers.push(Matcher::equal(name, value));
    }
    for (name, pattern) in pairs(regex) {
        matchers.push(match_re(&name, &pattern).map_err(|error| error.to_string())?);
    }
    for line in yaml[list].as_sequence().into_iter().flatten() {
        let line = line.as_str().unwrap_or_default();
        matchers.extend(parse_matchers(line, MatcherMode::Fallback).map_err(|error| error.to_string())?);
    }
    Ok(matchers)
}

pub(crate) fn inhibit_rule(yaml: &Yaml) -> Result<InhibitRule, String> {
    let equal = yaml["equal"].as_sequence().into_iter().flatten();
    Ok(InhibitRule {
        name: yaml["name"].as_str().unwrap_or_default().to_owned(),
        source_matchers: old_and_new_matchers(yaml, "source_match", "source_match_re", "source_matchers")?,
        target_matchers: old_and_new_matchers(yaml, "target_match", "target_match_re", "target_matchers")?,
        equal: equal.filter_map(Yaml::as_str).map(str::to_owned).collect(),
    })
}

fn routing(case: &Value) -> Outcome {
    let yaml: Yaml = serde_yaml::from_str(case["route"].as_str().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    let tree = RouteTree::build(&route_spec(&yaml)?);
    if let Some(expected) = case.get("receivers_in_depth_first_order") {
        let found = tree.iter().map(|(_, route)| route.receiver.to_string()).collect();
        return same(found, strings(expected));
    }
    if let Some(expected) = case.get("route_ids") {
        return same(tree.iter().map(|(_, route)| route.id.clone()).collect(), strings(expected));
    }
    if let Some(expected) = case["group_by_all"].as_object() {
        // Each route is named by the value of its one matcher.
        return expected.iter().try_for_each(|(name, all)| {
            let named =
                |route: &&alerting::Route| route.matchers.first().is_some_and(|m| m.pattern() == name);
            let route = tree.iter().map(|(_, route)| route).find(named).ok_or("no such route")?;
            same(Some(route.group_by == GroupBy::All), all.as_bool())
        });
    }
    let matching = tree.matching(&labels(&case["labels"]));
    let routes: Vec<&alerting::Route> = matching.into_iter().map(|id| tree.route(id)).collect();
    if let Some(expected) = case.get("route_labels") {
        let found = routes[0].labels.clone();
        return same(found, labels(expected));
    }
    let expected: Vec<&Value> = list(&case["matches"]).collect();
    same(routes.len(), expected.len())?;
    routes.into_iter().zip(expected).try_for_each(|(route, expected)| {
        let group_by = match &route.group_by {
            GroupBy::All => Vec::new(),
            GroupBy::Labels(names) => names.iter().cloned().collect(),
        };
        let mut expected_names = strings(&expected["group_by"]);
        expected_names.sort();
        let seconds = |key: &str| expected[key].as_f64().map(Duration::from_secs_f64);
        same(Some(&*route.receiver), expected["receiver"].as_str())?;
        same(group_by, expected_names)?;
        same(Some(route.group_by == GroupBy::All), expected["group_by_all"].as_bool())?;
        same(Some(route.group_wait), seconds("group_wait_s"))?;
        same(Some(route.group_interval), seconds("group_interval_s"))?;
        same(Some(route.repeat_interval), seconds("repeat_interval_s"))?;
        match expected["group_key_prefix"].as_str() {
            Some(prefix) => same(route.key.as_str(), prefix),
            None => Ok(()),
        }
    })
}

/// A configuration with one receiver, told by one webhook, and nothing else.
fn plain_config() -> AlertingConfig {
    let spec = RouteSpec { receiver: Some("default".to_owned()), ..RouteSpec::default() };
    let integrations = vec![Integration { kind: "webhook".into(), index: 0, send_resolved: true }];
    let receiver = Receiver { name: "default".into(), labels: Labels::empty(), integrations };
    AlertingConfig::new(RouteTree::build(&spec), vec![receiver])
}

fn inhibition(case: &Value) -> Outcome {
    let mut config = plain_config();
    for rule in list(&case["inhibit_rules"]) {
        let of = |key: &str| -> Result<Vec<Matcher>, String> {
            let mut matchers = Vec::new();
            for line in list(&rule[key]) {
                let parsed = parse_matchers(line.as_str().unwrap_or_default(), MatcherMode::Fallback);
                matchers.extend(parsed.map_err(|error| error.to_string())?);
            }
            Ok(matchers)
        };
        config.inhibit_rules.push(InhibitRule {
            name: String::new(),
            source_matchers: of("source_matchers")?,
            target_matchers: of("target_matchers")?,
            equal: strings(&rule["equal"]).into_iter().collect(),
        });
    }
    let mut sources: Vec<&Value> = ["active_alerts", "alerts_in_order", "source_alerts"]
        .iter()
        .flat_map(|key| list(&case[*key]))
        .collect();
    let marked = case.get("source_alerts").is_some();
    if marked {
        // Every one of them matches the source side, and no target does: a label of our own says so.
        config.inhibit_rules.push(InhibitRule {
            name: String::new(),
            source_matchers: vec![Matcher::equal("side", "source")],
            target_matchers: vec![Matcher::equal("side", "")],
            equal: strings(&case["equal"]).into_iter().collect(),
        });
    }
    let mut machine = alerting::Alerting::new(config.into(), NOW);
    let alerts = sources.drain(..).map(|alert| {
        let own = labels(&alert["labels"]);
        Alert {
            labels: if marked { own.with("side", "source") } else { own },
            annotations: Annotations::new(),
            starts_at: secs(&alert["starts"]).unwrap_or(NOW),
            ends_at: secs(&alert["ends"]).unwrap_or(NOW),
            updated_at: NOW,
            generator_url: Default::default(),
            timeout: false,
            value: None,
        }
    });
    let alerts = alerts.collect();
    machine.step(NOW, Event::Evaluated(alerts));
    let one = [case.clone()];
    let expected = match case.get("expect") {
        Some(expected) => list(expected).cloned().collect(),
        None => one.to_vec(),
    };
    expected.iter().try_for_each(|expected| {
        let muted = machine.explain(NOW, &labels(&expected["target"])).muted.is_some();
        same(Some(muted), expected["inhibited"].as_bool())
    })
}

fn silence(matcher_sets: Vec<Vec<Matcher>>, starts_at: Timestamp, ends_at: Timestamp) -> Silence {
    Silence {
        id: SilenceId::new("known"),
        matcher_sets,
        starts_at,
        ends_at,
        updated_at: Timestamp::from_secs(-1),
        created_by: String::new(),
        comment: String::new(),
        annotations: Annotations::new(),
    }
}

fn refusal(result: Result<(), String>, case: &Value) -> Outcome {
    match (result, case["valid"].as_bool()) {
        (Ok(()), Some(true)) | (Err(_), Some(false)) => Ok(()),
        (Ok(()), _) => Err("it is accepted".to_owned()),
        (Err(error), _) => Err(format!("it is refused: {error}")),
    }
}

fn matcher_sets(value: &Value) -> Result<Vec<Vec<Matcher>>, String> {
    match value.get("matcher_sets") {
        Some(sets) => list(sets).map(|set| list(set).map(matcher).collect()).collect(),
        None => Ok(vec![list(&value["matchers"]).map(matcher).collect::<Result<_, _>>()?]),
    }
}

fn silences(case: &Value) -> Outcome {
    let some_matchers = || vec![vec![Matcher::equal("a", "b")]];
    if case.get("silenced").is_some() {
        let silence = silence(matcher_sets(case)?, NOW, NOW);
        return same(Some(silence.matches(&labels(&case["labels"]))), case["silenced"].as_bool());
    }
    if let Some(one) = case.get("matcher") {
        // A matcher that does not matter keeps the set from matching everything.
        let checked = matcher(one).and_then(|matcher| {
            let sets = vec![vec![matcher, Matcher::equal("other", "value")]];
            let draft = SilenceDraft { matcher_sets: sets, ends_at: Some(NOW), ..Default::default() };
            draft.check(mode(case)).map_err(|error| error.to_string())
        });
        return refusal(checked, case);
    }
    if let Some(described) = case.get("silence").filter(|_| case.get("valid").is_some()) {
        let time = |value: &Value| match value.as_str() {
            Some("now") => Some(NOW),
            _ => secs(value),
        };
        let checked = matcher_sets(described).and_then(|matcher_sets| {
            let draft = SilenceDraft {
                matcher_sets,
                starts_at: time(&described["starts"]),
                ends_at: time(&described["ends"]),
                ..Default::default()
            };
            draft.check(mode(case)).map_err(|error| error.to_string())
        });
        return refusal(checked, case);
    }
    if let Some(existing) = case.get("existing") {
        // A missing time is the zero time, long over.
        let time = |value: &Value| secs(value).unwrap_or(Timestamp::EPOCH);
        let known = silence(some_matchers(), time(&existing["starts"]), time(&existing["ends"]));
        let update = &case["update"];
        let draft = SilenceDraft {
            id: Some(known.id.clone()),
            matcher_sets: some_matchers(),
            starts_at: secs(&update["starts"]),
            ends_at: secs(&update["ends"]),
            ..Default::default()
        };
        return same(Some(known.can_become(&draft, NOW)), case["same_id_kept"].as_bool());
    }
    if let Some(described) = case.get("silence") {
        let time = |key: &str| secs(&described[key]).unwrap_or(Timestamp::EPOCH);
        let state = silence(some_matchers(), time("starts"), time("ends")).state(NOW);
        if let Some(asked) = case.get("states_asked") {
            let listed = strings(asked).iter().any(|name| name == state.as_str());
            return same(Some(listed), case["listed"].as_bool());
        }
        return same(Some(state.as_str()), case["state"].as_str());
    }
    if let Some(post) = case.get("post") {
        return refused_post(post, case["error_contains"].as_str().unwrap_or_default());
    }
    Err("a kind of case that this runner does not know".to_owned())
}

fn put(machine: &mut alerting::Alerting, draft: SilenceDraft) -> Result<SilenceId, String> {
    let fresh_id = SilenceId::new("fresh");
    let mut effects = machine.step(NOW, Event::PutSilence { draft, fresh_id, reply: alerting::ReplyTo(1) });
    while let Some(effect) = effects.pop() {
        match effect {
            alerting::Effect::Commit { id, .. } => effects.extend(machine.step(NOW, Event::Committed(id))),
            alerting::Effect::Reply { answer: alerting::Answer::Silence(answer), .. } => {
                return answer.map_err(|error| error.to_string());
            }
            _ => {}
        }
    }
    Err("no answer".to_owned())
}

fn refused_post(post: &Value, expected: &str) -> Outcome {
    let mut machine = alerting::Alerting::new(plain_config().into(), NOW);
    let matchers: Vec<Matcher> = strings(&post["matchers"])
        .iter()
        .map(|text| parse_matcher(text, MatcherMode::Fallback).map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    let draft = SilenceDraft {
        id: post["id"].as_str().map(SilenceId::new),
        matcher_sets: vec![matchers],
        ends_at: secs(&post["ends"]).or(Some(NOW + Duration::from_secs(300))),
        ..Default::default()
    };
    match put(&mut machine, draft) {
        Ok(_) => Err("it is accepted".to_owned()),
        Err(error) if error.contains(expected) => Ok(()),
        Err(error) => Err(format!("`{error}` does not say `{expected}`")),
    }
}

fn pipeline(case: &Value) -> Outcome {
    if case.get("notify").is_some() {
        return needs_update(case);
    }
    if case.get("merged").is_some() {
        return merge(case);
    }
    if case.get("muted_label").is_some() {
        return mute_stage(case);
    }
    if case.get("max_alerts").is_some() {
        // Cutting is the notifier's business; what it is told stays whole.
        let (alerts, max) = (case["alerts"].as_u64(), case["max_alerts"].as_u64());
        let kept = match max {
            Some(0) => alerts,
            max => max.min(alerts),
        };
        return same(kept, case["kept"].as_u64());
    }
    if let Some(set) = case.get("labels_hex") {
        // Names that are not UTF-8 never become labels.
        let hex = |text: &str| bytes_of(&serde_json::json!({ "$bytes_hex": text }));
        let valid = set.as_object().into_iter().flatten().all(|(name, value)| {
            String::from_utf8(hex(name)).is_ok()
                && String::from_utf8(hex(value.as_str().unwrap_or_default())).is_ok()
        });
        return same(Some(valid), case["valid"].as_bool());
    }
    let draft = AlertDraft { labels: labels(&case["labels"]), ..Default::default() };
    let valid = draft.check(NOW, Duration::from_secs(300), mode(case)).is_ok();
    same(Some(valid), case["valid"].as_bool())
}

fn needs_update(case: &Value) -> Outcome {
    let set = |value: &Value| -> Few<Fingerprint> {
        let numbers: BTreeSet<u64> = list(value).filter_map(Value::as_u64).collect();
        numbers.into_iter().map(Fingerprint).collect()
    };
    let last = &case["last_notification"];
    let told = last.is_object().then(|| Told {
        at: secs(&last["notified_at"]).unwrap_or(Timestamp::MIN),
        reason: NotifyReason::FirstNotification,
        firing: set(&last["firing"]),
        resolved: set(&last["resolved"]),
        held: Few::new(),
        remember: None,
        keep_until: Timestamp::MAX,
    });
    let repeat = Duration::from_secs(case["repeat_interval_s"].as_u64().unwrap_or_default());
    let send_resolved = case["send_resolved"].as_bool().unwrap_or_default();
    let (firing, resolved) = (set(&case["firing"]), set(&case["resolved"]));
    let verdict = plan_flush(told.as_ref(), &firing, &resolved, send_resolved, repeat, NOW);
    same(Some(matches!(verdict, Verdict::Tell(_))), case["notify"].as_bool())
}

fn merge(case: &Value) -> Outcome {
    let alert = |value: &Value| Alert {
        labels: Labels::from([("a", "b")]),
        annotations: Annotations::new(),
        starts_at: secs(&value["starts"]).unwrap_or(NOW),
        ends_at: secs(&value["ends"]).unwrap_or(NOW),
        updated_at: secs(&value["updated"]).unwrap_or(NOW),
        generator_url: Default::default(),
        timeout: value["timeout"].as_bool().unwrap_or_default(),
        value: None,
    };
    let (a, b, merged) = (alert(&case["a"]), alert(&case["b"]), alert(&case["merged"]));
    same(merge_overlapping(&a, b.clone(), NOW), merged.clone())?;
    same(merge_overlapping(&b, a, NOW), merged)
}

/// Alerts with the label are muted by a silence; the rest is told.
fn mute_stage(case: &Value) -> Outcome {
    let label = case["muted_label"].as_str().unwrap_or_default();
    let matcher = Matcher::for_alerts(label, MatchOp::Regex, ".+").map_err(|error| error.to_string())?;
    let silence = silence(vec![vec![matcher]], NOW, NOW + Duration::from_secs(60));
    same(silence.state(NOW), SilenceState::Active)?;
    let all: Vec<Labels> = list(&case["in"]).map(labels).collect();
    let told: Vec<Labels> = all.into_iter().filter(|labels| !silence.matches(labels)).collect();
    same(told, list(&case["out"]).map(labels).collect())
}
