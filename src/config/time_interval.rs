//! `time_intervals` as they are written.

use std::collections::BTreeMap;

use alerting::{
    MinuteRange, Span, TimeInterval, TimeIntervalError, Zone, parse_days_of_month, parse_months,
    parse_weekdays, parse_years,
};

use crate::reader::{At, Fields};
use crate::shown::Shown;

/// The intervals of both keys, by name.
pub(crate) fn read_all(fields: &Fields<'_>) -> BTreeMap<String, Vec<TimeInterval>> {
    let mut all = BTreeMap::new();
    for key in ["mute_time_intervals", "time_intervals"] {
        fields.each(key, |at| {
            let (name, intervals, shown) = read_named(&at)?;
            if all.insert(name.clone(), intervals).is_some() && !name.is_empty() {
                at.error(format!("there are two time intervals called `{name}`"), None);
            }
            Some(((), shown))
        });
    }
    all
}

fn read_named(at: &At<'_>) -> Option<(String, Vec<TimeInterval>, Shown)> {
    let fields = at.fields()?;
    let name = fields.text_or("name", "");
    if name.is_empty() {
        fields.missing("name", None);
    }
    let intervals = fields.each("time_intervals", |at| read(&at));
    Some((name, intervals, fields.finish()))
}

fn read(at: &At<'_>) -> Option<(TimeInterval, Shown)> {
    let fields = at.fields()?;
    let times = fields.get("times").map(|_| fields.each("times", |at| read_range(&at)));
    let interval = TimeInterval {
        times,
        weekdays: read_spans(&fields, "weekdays", parse_weekdays),
        days_of_month: read_spans(&fields, "days_of_month", parse_days_of_month),
        months: read_spans(&fields, "months", parse_months),
        years: read_spans(&fields, "years", parse_years),
        location: read_zone(&fields),
    };
    let never = |months: &Vec<Span>| months.iter().any(|span| span.to < 1 || span.from > 12);
    if let Some(at) = fields.get("months").filter(|_| interval.months.as_ref().is_some_and(never)) {
        at.warn(
            "no month has such a number: it never comes",
            Some("months are 1 to 12, or their names".to_owned()),
        );
    }
    Some((interval, fields.finish()))
}

fn read_range(at: &At<'_>) -> Option<(MinuteRange, Shown)> {
    if at.is_null() {
        warn_of_nothing(at, "it never comes");
        return Some((MinuteRange::NEVER, Shown::Null));
    }
    let fields = at.fields()?;
    for key in ["start_time", "end_time"] {
        if !fields.has(key) {
            fields.missing(key, Some("a time of day, `HH:MM`".to_owned()));
        }
    }
    let start = fields.text("start_time");
    let end = fields.text("end_time");
    let shown = fields.finish();
    match MinuteRange::parse(&start?, &end?) {
        Ok(range) => Some((range, shown)),
        Err(error) => {
            at.error(error.to_string(), None);
            None
        }
    }
}

fn warn_of_nothing(at: &At<'_>, meaning: &str) {
    at.warn(format!("nothing is written here: {meaning}"), Some("take the item out, or write it".to_owned()));
}

fn read_spans(
    fields: &Fields<'_>,
    key: &'static str,
    parse: fn(&str) -> Result<Span, TimeIntervalError>,
) -> Option<Vec<Span>> {
    let at = fields.get(key)?;
    let mut spans = Vec::new();
    let mut shown = Vec::new();
    for item in at.list()? {
        if item.is_null() {
            // Alertmanager takes nothing for zero, which is a weekday and no day, month or year.
            warn_of_nothing(&item, if key == "weekdays" { "it means Sunday" } else { "it never comes" });
            spans.push(Span { from: 0, to: 0 });
            shown.push(Shown::Null);
            continue;
        }
        let Some(text) = item.text() else { continue };
        match parse(&text) {
            Ok(span) => spans.push(span),
            Err(error) => item.error(error.to_string(), None),
        }
        shown.push(Shown::Text(text));
    }
    fields.show(key, Shown::Row(shown));
    Some(spans)
}

fn read_zone(fields: &Fields<'_>) -> Zone {
    let Some(at) = fields.get("location") else { return Zone::utc() };
    let name = at.text().unwrap_or_default();
    fields.show("location", Shown::text(&name));
    match Zone::parse(&name, &at.cx.options.local_zone) {
        Ok(zone) => zone,
        Err(error) => {
            at.error(error.to_string(), None);
            Zone::utc()
        }
    }
}
