//! Parameters: from the address, and from the form that a POST carries.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequest, OriginalUri, Request};
use axum::http::header;
use model::{Matcher, Timestamp};

use crate::envelope::ApiError;
use crate::state::Origin;

/// A form longer than this is refused.
const FORM_BYTES_MAX: usize = 10 * 1024 * 1024;
/// API v1's word for "the earliest time" and "the latest time", in text.
const MIN_TIME_TEXT: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME_TEXT: &str = "292277025-08-18T07:12:54.999999999Z";

/// Names and values in order; names may repeat.
///
/// Every reader answers with an error of kind `bad_data` that names the parameter.
#[derive(Clone, Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
    origin: Origin,
}

impl Params {
    /// The parameters in a query string or form.
    pub fn parse(text: &str) -> Self {
        let mut params = Params::default();
        params.read(text.as_bytes());
        params
    }

    fn read(&mut self, text: &[u8]) {
        self.pairs.extend(form_urlencoded::parse(text).into_owned());
    }

    /// The first value of `name`; an empty one counts as missing.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Where the request came from.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// A time; `None` if it is missing or empty.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        self.get(name)
            .map(|text| {
                parse_time(text).ok_or_else(|| {
                    ApiError::bad_data(format!(
                        "invalid parameter \"{name}\": invalid time value for '{name}': cannot parse \"{text}\" to a valid timestamp; write seconds since 1970 or RFC 3339"
                    ))
                })
            })
            .transpose()
    }

    /// A duration in milliseconds; `None` if it is missing or empty.
    pub fn duration(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.get(name)
            .map(|text| {
                parse_step(text).ok_or_else(|| {
                    ApiError::bad_data(format!(
                        "invalid parameter \"{name}\": cannot parse \"{text}\" to a valid duration; write seconds or a duration such as 5m"
                    ))
                })
            })
            .transpose()
    }

    /// `limit`: none or 0 is no limit.
    pub(crate) fn limit(&self, name: &str) -> Result<usize, ApiError> {
        match self.number(name)? {
            None | Some(0) => Ok(usize::MAX),
            Some(limit) => usize::try_from(limit).map_err(|_| {
                ApiError::bad_data(format!("invalid parameter \"{name}\": limit must be non-negative"))
            }),
        }
    }

    /// A limit of which everything below 1 is none.
    pub(crate) fn limit_or_none(&self, name: &str) -> Result<usize, ApiError> {
        let limit = self.number(name)?.and_then(|limit| usize::try_from(limit).ok());
        Ok(limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX))
    }

    /// The older kind of limit, of metadata: 0 is nothing, and a negative one is none.
    pub(crate) fn count(&self, name: &str) -> Result<usize, ApiError> {
        Ok(self.number(name)?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.get(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiError::bad_data(format!(
                        "invalid parameter \"{name}\": {name} must be a number, and is \"{text}\""
                    ))
                })
            })
            .transpose()
    }

    /// `start` and `end`, which default to all of time.
    pub(crate) fn time_range(&self) -> Result<(Timestamp, Timestamp), ApiError> {
        let start = self.time("start")?.unwrap_or(Timestamp::MIN);
        let end = self.time("end")?.unwrap_or(Timestamp::MAX);
        if end < start {
            return Err(ApiError::bad_data(
                "invalid parameter \"end\": end timestamp must not be before start time",
            ));
        }
        Ok((start, end))
    }

    /// Each `match[]` as the matchers of a series selector.
    pub(crate) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.all("match[]").map(parse_selector).collect()
    }

    /// `true` or `false` as Go writes them, with a default.
    pub(crate) fn flag(&self, name: &str, missing: bool) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(missing),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(other) => Err(ApiError::bad_data(format!(
                "invalid parameter \"{name}\": \"{other}\" is neither true nor false"
            ))),
        }
    }

    /// A boolean of API v2, with a default: its clients know many words for `true`, and everything else is `false`.
    pub(crate) fn yes(&self, name: &str, missing: bool) -> bool {
        const YES: [&str; 10] = ["true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"];
        self.get(name).map_or(missing, |text| YES.iter().any(|yes| text.eq_ignore_ascii_case(yes)))
    }
}

pub(crate) fn missing(name: &str) -> ApiError {
    ApiError::bad_data(format!("invalid parameter \"{name}\": it is missing or empty"))
}

fn parse_selector(text: &str) -> Result<Vec<Matcher>, ApiError> {
    let invalid = |message: String| ApiError::bad_data(format!("invalid parameter \"match[]\": {message}"));
    let expr = promql::parse(text, &promql::ParseOptions::default()).map_err(|errors| {
        let nothing = errors.first().message.contains("at least one non-empty matcher");
        invalid(if nothing {
            "match[] must contain at least one non-empty matcher; it would select every series".to_owned()
        } else {
            errors.to_string()
        })
    })?;
    series_matchers(expr).ok_or_else(|| invalid(format!("`{text}` is not a series selector")))
}

/// The matchers of an expression that is a plain series selector.
pub(crate) fn series_matchers(expr: promql::Expr) -> Option<Vec<Matcher>> {
    match expr.node {
        promql::Node::Selector(selector) if selector.time == promql::TimeModifier::default() => {
            Some(selector.matchers)
        }
        _ => None,
    }
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let mut params = Params { pairs: Vec::new(), origin: origin_of(&request) };
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        let query = request.uri().query().unwrap_or_default().to_owned();
        if is_form {
            let body = axum::body::to_bytes(request.into_body(), FORM_BYTES_MAX).await.map_err(|_| {
                ApiError::bad_data(format!(
                    "the form cannot be read; it broke off, or is longer than {FORM_BYTES_MAX} bytes"
                ))
            })?;
            // The form comes first: where both name a parameter, the form counts.
            params.read(&body);
        }
        params.read(query.as_bytes());
        Ok(params)
    }
}

fn origin_of(request: &Request) -> Origin {
    // Behind a route prefix the path is cut; this one is not.
    let asked = request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0);
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>();
    Origin {
        client: client.map(|info| info.0.ip()),
        method: request.method().to_string(),
        path: asked.path().to_owned(),
    }
}

/// The first and the last millisecond that can be written with four digits for the year.
const CALENDAR_MS: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

/// Seconds since 1970, with a fraction, or RFC 3339.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    match text {
        MIN_TIME_TEXT => return Some(Timestamp::MIN),
        MAX_TIME_TEXT => return Some(Timestamp::MAX),
        _ => {}
    }
    if let Some(seconds) = model::parse_float(text) {
        let millis = (seconds * 1000.0).round();
        return (millis.is_finite() && millis.abs() < i64::MAX as f64)
            .then(|| Timestamp::from_millis(millis as i64));
    }
    // RFC 3339 wants the `T` and the seconds.
    if (text.as_bytes().get(10), text.as_bytes().get(16)) != (Some(&b'T'), Some(&b':')) {
        return None;
    }
    // Not as one of the library's points in time: those end a day before the calendar does, and people write its last day
    // for what never ends.
    let written = jiff::fmt::temporal::Pieces::parse(text).ok()?;
    let offset_ms = i128::from(written.to_numeric_offset()?.seconds()) * 1000;
    let local = written.date().to_datetime(written.time()?);
    let local_ms = local.duration_since(jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0)).as_millis();
    // Later or earlier there is no year that others could read.
    let millis = (local_ms - offset_ms).clamp(CALENDAR_MS.0.into(), CALENDAR_MS.1.into());
    i64::try_from(millis).ok().map(Timestamp::from_millis)
}

/// Seconds, with a fraction and a sign, or a duration such as `5m`; in milliseconds.
pub fn parse_step(text: &str) -> Option<i64> {
    if let Some(seconds) = model::parse_float(text) {
        // Durations are counted in signed nanoseconds by the clients of this API.
        let fits = seconds.is_finite() && seconds.abs() * 1e9 < i64::MAX as f64;
        let millis = (seconds * 1000.0).round() as i64;
        // What is too short for our clock is still not nothing.
        return fits.then_some(if millis == 0 && seconds > 0.0 { 1 } else { millis });
    }
    i64::try_from(model::parse_duration(text).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, millis) in [
            ("0", Some(0)),
            ("1.5", Some(1500)),
            // What people write who mean never.
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000)),
            ("9999-12-31T23:59:59.999999-14:00", Some(253_402_300_799_999)),
            ("0000-01-01T00:00:00+01:00", Some(-62_167_219_200_000)),
            ("9999-12-32T00:00:00Z", None),
            ("9999-12-31T24:00:00Z", None),
            ("9999-12-31T23:59:59", None),
            ("-3", Some(-3000)),
            ("2026-01-02T03:04:05Z", Some(1_767_323_045_000)),
            ("2026-01-02T03:04:05.25+01:00", Some(1_767_319_445_250)),
            ("2026-01-02T03:04Z", None),
            ("2026-01-02 03:04:05Z", None),
            ("30s", None),
            ("yesterday", None),
            ("NaN", None),
            ("1e300", None),
            ("", None),
            ("1435781451.781", Some(1_435_781_451_781)),
            ("1582468023986", Some(1_582_468_023_986_000)),
            ("2015-06-03T13:21:58.555Z", Some(1_433_337_718_555)),
            (MIN_TIME_TEXT, Some(i64::MIN)),
            (MAX_TIME_TEXT, Some(i64::MAX)),
        ] {
            assert_eq!(parse_time(text).map(Timestamp::as_millis), millis, "{text}");
        }
    }

    #[test]
    fn steps() {
        for (text, millis) in [
            ("15", Some(15_000)),
            ("0.5", Some(500)),
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("-1", Some(-1000)),
            ("0", Some(0)),
            ("0.0001", Some(1)),
            ("1e3", Some(1_000_000)),
            ("x", None),
            ("", None),
            ("NaN", None),
            ("-1m", None),
            ("1e300", None),
        ] {
            assert_eq!(parse_step(text), millis, "{text}");
        }
    }
}
