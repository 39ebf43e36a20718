//! Go's time layouts: formatting and parsing.
//!
//! A layout is a text in which parts of the reference time `Mon Jan 2 15:04:05 MST 2006 -0700` stand for the same parts
//! of another time. Source: the documentation of Go's package `time`.

use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(crate) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A part of a layout.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part<'a> {
    Literal(&'a str),
    MonthName {
        short: bool,
    },
    Month {
        padded: bool,
    },
    DayName {
        short: bool,
    },
    Day {
        fill: Option<char>,
    },
    DayOfYear {
        fill: char,
    },
    Hour,
    Hour12 {
        padded: bool,
    },
    Minute {
        padded: bool,
    },
    Second {
        padded: bool,
    },
    Year,
    YearInCentury,
    HalfOfDay {
        capital: bool,
    },
    ZoneName,
    Offset {
        zulu: bool,
        colons: bool,
        parts: u8,
    },
    /// Digits behind the second with the sign before them; zeros at the end are kept or not.
    Fraction {
        sign: char,
        digits: usize,
        keep_zeros: bool,
    },
}

/// What stands for something, longest first among those that begin alike.
const PARTS: [(&str, Part<'static>); 33] = [
    ("January", Part::MonthName { short: false }),
    ("Jan", Part::MonthName { short: true }),
    ("Monday", Part::DayName { short: false }),
    ("Mon", Part::DayName { short: true }),
    ("MST", Part::ZoneName),
    ("002", Part::DayOfYear { fill: '0' }),
    ("01", Part::Month { padded: true }),
    ("02", Part::Day { fill: Some('0') }),
    ("03", Part::Hour12 { padded: true }),
    ("04", Part::Minute { padded: true }),
    ("05", Part::Second { padded: true }),
    ("06", Part::YearInCentury),
    ("15", Part::Hour),
    ("1", Part::Month { padded: false }),
    ("2006", Part::Year),
    ("2", Part::Day { fill: None }),
    ("__2", Part::DayOfYear { fill: ' ' }),
    ("_2", Part::Day { fill: Some(' ') }),
    ("3", Part::Hour12 { padded: false }),
    ("4", Part::Minute { padded: false }),
    ("5", Part::Second { padded: false }),
    ("PM", Part::HalfOfDay { capital: true }),
    ("pm", Part::HalfOfDay { capital: false }),
    ("-070000", Part::Offset { zulu: false, colons: false, parts: 3 }),
    ("-07:00:00", Part::Offset { zulu: false, colons: true, parts: 3 }),
    ("-0700", Part::Offset { zulu: false, colons: false, parts: 2 }),
    ("-07:00", Part::Offset { zulu: false, colons: true, parts: 2 }),
    ("-07", Part::Offset { zulu: false, colons: false, parts: 1 }),
    ("Z070000", Part::Offset { zulu: true, colons: false, parts: 3 }),
    ("Z07:00:00", Part::Offset { zulu: true, colons: true, parts: 3 }),
    ("Z0700", Part::Offset { zulu: true, colons: false, parts: 2 }),
    ("Z07:00", Part::Offset { zulu: true, colons: true, parts: 2 }),
    ("Z07", Part::Offset { zulu: true, colons: false, parts: 1 }),
];

/// The parts of a layout in order.
fn parts(layout: &str) -> Vec<Part<'_>> {
    let mut out = Vec::new();
    let (mut literal_start, mut at) = (0, 0);
    while at < layout.len() {
        let rest = &layout[at..];
        let Some((len, part)) = part_at(rest) else {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if literal_start < at {
            out.push(Part::Literal(&layout[literal_start..at]));
        }
        out.push(part);
        at += len;
        literal_start = at;
    }
    if literal_start < layout.len() {
        out.push(Part::Literal(&layout[literal_start..]));
    }
    out
}

/// The part that `rest` begins with, and its length.
fn part_at(rest: &str) -> Option<(usize, Part<'static>)> {
    if let Some(sign @ ('.' | ',')) = rest.chars().next() {
        let digit = rest.chars().nth(1).filter(|c| matches!(c, '0' | '9'))?;
        let digits = rest[1..].chars().take_while(|c| *c == digit).count();
        // More digits of another kind: a number, not a fraction.
        let number = rest[1 + digits..].starts_with(|c: char| c.is_ascii_digit());
        return (!number).then_some((1 + digits, Part::Fraction { sign, digits, keep_zeros: digit == '0' }));
    }
    // `_2006` is an underscore and a year.
    if rest.starts_with("_2006") {
        return None;
    }
    let (text, part) = PARTS.iter().find(|(text, _)| rest.starts_with(text))?;
    let word = matches!(part, Part::MonthName { short: true } | Part::DayName { short: true });
    let goes_on = rest[text.len()..].starts_with(|c: char| c.is_ascii_lowercase());
    (!(word && goes_on)).then_some((text.len(), *part))
}

/// `time` as `layout` shows it.
pub(crate) fn format(time: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    for part in parts(layout) {
        format_part(time, part, &mut out);
    }
    out
}

fn format_part(time: &Zoned, part: Part<'_>, out: &mut String) {
    let name = |name: &'static str, short: bool| if short { &name[..3] } else { name };
    let number = |value: i64, padded: bool| if padded { format!("{value:02}") } else { value.to_string() };
    let hour = i64::from(time.hour());
    match part {
        Part::Literal(text) => out.push_str(text),
        Part::MonthName { short } => {
            let month = usize::try_from(time.month() - 1).unwrap_or_default();
            out.push_str(name(MONTHS[month.min(11)], short));
        }
        Part::DayName { short } => {
            let day = usize::try_from(time.weekday().to_sunday_zero_offset()).unwrap_or_default();
            out.push_str(name(DAYS[day.min(6)], short));
        }
        Part::Month { padded } => out.push_str(&number(time.month().into(), padded)),
        Part::Day { fill } => match fill {
            Some('0') => out.push_str(&number(time.day().into(), true)),
            Some(_) => out.push_str(&format!("{:>2}", time.day())),
            None => out.push_str(&time.day().to_string()),
        },
        Part::DayOfYear { fill: '0' } => out.push_str(&format!("{:03}", time.day_of_year())),
        Part::DayOfYear { .. } => out.push_str(&format!("{:>3}", time.day_of_year())),
        Part::Hour => out.push_str(&number(hour, true)),
        Part::Hour12 { padded } => out.push_str(&number(if hour % 12 == 0 { 12 } else { hour % 12 }, padded)),
        Part::Minute { padded } => out.push_str(&number(time.minute().into(), padded)),
        Part::Second { padded } => out.push_str(&number(time.second().into(), padded)),
        Part::Year => out.push_str(&format!("{:04}", time.year())),
        Part::YearInCentury => out.push_str(&format!("{:02}", time.year().rem_euclid(100))),
        Part::HalfOfDay { capital } => {
            let half = if hour >= 12 { "PM" } else { "AM" };
            out.push_str(&if capital { half.to_owned() } else { half.to_lowercase() });
        }
        Part::ZoneName => {
            out.push_str(time.time_zone().to_offset_info(time.timestamp()).abbreviation());
        }
        Part::Offset { zulu: true, .. } if time.offset().seconds() == 0 => out.push('Z'),
        Part::Offset { colons, parts, .. } => {
            out.push_str(&offset_text(time.offset().seconds(), colons, parts))
        }
        Part::Fraction { sign, digits, keep_zeros } => {
            let all = format!("{:09}", time.subsec_nanosecond());
            let shown = &all[..digits.min(9)];
            let shown = if keep_zeros { shown } else { shown.trim_end_matches('0') };
            if !shown.is_empty() {
                out.push(sign);
                out.push_str(shown);
            }
        }
    }
}

fn offset_text(seconds: i32, colons: bool, parts: u8) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    let numbers = [seconds / 3600, seconds / 60 % 60, seconds % 60];
    let shown: Vec<String> = numbers[..usize::from(parts)].iter().map(|n| format!("{n:02}")).collect();
    format!("{sign}{}", shown.join(if colons { ":" } else { "" }))
}

/// What a text says about a time.
#[derive(Default)]
struct Read {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    day_of_year: Option<i16>,
    hour: i8,
    afternoon: Option<bool>,
    minute: i8,
    second: i8,
    nanos: i32,
    offset: Option<i32>,
}

/// The time that `text` shows in `layout`; in UTC if it does not name a zone.
pub(crate) fn parse(layout: &str, text: &str) -> Result<Zoned, String> {
    let mut read = Read::default();
    let mut rest = text;
    let parts = parts(layout);
    let fails = |rest: &str| format!("`{text}` is not a time like `{layout}`: cannot read `{rest}`");
    for (i, part) in parts.iter().enumerate() {
        rest = read_part(&mut read, *part, rest).ok_or_else(|| fails(rest))?;
        // A fraction may follow the seconds even if the layout does not show one.
        let shows_fraction = matches!(parts.get(i + 1), Some(Part::Fraction { .. }));
        if matches!(part, Part::Second { .. }) && !shows_fraction && rest.starts_with(['.', ',']) {
            rest = read_fraction(&mut read, rest, None).unwrap_or(rest);
        }
    }
    if !rest.is_empty() {
        return Err(fails(rest));
    }
    read.time().ok_or_else(|| format!("`{text}` is not a time: there is no such day or hour"))
}

impl Read {
    fn time(&self) -> Option<Zoned> {
        let hour = match self.afternoon {
            Some(_) if !(0..=12).contains(&self.hour) => return None,
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        // Like in Go, what is not shown is the start: year 0, January, the first.
        let year = self.year.unwrap_or(0);
        let (month, day) = match self.day_of_year {
            Some(number) => {
                let date = jiff::civil::Date::new(year, 1, 1).ok()?;
                let date = date.checked_add(jiff::Span::new().try_days(number - 1).ok()?).ok()?;
                (date.month(), date.day())
            }
            None => (self.month.unwrap_or(1), self.day.unwrap_or(1)),
        };
        let zone = match self.offset {
            None | Some(0) => TimeZone::UTC,
            Some(seconds) => super::time::fixed_zone(seconds)?,
        };
        DateTime::new(year, month, day, hour, self.minute, self.second, self.nanos).ok()?.to_zoned(zone).ok()
    }
}

fn read_part<'t>(read: &mut Read, part: Part<'_>, rest: &'t str) -> Option<&'t str> {
    match part {
        Part::Literal(text) => return literal(text, rest),
        Part::MonthName { short } => {
            let (position, rest) = one_of(&MONTHS, short, rest)?;
            read.month = i8::try_from(position + 1).ok();
            return Some(rest);
        }
        Part::DayName { short } => return one_of(&DAYS, short, rest).map(|(_, rest)| rest),
        Part::HalfOfDay { capital } => {
            let (half, rest) = rest.split_at_checked(2)?;
            let (am, pm) = if capital { ("AM", "PM") } else { ("am", "pm") };
            read.afternoon = Some(half == pm);
            return (half == am || half == pm).then_some(rest);
        }
        Part::ZoneName => {
            let len = rest.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(rest.len());
            // Names of zones are not unique: all but UTC say nothing about the offset, as in Go.
            read.offset = Some(0);
            return (3..=5).contains(&len).then(|| &rest[len..]);
        }
        Part::Offset { zulu: true, .. } if rest.starts_with('Z') => {
            read.offset = Some(0);
            return Some(&rest[1..]);
        }
        Part::Offset { colons, parts, .. } => {
            let (seconds, rest) = read_offset(rest, colons, parts)?;
            read.offset = Some(seconds);
            return Some(rest);
        }
        Part::Fraction { digits, keep_zeros, .. } => {
            return match rest.starts_with(['.', ',']) {
                true => read_fraction(read, rest, keep_zeros.then_some(digits)),
                false => (!keep_zeros).then_some(rest),
            };
        }
        _ => {}
    }
    read_number(read, part, rest)
}

fn read_number<'t>(read: &mut Read, part: Part<'_>, rest: &'t str) -> Option<&'t str> {
    let (least, most) = match part {
        Part::Year => (4, 4),
        Part::DayOfYear { .. } => (3, 3),
        Part::Month { padded: false }
        | Part::Day { fill: None | Some(' ') }
        | Part::Hour12 { padded: false }
        | Part::Minute { padded: false }
        | Part::Second { padded: false } => (1, 2),
        _ => (2, 2),
    };
    let spaces = matches!(part, Part::Day { fill: Some(' ') } | Part::DayOfYear { fill: ' ' });
    let rest = if spaces { rest.trim_start_matches(' ') } else { rest };
    let least = if spaces { 1 } else { least };
    let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if digits < least {
        return None;
    }
    let (number, rest) = rest.split_at(digits);
    let number: i16 = number.parse().ok()?;
    let small = i8::try_from(number);
    match part {
        Part::Year => read.year = Some(number),
        Part::YearInCentury => read.year = Some(number + if number >= 69 { 1900 } else { 2000 }),
        Part::Month { .. } => read.month = Some(small.ok()?),
        Part::Day { .. } => read.day = Some(small.ok()?),
        Part::DayOfYear { .. } => read.day_of_year = Some(number),
        Part::Hour | Part::Hour12 { .. } => read.hour = small.ok()?,
        Part::Minute { .. } => read.minute = small.ok()?,
        Part::Second { .. } => read.second = small.ok()?,
        _ => return None,
    }
    Some(rest)
}

/// A literal; a run of spaces matches another.
fn literal<'t>(text: &str, rest: &'t str) -> Option<&'t str> {
    let mut rest = rest;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == ' ' {
            while chars.next_if_eq(&' ').is_some() {}
            rest = rest.strip_prefix(' ')?.trim_start_matches(' ');
        } else {
            rest = rest.strip_prefix(c)?;
        }
    }
    Some(rest)
}

/// Which of `names` the text begins with, upper and lower case being the same.
fn one_of<'t>(names: &[&str], short: bool, rest: &'t str) -> Option<(usize, &'t str)> {
    names.iter().enumerate().find_map(|(position, name)| {
        let name = if short { &name[..3] } else { name };
        let (head, tail) = rest.split_at_checked(name.len())?;
        head.eq_ignore_ascii_case(name).then_some((position, tail))
    })
}

fn read_offset(rest: &str, colons: bool, parts: u8) -> Option<(i32, &str)> {
    let sign = match rest.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (mut seconds, mut rest) = (0, &rest[1..]);
    for (i, size) in [3600, 60, 1].into_iter().take(usize::from(parts)).enumerate() {
        if i > 0 && colons {
            rest = rest.strip_prefix(':')?;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        seconds += digits.parse::<i32>().ok()? * size;
        rest = tail;
    }
    Some((sign * seconds, rest))
}

/// The sign and the digits behind the second; exactly `wanted` digits if given.
fn read_fraction<'t>(read: &mut Read, rest: &'t str, wanted: Option<usize>) -> Option<&'t str> {
    let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
    let digits = wanted.map_or(digits, |wanted| wanted.min(digits));
    if digits == 0 || wanted.is_some_and(|wanted| wanted != digits) {
        return None;
    }
    let nine: String = rest[1..=digits].chars().chain("000000000".chars()).take(9).collect();
    read.nanos = nine.parse().ok()?;
    Some(&rest[1 + digits..])
}
