//! Start times of samples in test scripts: a line `SERIES@st LIST` before the line of the series.
//!
//! An item is `_` for none or a duration from the sample's time, with a sign; `AxN` repeats it `N` more times, `A+BxN` and
//! `A-BxN` add a duration each time. `_xN` stands for `N` times none.

use model::Labels;

/// At most this many of one series: repeats can ask for any number.
const COUNT_MAX: usize = 1_000_000;

/// The series and the start times of its samples in milliseconds from the sample, if the line is one of start times.
pub(super) fn start_times(line: &str) -> Option<Result<(Labels, Vec<Option<i64>>), String>> {
    let (labels, list) = line
        .match_indices("@st")
        .filter(|(at, _)| line[at + 3..].is_empty() || line[at + 3..].starts_with(char::is_whitespace))
        .find_map(|(at, _)| Some((crate::parse_labels(&line[..at]).ok()?, &line[at + 3..])))?;
    let mut all = Vec::new();
    for item in list.split_whitespace() {
        if let Err(why) = read(item, &mut all) {
            return Some(Err(format!("`{line}`: `{item}`: {why}")));
        }
    }
    Some(Ok((labels, all)))
}

fn read(item: &str, all: &mut Vec<Option<i64>>) -> Result<(), String> {
    let (value, times) = match item.rsplit_once('x') {
        Some((value, times)) => (value, Some(times.parse::<usize>().map_err(|e| e.to_string())?)),
        None => (item, None),
    };
    let room = COUNT_MAX.saturating_sub(all.len());
    if value == "_" {
        let times = times.unwrap_or(1);
        if times > room {
            return Err(format!("more than {COUNT_MAX} start times"));
        }
        all.extend(std::iter::repeat_n(None, times));
        return Ok(());
    }
    let times = times.unwrap_or(0);
    if times >= room {
        return Err(format!("more than {COUNT_MAX} start times"));
    }
    // A sign after the first character begins the step.
    let step_at = value.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-')).map(|(at, _)| at);
    let (first, step) = value.split_at(step_at.unwrap_or(value.len()));
    let first = signed_millis(first)?;
    let step = if step.is_empty() { 0 } else { signed_millis(step)? };
    let at = |number: usize| first.saturating_add(step.saturating_mul(number as i64));
    all.extend((0..=times).map(|number| Some(at(number))));
    Ok(())
}

fn signed_millis(text: &str) -> Result<i64, String> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let millis = if text == "0" {
        0
    } else {
        let duration = model::parse_duration(text).map_err(|error| error.to_string())?;
        i64::try_from(duration.as_millis()).map_err(|error| error.to_string())?
    };
    Ok(if negative { -millis } else { millis })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists() {
        for (list, expected) in [
            ("_ 0 -1s", vec![None, Some(0), Some(-1000)]),
            ("_x2 +1ms", vec![None, None, Some(1)]),
            ("-30s-1mx2", vec![Some(-30_000), Some(-90_000), Some(-150_000)]),
            ("1ms+1sx1", vec![Some(1), Some(1001)]),
            ("-0msx1", vec![Some(0), Some(0)]),
        ] {
            let (labels, got) = start_times(&format!("x{{a=\"b c\"}}@st {list}")).unwrap().unwrap();
            assert_eq!((labels.value("a"), got), ("b c", expected), "{list}");
        }
        assert!(start_times("x{a=\"@st \"} 1").is_none());
        assert!(start_times("x@st 1").unwrap().is_err());
        assert!(start_times("x@st 1sx99999999").unwrap().is_err());
    }
}
