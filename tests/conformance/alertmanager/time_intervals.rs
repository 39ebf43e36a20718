//! Time intervals: as they are written, what they hold, and which routes they mute.

use alerting::{
    MinuteRange, RouteSpec, RouteTree, Span, TimeInterval, Zone, parse_days_of_month, parse_months,
    parse_weekdays, parse_years,
};
use model::{Labels, Timestamp};
use serde_json::Value;
use serde_yaml::Value as Yaml;

use super::{Outcome, list, plain_config, same, strings};

fn spans(value: &Value) -> Option<Vec<Span>> {
    let number = |value: &Value| value.as_i64().unwrap_or_default() as i32;
    let span = |pair: &Value| Span { from: number(&pair[0]), to: number(&pair[1]) };
    value.as_array().map(|pairs| pairs.iter().map(span).collect())
}

/// An interval in the tables' own form: numbers.
fn numbered_interval(value: &Value) -> Result<TimeInterval, String> {
    let clock = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let times = match value["times_minutes"].as_array() {
        Some(pairs) => {
            let range = |pair: &Value| {
                let minutes = |at: usize| clock(pair[at].as_i64().unwrap_or_default());
                MinuteRange::parse(&minutes(0), &minutes(1)).map_err(|error| error.to_string())
            };
            Some(pairs.iter().map(range).collect::<Result<_, _>>()?)
        }
        None => None,
    };
    Ok(TimeInterval {
        times,
        weekdays: spans(&value["weekdays"]),
        days_of_month: spans(&value["days_of_month"]),
        months: spans(&value["months"]),
        years: spans(&value["years"]),
        location: Zone::parse(value["location"].as_str().unwrap_or_default(), &Zone::utc())
            .map_err(|error| error.to_string())?,
    })
}

fn scalar(yaml: &Yaml) -> String {
    match yaml {
        Yaml::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// An interval as a configuration file writes it.
fn written_interval(yaml: &Yaml) -> Result<TimeInterval, String> {
    type Parse = fn(&str) -> Result<Span, alerting::TimeIntervalError>;
    let field = |key: &str, parse: Parse| match yaml[key].as_sequence() {
        Some(texts) => {
            let spans = texts.iter().map(|text| parse(&scalar(text)).map_err(|error| error.to_string()));
            spans.collect::<Result<Vec<_>, _>>().map(Some)
        }
        None => Ok(None),
    };
    let times = match yaml["times"].as_sequence() {
        Some(ranges) => Some(ranges.iter().map(written_range).collect::<Result<_, _>>()?),
        None => None,
    };
    Ok(TimeInterval {
        times,
        weekdays: field("weekdays", parse_weekdays)?,
        days_of_month: field("days_of_month", parse_days_of_month)?,
        months: field("months", parse_months)?,
        years: field("years", parse_years)?,
        location: Zone::parse(yaml["location"].as_str().unwrap_or_default(), &Zone::utc())
            .map_err(|error| error.to_string())?,
    })
}

fn written_range(yaml: &Yaml) -> Result<MinuteRange, String> {
    let text = |key: &str| yaml[key].as_str().unwrap_or_default();
    MinuteRange::parse(text("start_time"), text("end_time")).map_err(|error| error.to_string())
}

/// `02 Jan 06 15:04 -0700`.
fn rfc822(text: &str) -> Result<Timestamp, String> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let bad = || format!("`{text}` is not a time");
    let words: Vec<&str> = text.split_whitespace().collect();
    let [day, month, year, clock, zone] = words[..] else { return Err(bad()) };
    let number = |text: &str| text.parse::<i64>().map_err(|_| bad());
    let month = MONTHS.iter().position(|name| *name == month).ok_or_else(bad)? as i64 + 1;
    let year = match number(year)? {
        year @ 0..69 => 2000 + year,
        year => 1900 + year,
    };
    let (hour, minute) = clock.split_once(':').ok_or_else(bad)?;
    let offset = number(&zone[1..3])? * 60 + number(&zone[3..5])?;
    let offset = if zone.starts_with('-') { -offset } else { offset };
    let minutes = days_since_epoch(year, month, number(day)?) * 1440 + number(hour)? * 60 + number(minute)?;
    Ok(Timestamp::from_secs((minutes - offset) * 60))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the day that some have more is their last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    365 * year + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 719_469
}

/// `2024-01-01T00:00:00+11:00`, or with `Z`.
fn rfc3339(text: &str) -> Result<Timestamp, String> {
    let number = |from: usize, to: usize| {
        text.get(from..to)
            .and_then(|part| part.parse::<i64>().ok())
            .ok_or_else(|| format!("`{text}` is not a time"))
    };
    let offset = match text.get(19..20) {
        Some(sign @ ("+" | "-")) => {
            (number(20, 22)? * 60 + number(23, 25)?) * if sign == "-" { -1 } else { 1 }
        }
        _ => 0,
    };
    let days = days_since_epoch(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let minutes = days * 1440 + number(11, 13)? * 60 + number(14, 16)? - offset;
    Ok(Timestamp::from_secs(minutes * 60 + number(17, 19)?))
}

pub(super) fn check(case: &Value) -> Outcome {
    if case.get("kind").is_some() {
        return muting_intervals(case);
    }
    if let Some(interval) = case.get("interval") {
        return membership(&[numbered_interval(interval)?], case);
    }
    let yaml: Yaml =
        serde_yaml::from_str(case["yaml"].as_str().unwrap_or_default().trim_start_matches("\n---"))
            .map_err(|error| error.to_string())?;
    let valid = case["valid"].as_bool() == Some(true);
    if let Some(minutes) = case.get("minutes") {
        let range = written_range(&yaml)?;
        let found = [i64::from(range.start()), i64::from(range.end())];
        return same(
            Some(found.to_vec()),
            minutes.as_array().map(|m| m.iter().filter_map(Value::as_i64).collect()),
        );
    }
    let is_range = yaml.get("start_time").is_some() || yaml.get("end_time").is_some();
    let parsed = match &yaml {
        _ if is_range => written_range(&yaml).map(|_| Vec::new()),
        Yaml::Sequence(list) => list.iter().map(written_interval).collect(),
        single => written_interval(single).map(|interval| vec![interval]),
    };
    match (parsed, valid) {
        (Err(_), false) => Ok(()),
        (Ok(_), false) => Err("it is accepted".to_owned()),
        (Err(error), true) => Err(format!("it is refused: {error}")),
        (Ok(found), true) => {
            if let Some(expected) = case["intervals"].as_array() {
                let expected: Vec<TimeInterval> =
                    expected.iter().map(numbered_interval).collect::<Result<_, _>>()?;
                same(&found, &expected)?;
            }
            membership(&found, case)
        }
    }
}

fn membership(intervals: &[TimeInterval], case: &Value) -> Outcome {
    for (key, expected) in [("contains", true), ("excludes", false)] {
        for text in strings(&case[key]) {
            let at = rfc822(&text)?;
            let found = intervals.iter().any(|interval| interval.contains(at));
            same((text.as_str(), found), (text.as_str(), expected))?;
        }
    }
    Ok(())
}

/// Which intervals of a route mute it: asked of a machine with one route that names them all.
fn muting_intervals(case: &Value) -> Outcome {
    let now = rfc3339(case["now"].as_str().unwrap_or_default())?;
    let mut config = plain_config();
    let mut names = Vec::new();
    for named in list(&case["time_intervals"]) {
        let name = named["name"].as_str().unwrap_or_default().to_owned();
        let yaml: Yaml =
            serde_yaml::from_str(&named["time_intervals"].to_string()).map_err(|error| error.to_string())?;
        let intervals = yaml.as_sequence().into_iter().flatten().map(written_interval);
        config.time_intervals.insert(name.clone(), intervals.collect::<Result<_, _>>()?);
        names.push(name);
    }
    let mut child = RouteSpec::default();
    match case["kind"].as_str() {
        Some("active_time_intervals") => child.active_time_intervals = names,
        _ => child.mute_time_intervals = names,
    }
    let root = RouteSpec { receiver: Some("default".into()), routes: vec![child], ..Default::default() };
    config.routes = RouteTree::build(&root);
    let machine = alerting::Alerting::new(config.into(), now);
    let explanation = machine.explain(now, &Labels::from([("a", "b")]));
    same(explanation.routes[0].muted_by.clone(), strings(&case["muted_by"]))
}
