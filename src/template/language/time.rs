//! Times and durations: their methods, and Go's layouts, which show a time by showing what they do to
//! `Mon Jan 2 15:04:05 MST 2006`.

use std::sync::Arc;

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Zoned};
use model::Timestamp;

use super::layout::{format, parse};
use super::value::{Method, Param, Type, Value};

/// The time without a value: the start of year 1, as in Go.
pub(crate) const ZERO_TIME_MILLIS: i64 = -62_135_596_800_000;

pub(crate) static INT64: Type = Type::plain("int64");

pub(crate) static TIME: Type = Type {
    text: Some(|value| {
        with_time(value, String::new(), |t| format(t, "2006-01-02 15:04:05.999999999 -0700 MST"))
    }),
    methods: &[
        Method {
            name: "Format",
            params: &[Param::Str],
            call: |v, a| {
                let layout = a[0].as_str().unwrap_or_default();
                Ok(Value::str(with_time(v, String::new(), |t| format(t, layout))))
            },
        },
        Method {
            name: "String",
            params: &[],
            call: |v, _| Ok(Value::str((TIME.text.unwrap_or(|_| String::new()))(v))),
        },
        Method { name: "Add", params: &[Param::Duration], call: |v, a| add(v, nanos(&a[0])) },
        Method { name: "AddDate", params: &[Param::Int, Param::Int, Param::Int], call: add_date },
        Method {
            name: "Sub",
            params: &[Param::Time],
            call: |v, a| Ok(duration(nanos_of(v).saturating_sub(nanos_of(&a[0])))),
        },
        Method {
            name: "After",
            params: &[Param::Time],
            call: |v, a| Ok(Value::Bool(nanos_of(v) > nanos_of(&a[0]))),
        },
        Method {
            name: "Before",
            params: &[Param::Time],
            call: |v, a| Ok(Value::Bool(nanos_of(v) < nanos_of(&a[0]))),
        },
        Method {
            name: "Equal",
            params: &[Param::Time],
            call: |v, a| Ok(Value::Bool(nanos_of(v) == nanos_of(&a[0]))),
        },
        Method {
            name: "Compare",
            params: &[Param::Time],
            call: |v, a| Ok(Value::int(nanos_of(v).cmp(&nanos_of(&a[0])) as i64)),
        },
        Method {
            name: "IsZero",
            params: &[],
            call: |v, _| Ok(Value::Bool(nanos_of(v) == i128::from(ZERO_TIME_MILLIS) * 1_000_000)),
        },
        Method {
            name: "Unix",
            params: &[],
            call: |v, _| Ok(int64(clamp(nanos_of(v).div_euclid(1_000_000_000)))),
        },
        Method {
            name: "UnixMilli",
            params: &[],
            call: |v, _| Ok(int64(clamp(nanos_of(v).div_euclid(1_000_000)))),
        },
        Method {
            name: "UnixMicro",
            params: &[],
            call: |v, _| Ok(int64(clamp(nanos_of(v).div_euclid(1000)))),
        },
        // Outside of what 64 bits hold it wraps around, as in Go.
        Method { name: "UnixNano", params: &[], call: |v, _| Ok(int64(nanos_of(v) as i64)) },
        Method {
            name: "GoString",
            params: &[],
            call: |v, _| Ok(Value::str(with_time(v, String::new(), go_syntax))),
        },
        Method {
            name: "IsDST",
            params: &[],
            call: |v, _| Ok(Value::Bool(with_time(v, false, is_summer_time))),
        },
        Method {
            name: "Location",
            params: &[],
            call: |v, _| Ok(Value::Str(with_time(v, String::new(), zone_name).into(), &LOCATION)),
        },
        Method {
            name: "In",
            params: &[Param::Location],
            call: |v, a| {
                let zone = TimeZone::get(a[0].as_str().unwrap_or_default());
                zone.map(|zone| in_zone(v, zone)).map_err(|_| "the zone has no name".to_owned())
            },
        },
        Method { name: "UTC", params: &[], call: |v, _| Ok(in_zone(v, TimeZone::UTC)) },
        // The server's own zone must not change what a template says; times are in UTC until `tz` moves them.
        Method { name: "Local", params: &[], call: |v, _| Ok(in_zone(v, TimeZone::UTC)) },
        Method {
            name: "Year",
            params: &[],
            call: |v, _| Ok(Value::int(with_time(v, 0, |t| i64::from(t.year())))),
        },
        Method {
            name: "Month",
            params: &[],
            call: |v, _| Ok(Value::Int(with_time(v, 0, |t| i64::from(t.month())), &MONTH)),
        },
        Method {
            name: "Day",
            params: &[],
            call: |v, _| Ok(Value::int(with_time(v, 0, |t| i64::from(t.day())))),
        },
        Method {
            name: "Hour",
            params: &[],
            call: |v, _| Ok(Value::int(with_time(v, 0, |t| i64::from(t.hour())))),
        },
        Method {
            name: "Minute",
            params: &[],
            call: |v, _| Ok(Value::int(with_time(v, 0, |t| i64::from(t.minute())))),
        },
        Method {
            name: "Second",
            params: &[],
            call: |v, _| Ok(Value::int(with_time(v, 0, |t| i64::from(t.second())))),
        },
        Method {
            name: "Nanosecond",
            params: &[],
            call: |v, _| Ok(Value::int(with_time(v, 0, |t| i64::from(t.subsec_nanosecond())))),
        },
        Method {
            name: "YearDay",
            params: &[],
            call: |v, _| Ok(Value::int(with_time(v, 0, |t| i64::from(t.day_of_year())))),
        },
        Method {
            name: "Weekday",
            params: &[],
            call: |v, _| {
                Ok(Value::Int(with_time(v, 0, |t| i64::from(t.weekday().to_sunday_zero_offset())), &WEEKDAY))
            },
        },
        Method { name: "Truncate", params: &[Param::Duration], call: |v, a| rounded(v, nanos(&a[0]), false) },
        Method { name: "Round", params: &[Param::Duration], call: |v, a| rounded(v, nanos(&a[0]), true) },
    ],
    ..Type::plain("time.Time")
};

/// The zone of a time, by its name.
pub(crate) static LOCATION: Type = Type {
    methods: &[Method {
        name: "String",
        params: &[],
        call: |v, _| Ok(Value::str(v.as_str().unwrap_or_default())),
    }],
    ..Type::plain("*time.Location")
};

fn zone_name(time: &Zoned) -> String {
    let zone = time.time_zone();
    match zone.iana_name() {
        Some(name) => name.to_owned(),
        None if *zone == TimeZone::UTC => "UTC".to_owned(),
        None => String::new(),
    }
}

fn is_summer_time(time: &Zoned) -> bool {
    time.time_zone().to_offset_info(time.timestamp()).dst().is_dst()
}

/// A time as Go would write it in a program.
pub(crate) fn go_syntax(time: &Zoned) -> String {
    let month = name_of(&Value::int(time.month().into()), 1, &super::layout::MONTHS, "Month");
    let zone = match zone_name(time).as_str() {
        "UTC" => "time.UTC".to_owned(),
        name => format!("time.Location({name:?})"),
    };
    format!(
        "time.Date({}, time.{month}, {}, {}, {}, {}, {}, {zone})",
        time.year(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.subsec_nanosecond()
    )
}

/// What a time is made of in Go: the nanoseconds of its second, and the seconds since the start of year 1.
pub(crate) fn parts(time: &Zoned) -> (u64, i64) {
    let since = time.timestamp().as_nanosecond() - i128::from(ZERO_TIME_MILLIS) * 1_000_000;
    let nanos = u64::try_from(since.rem_euclid(1_000_000_000)).unwrap_or(0);
    (nanos, clamp(since.div_euclid(1_000_000_000)))
}

pub(crate) static DURATION: Type = Type {
    text: Some(|value| duration_text(nanos(value))),
    methods: &[
        Method { name: "String", params: &[], call: |v, _| Ok(Value::str(duration_text(nanos(v)))) },
        Method { name: "Seconds", params: &[], call: |v, _| Ok(Value::Float(nanos(v) as f64 / 1e9)) },
        Method { name: "Minutes", params: &[], call: |v, _| Ok(Value::Float(nanos(v) as f64 / 60e9)) },
        Method { name: "Hours", params: &[], call: |v, _| Ok(Value::Float(nanos(v) as f64 / 3600e9)) },
        Method { name: "Milliseconds", params: &[], call: |v, _| Ok(int64(nanos(v) / 1_000_000)) },
        Method { name: "Microseconds", params: &[], call: |v, _| Ok(int64(nanos(v) / 1000)) },
        Method { name: "Nanoseconds", params: &[], call: |v, _| Ok(int64(nanos(v))) },
        Method { name: "Abs", params: &[], call: |v, _| Ok(duration(i128::from(nanos(v).saturating_abs()))) },
        Method {
            name: "Round",
            params: &[Param::Duration],
            call: |v, a| Ok(duration(multiple(nanos(v).into(), nanos(&a[0]), true))),
        },
        Method {
            name: "Truncate",
            params: &[Param::Duration],
            call: |v, a| {
                let (value, unit) = (nanos(v), nanos(&a[0]));
                Ok(if unit <= 0 { v.clone() } else { duration(i128::from(value - value % unit)) })
            },
        },
    ],
    ..Type::plain("time.Duration")
};

static MONTH: Type = Type {
    text: Some(|value| name_of(value, 1, &super::layout::MONTHS, "Month")),
    methods: &[Method {
        name: "String",
        params: &[],
        call: |v, _| Ok(Value::str(name_of(v, 1, &super::layout::MONTHS, "Month"))),
    }],
    ..Type::plain("time.Month")
};

static WEEKDAY: Type = Type {
    text: Some(|value| name_of(value, 0, &super::layout::DAYS, "Weekday")),
    methods: &[Method {
        name: "String",
        params: &[],
        call: |v, _| Ok(Value::str(name_of(v, 0, &super::layout::DAYS, "Weekday"))),
    }],
    ..Type::plain("time.Weekday")
};

fn name_of(value: &Value, first: i64, names: &[&str], kind: &str) -> String {
    let Value::Int(number, _) = value else { return String::new() };
    let name = usize::try_from(number - first).ok().and_then(|position| names.get(position));
    name.map_or_else(|| format!("%!{kind}({number})"), |name| (*name).to_owned())
}

pub(crate) fn int64(value: i64) -> Value {
    Value::Int(value, &INT64)
}

fn clamp(nanos: i128) -> i64 {
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// A time in UTC; one outside of the calendar becomes its first or last.
pub(crate) fn time(at: Timestamp) -> Value {
    let late = if at > Timestamp::EPOCH { jiff::Timestamp::MAX } else { jiff::Timestamp::MIN };
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(late);
    Value::Time(Arc::new(at.to_zoned(TimeZone::UTC)))
}

/// A duration, cut to what Go can hold: 292 years.
pub(crate) fn duration(nanos: i128) -> Value {
    Value::Int(clamp(nanos), &DURATION)
}

/// The nanoseconds of a duration.
pub(crate) fn nanos(value: &Value) -> i64 {
    match value {
        Value::Int(nanos, _) => *nanos,
        _ => 0,
    }
}

fn with_time<T>(value: &Value, other: T, read: impl FnOnce(&Zoned) -> T) -> T {
    match value {
        Value::Time(time) => read(time),
        _ => other,
    }
}

fn nanos_of(value: &Value) -> i128 {
    with_time(value, 0, |time| time.timestamp().as_nanosecond())
}

fn add(value: &Value, nanos: i64) -> Result<Value, String> {
    let Value::Time(time) = value else { return Ok(value.clone()) };
    let sum = time.checked_add(SignedDuration::from_nanos(nanos));
    sum.map(|time| Value::Time(Arc::new(time))).map_err(|_| "the result is not a time".to_owned())
}

/// Years, months and days on the calendar; a day that a month does not have runs over into the next, as in Go.
fn add_date(value: &Value, arguments: &[Value]) -> Result<Value, String> {
    let Value::Time(time) = value else { return Ok(value.clone()) };
    let [years, months, days] = [0, 1, 2].map(|i| arguments.get(i).map_or(0, nanos));
    let fails = || "the result is not a time".to_owned();
    let months_total = i64::from(time.year())
        .checked_add(years)
        .and_then(|year| year.checked_mul(12))
        .and_then(|months_so_far| months_so_far.checked_add(i64::from(time.month()) - 1))
        .and_then(|months_so_far| months_so_far.checked_add(months))
        .ok_or_else(fails)?;
    let year = i16::try_from(months_total.div_euclid(12)).map_err(|_| fails())?;
    let month = i8::try_from(months_total.rem_euclid(12) + 1).map_err(|_| fails())?;
    let first = jiff::civil::Date::new(year, month, 1).map_err(|_| fails())?;
    let day_offset = days.checked_add(i64::from(time.day()) - 1).ok_or_else(fails)?;
    let span = jiff::Span::new().try_days(day_offset).map_err(|_| fails())?;
    let date = first.checked_add(span).map_err(|_| fails())?;
    let moved = date.to_datetime(time.time()).to_zoned(time.time_zone().clone());
    moved.map(|time| Value::Time(Arc::new(time))).map_err(|_| fails())
}

/// To a multiple of `unit` since the zero time, half a unit going up if `nearest`.
fn rounded(value: &Value, unit: i64, nearest: bool) -> Result<Value, String> {
    if unit <= 0 {
        return Ok(value.clone());
    }
    let since_zero = nanos_of(value) - i128::from(ZERO_TIME_MILLIS) * 1_000_000;
    let rest = since_zero.rem_euclid(i128::from(unit));
    let up = nearest && rest * 2 >= i128::from(unit);
    let change = if up { i128::from(unit) - rest } else { -rest };
    add(value, clamp(change))
}

/// The nearest multiple of `unit`; half a unit goes away from zero.
fn multiple(value: i128, unit: i64, nearest: bool) -> i128 {
    let unit = i128::from(unit);
    if unit <= 0 {
        return value;
    }
    let rest = value % unit;
    let away = nearest && rest.abs() * 2 >= unit;
    value - rest + if away { unit * value.signum() } else { 0 }
}

/// The same moment in another zone.
pub(crate) fn in_zone(value: &Value, zone: TimeZone) -> Value {
    match value {
        Value::Time(time) => Value::Time(Arc::new(time.with_time_zone(zone))),
        other => other.clone(),
    }
}

/// A time as a layout shows it.
pub(crate) fn format_time(value: &Value, layout: &str) -> String {
    with_time(value, String::new(), |time| format(time, layout))
}

/// The time that `text` shows in `layout`.
pub(crate) fn parse_time(layout: &str, text: &str) -> Result<Value, String> {
    parse(layout, text).map(|time| Value::Time(Arc::new(time)))
}

/// A zone of fixed offset.
pub(crate) fn fixed_zone(seconds: i32) -> Option<TimeZone> {
    Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
}

/// A duration as Go writes it: `1h2m3.5s`, `100ms`, `0s`.
pub(crate) fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let fraction = |value: u64, unit: u64, name: &str| {
        let digits = unit.ilog10() as usize;
        let part = format!("{:0digits$}", value % unit);
        let part = part.trim_end_matches('0');
        let point = if part.is_empty() { "" } else { "." };
        format!("{}{point}{part}{name}", value / unit)
    };
    let text = match nanos {
        0 => return "0s".to_owned(),
        1..=999 => format!("{nanos}ns"),
        1000..=999_999 => fraction(nanos, 1000, "µs"),
        1_000_000..=999_999_999 => fraction(nanos, 1_000_000, "ms"),
        _ => {
            let minutes = nanos / 60_000_000_000;
            let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}
