//! Parts of dates. All times are UTC.

use crate::functions::FunctionId;

/// One part of the date that is `seconds` after the epoch.
pub(super) fn part(id: FunctionId, seconds: f64) -> f64 {
    let seconds = whole_seconds(seconds);
    // A day number of any such time fits.
    let (days, in_day) = (seconds.div_euclid(86_400) as i64, seconds.rem_euclid(86_400) as i64);
    let (year, month, day) = civil(days);
    let value = match id {
        FunctionId::Minute => in_day / 60 % 60,
        FunctionId::Hour => in_day / 3600,
        FunctionId::DayOfWeek => (days + 4).rem_euclid(7),
        FunctionId::DayOfMonth => day,
        FunctionId::DayOfYear => days - days_from_civil(year, 1, 1) + 1,
        FunctionId::DaysInMonth => {
            let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            days_from_civil(next_year, next_month, 1) - days_from_civil(year, month, 1)
        }
        FunctionId::Month => month,
        _ => year,
    };
    value as f64
}

/// Seconds as a whole number. What is no time, or too far away, is the end of all time, as in the field's other servers:
/// there it wraps around to it.
fn whole_seconds(seconds: f64) -> i128 {
    const END: i128 = 1 << 63;
    let whole = seconds.trunc();
    if whole.is_nan() || whole.abs() >= END as f64 {
        return END;
    }
    let whole = whole as i128;
    // The first second of the calendar there, year -292277022399.
    if whole < -9_223_372_028_715_321_600 { whole + (1 << 64) } else { whole }
}

/// Source of both: Hinnant, "chrono-compatible low-level date algorithms".
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_calendar() {
        // 2024-02-29T12:34:56Z, a Thursday.
        let at = 1_709_210_096.0;
        for (id, wanted) in [
            (FunctionId::Minute, 34.0),
            (FunctionId::Hour, 12.0),
            (FunctionId::DayOfWeek, 4.0),
            (FunctionId::DayOfMonth, 29.0),
            (FunctionId::DayOfYear, 60.0),
            (FunctionId::DaysInMonth, 29.0),
            (FunctionId::Month, 2.0),
            (FunctionId::Year, 2024.0),
        ] {
            assert_eq!(part(id, at), wanted, "{id:?}");
        }
        assert_eq!(part(FunctionId::Year, -1.0), 1969.0);
        assert_eq!(part(FunctionId::DayOfYear, f64::NAN), 339.0);
        assert_eq!(part(FunctionId::DayOfYear, f64::INFINITY), 339.0);
    }
}
