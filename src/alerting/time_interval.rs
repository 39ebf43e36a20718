//! Time intervals: when routes are muted or active.
//!
//! In: ranges of minutes, weekdays, days, months and years, as texts or numbers, and a time zone. Out: whether a point
//! in time lies inside. All given fields must hold; inside a field one range is enough.
//! Not here: which routes name which intervals (`route`), reading YAML, finding out the machine's zone.
//! Start at [`TimeInterval::contains`].

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use model::Timestamp;

/// A text that is not part of a time interval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TimeIntervalError(String);

fn error<T>(what: impl Into<String>) -> Result<T, TimeIntervalError> {
    Err(TimeIntervalError(what.into()))
}

/// From one value to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first value.
    pub from: i32,
    /// The last value.
    pub to: i32,
}

impl Span {
    fn contains(self, value: i32) -> bool {
        (self.from..=self.to).contains(&value)
    }
}

/// From one minute of the day up to, but not including, another. `24:00` is 1440.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinuteRange {
    start: u16,
    end: u16,
}

impl MinuteRange {
    /// A range without a minute in it.
    pub const NEVER: MinuteRange = MinuteRange { start: 0, end: 0 };

    /// From `HH:MM` texts.
    pub fn parse(start: &str, end: &str) -> Result<Self, TimeIntervalError> {
        let (start, end) = (parse_minute(start)?, parse_minute(end)?);
        if start >= end {
            return error("start_time must be earlier than end_time; write two ranges to pass midnight");
        }
        Ok(MinuteRange { start, end })
    }

    /// The first minute.
    pub fn start(self) -> u16 {
        self.start
    }

    /// The minute after the last.
    pub fn end(self) -> u16 {
        self.end
    }
}

fn parse_minute(text: &str) -> Result<u16, TimeIntervalError> {
    let malformed =
        || TimeIntervalError(format!("`{text}` is not a time of day; write `HH:MM`, up to `24:00`"));
    let two = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = text.split_once(':').ok_or_else(malformed)?;
    match (two(hour), two(minute)) {
        (Some(24), Some(0)) => Ok(1440),
        (Some(hour @ 0..=23), Some(minute @ 0..=59)) => Ok(hour * 60 + minute),
        _ => Err(malformed()),
    }
}

/// Splits `a:b`; `a` alone is a range of one.
fn split_range(text: &str) -> Result<(String, String), TimeIntervalError> {
    let text = text.to_lowercase();
    match text.split(':').collect::<Vec<_>>()[..] {
        [one] => Ok((one.to_owned(), one.to_owned())),
        [from, to] => Ok((from.to_owned(), to.to_owned())),
        _ => error(format!("`{text}` is not a range; write `from:to` or one value")),
    }
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// `monday`, `monday:friday`: 0 is Sunday.
pub fn parse_weekdays(text: &str) -> Result<Span, TimeIntervalError> {
    let number = |name: &str| match WEEKDAYS.iter().position(|day| *day == name) {
        Some(number) => Ok(number as i32),
        None => error(format!("`{name}` is not a weekday; write `monday` to `sunday`")),
    };
    let (from, to) = split_range(text)?;
    let span = Span { from: number(&from)?, to: number(&to)? };
    if span.from > span.to {
        return error(format!("`{from}` comes after `{to}`; the week starts on Sunday, write two ranges"));
    }
    Ok(span)
}

/// `1`, `1:7`, `-3:-1`: days of the month; negative ones count from its end.
pub fn parse_days_of_month(text: &str) -> Result<Span, TimeIntervalError> {
    let number = |part: &str| match part.parse::<i32>() {
        Ok(day) if day != 0 && (-31..=31).contains(&day) => Ok(day),
        _ => error(format!("`{part}` is not a day of the month; write 1 to 31, or -1 for the last day")),
    };
    let (from, to) = split_range(text)?;
    let span = Span { from: number(&from)?, to: number(&to)? };
    if span.from < 0 && span.to > 0 {
        return error("the end must be negative if the start is: otherwise short months have no such range");
    }
    // The shortest month decides whether the range can ever hold.
    let in_short_month = |day: i32| if day < 0 { 28 + day } else { day };
    if in_short_month(span.from) > in_short_month(span.to) {
        return error(format!("day {to} always comes before day {from}"));
    }
    Ok(span)
}

/// `1`, `january`, `january:march`.
///
/// A number that no month has is taken, as upstream takes it; it never comes.
pub fn parse_months(text: &str) -> Result<Span, TimeIntervalError> {
    let number = |part: &str| {
        let by_name = MONTHS.iter().position(|month| *month == part).map(|position| position as i32 + 1);
        match by_name.or_else(|| part.parse().ok()) {
            Some(month) => Ok(month),
            None => error(format!("`{part}` is not a month; write `january` to `december` or 1 to 12")),
        }
    };
    let (from, to) = split_range(text)?;
    let span = Span { from: number(&from)?, to: number(&to)? };
    if span.from > span.to {
        return error(format!("`{from}` comes after `{to}`; write two ranges to pass the end of the year"));
    }
    Ok(span)
}

/// `2026`, `2026:2030`.
pub fn parse_years(text: &str) -> Result<Span, TimeIntervalError> {
    let number = |part: &str| match part.parse::<i32>() {
        Ok(year) => Ok(year),
        Err(_) => error(format!("`{part}` is not a year")),
    };
    let (from, to) = split_range(text)?;
    let span = Span { from: number(&from)?, to: number(&to)? };
    if span.from > span.to {
        return error(format!("year {from} comes after year {to}"));
    }
    Ok(span)
}

/// A time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Universal time, the default.
    pub fn utc() -> Self {
        Zone(TimeZone::UTC)
    }

    /// `Europe/Berlin` and the like, `UTC`, or `Local`, which is `local`: the zone of the machine, found by the caller.
    /// Names come from the database inside the program, so they mean the same everywhere.
    pub fn parse(name: &str, local: &Zone) -> Result<Self, TimeIntervalError> {
        match name {
            "" | "UTC" => Ok(Zone::utc()),
            "Local" => Ok(local.clone()),
            _ => match TimeZoneDatabase::bundled().get(name).map(Zone) {
                // The database does not look at upper and lower case, Alertmanager does.
                Ok(zone) if zone.name() == name => Ok(zone),
                Ok(zone) => error(format!("`{name}` is not a time zone; write `{}`", zone.name())),
                Err(_) => {
                    error(format!("`{name}` is not a time zone; write an IANA name such as `Europe/Berlin`"))
                }
            },
        }
    }

    fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

impl Default for Zone {
    fn default() -> Self {
        Zone::utc()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Ranges that must all hold; `None` holds always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeInterval {
    /// Times of day.
    pub times: Option<Vec<MinuteRange>>,
    /// Weekdays, 0 is Sunday: [`parse_weekdays`].
    pub weekdays: Option<Vec<Span>>,
    /// Days of the month, negative from its end: [`parse_days_of_month`].
    pub days_of_month: Option<Vec<Span>>,
    /// Months, 1 to 12: [`parse_months`].
    pub months: Option<Vec<Span>>,
    /// Years: [`parse_years`].
    pub years: Option<Vec<Span>>,
    /// Where the fields are read.
    pub location: Zone,
}

impl TimeInterval {
    /// Whether `at` lies inside.
    pub fn contains(&self, at: Timestamp) -> bool {
        // Outside the calendar (years beyond ±9999) no interval holds.
        let Ok(instant) = jiff::Timestamp::from_millisecond(at.as_millis()) else { return false };
        let local = instant.to_zoned(self.location.0.clone());
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let days_in_month = i32::from(local.days_in_month());
        let weekday = i32::from(local.weekday().to_sunday_zero_offset());
        holds(&self.times, |range| (range.start..range.end).contains(&minute))
            && holds(&self.days_of_month, |span| holds_day(*span, i32::from(local.day()), days_in_month))
            && holds(&self.months, |span| span.contains(i32::from(local.month())))
            && holds(&self.weekdays, |span| span.contains(weekday))
            && holds(&self.years, |span| span.contains(i32::from(local.year())))
    }
}

fn holds<T>(field: &Option<Vec<T>>, test: impl Fn(&T) -> bool) -> bool {
    field.as_ref().is_none_or(|ranges| ranges.iter().any(test))
}

/// A range that starts after the month's end does not hold in that month; otherwise it is cut to the month.
fn holds_day(span: Span, day: i32, days_in_month: i32) -> bool {
    let absolute = |day: i32| if day < 0 { days_in_month + day + 1 } else { day };
    (absolute(span.from)..=absolute(span.to)).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let instant: jiff::Timestamp = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        Timestamp::from_millis(instant.as_millisecond())
    }

    fn zone(name: &str) -> Zone {
        Zone::parse(name, &Zone::utc()).unwrap()
    }

    fn days(text: &str) -> TimeInterval {
        TimeInterval { days_of_month: Some(vec![parse_days_of_month(text).unwrap()]), ..Default::default() }
    }

    #[test]
    fn reads_ranges() {
        assert_eq!(parse_weekdays("Monday:friday"), Ok(Span { from: 1, to: 5 }));
        assert_eq!(parse_weekdays("sunday"), Ok(Span { from: 0, to: 0 }));
        assert_eq!(parse_months("3:june"), Ok(Span { from: 3, to: 6 }));
        assert_eq!(parse_months("11:14"), Ok(Span { from: 11, to: 14 }));
        assert_eq!(parse_months("13"), Ok(Span { from: 13, to: 13 }));
        assert_eq!(parse_days_of_month("-7:-1"), Ok(Span { from: -7, to: -1 }));
        assert_eq!(parse_days_of_month("20:-1"), Ok(Span { from: 20, to: -1 }));
        assert_eq!(parse_years("2026"), Ok(Span { from: 2026, to: 2026 }));
        let day = MinuteRange::parse("00:00", "24:00").unwrap();
        assert_eq!((day.start(), day.end()), (0, 1440));
    }

    #[test]
    fn refuses_ranges_that_can_never_hold() {
        for text in
            ["", "1", "-1", "friday:monday", "mon", "monday:tuesday:friday", "monday : friday", " monday"]
        {
            assert!(parse_weekdays(text).is_err(), "{text}");
        }
        for text in ["0", "32", "-32", "5:1", "-5:5", "29:-1", "a", "1:2:3", "1 : 2", " 1"] {
            assert!(parse_days_of_month(text).is_err(), "{text}");
        }
        for text in ["june:may", "14:5", "13:january", "juni", "1.5", "may ", "1: 2"] {
            assert!(parse_months(text).is_err(), "{text}");
        }
        for text in ["2027:2026", "x", "2026 :2027"] {
            assert!(parse_years(text).is_err(), "{text}");
        }
        for (start, end) in [("10:00", "10:00"), ("9:00", "10:00"), ("10:00", "24:01"), ("10:60", "11:00")] {
            assert!(MinuteRange::parse(start, end).is_err(), "{start} {end}");
        }
        assert!(Zone::parse("Europe/Nowhere", &Zone::utc()).is_err());
        // As on a disk where upper and lower case differ.
        for (name, known) in [
            ("US/Pacific", true),
            ("EST5EDT", true),
            ("Etc/GMT+5", true),
            ("Zulu", true),
            ("europe/berlin", false),
            ("utc", false),
            ("local", false),
        ] {
            assert_eq!(Zone::parse(name, &Zone::utc()).is_ok(), known, "{name}");
        }
    }

    #[test]
    fn knows_the_last_days_of_every_month() {
        for (text, inside, outside) in [
            ("-1", "2024-02-29T12:00:00Z", "2024-02-28T12:00:00Z"),
            ("-1", "2023-02-28T23:59:00Z", "2023-03-01T00:00:00Z"),
            ("31", "2024-01-31T00:00:00Z", "2024-04-30T00:00:00Z"),
            ("25:-1", "2024-04-30T00:00:00Z", "2024-04-24T23:59:59Z"),
            ("-31:-31", "2024-01-01T00:00:00Z", "2024-04-01T00:00:00Z"),
        ] {
            assert!(days(text).contains(at(inside)), "{text} {inside}");
            assert!(!days(text).contains(at(outside)), "{text} {outside}");
        }
    }

    #[test]
    fn reads_fields_where_the_interval_is() {
        let morning = TimeInterval {
            times: Some(vec![MinuteRange::parse("09:00", "10:00").unwrap()]),
            location: zone("Europe/Berlin"),
            ..Default::default()
        };
        // Winter is one hour ahead of UTC, summer two.
        assert!(morning.contains(at("2024-01-15T08:30:00Z")));
        assert!(!morning.contains(at("2024-07-15T08:30:00Z")));
        assert!(morning.contains(at("2024-07-15T07:30:00Z")));
        // The hour that is skipped in spring holds nothing; the one that comes twice in autumn holds twice.
        let night = |start, end| TimeInterval {
            times: Some(vec![MinuteRange::parse(start, end).unwrap()]),
            location: zone("Europe/Berlin"),
            ..Default::default()
        };
        assert!(!night("02:00", "03:00").contains(at("2024-03-31T01:00:00Z")));
        assert!(night("02:00", "03:00").contains(at("2024-10-27T00:30:00Z")));
        assert!(night("02:00", "03:00").contains(at("2024-10-27T01:30:00Z")));
    }

    #[test]
    fn counts_days_from_the_end_in_months_with_a_clock_change() {
        let last = TimeInterval { location: zone("America/New_York"), ..days("-1") };
        assert!(last.contains(at("2024-03-31T16:00:00Z")));
        assert!(!last.contains(at("2024-03-30T16:00:00Z")));
        assert!(last.contains(at("2024-11-30T16:00:00Z")));
        assert!(!last.contains(at("2024-11-29T16:00:00Z")));
    }

    #[test]
    fn needs_every_field() {
        let interval = TimeInterval {
            weekdays: Some(vec![parse_weekdays("saturday").unwrap(), parse_weekdays("sunday").unwrap()]),
            months: Some(vec![parse_months("may").unwrap()]),
            ..Default::default()
        };
        assert!(interval.contains(at("2024-05-04T12:00:00Z")));
        assert!(!interval.contains(at("2024-05-03T12:00:00Z")));
        assert!(!interval.contains(at("2024-06-01T12:00:00Z")));
        assert!(TimeInterval::default().contains(at("2024-06-01T12:00:00Z")));
        assert!(!TimeInterval::default().contains(Timestamp::MAX));
    }

    proptest::proptest! {
        #[test]
        fn a_negative_day_is_the_day_counted_from_the_end(millis in 0i64..4_102_444_800_000, back in 1i32..=31) {
            let zoned = jiff::Timestamp::from_millisecond(millis).unwrap().to_zoned(TimeZone::UTC);
            let expected = i32::from(zoned.days_in_month()) - i32::from(zoned.day()) + 1 == back;
            proptest::prop_assert_eq!(days(&format!("-{back}")).contains(Timestamp::from_millis(millis)), expected);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-:0-9a-z ]{0,12}") {
            let _ = (parse_weekdays(&text), parse_days_of_month(&text), parse_months(&text), parse_years(&text));
            let _ = (MinuteRange::parse(&text, "24:00"), Zone::parse(&text, &Zone::utc()));
        }
    }
}
