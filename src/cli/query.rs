//! `foghorn query …`: asks a running server, this one or another, and prints the answer as text or JSON.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use model::{Secret, Timestamp};
use ports::{Clock as _, HttpRequest, Outgoing as _};
use promql::ParseOptions;
use serde_json::Value;
use server::{HttpOutgoing, SystemClock};

use super::say::say;

/// Longer than a server lets a query run.
const TIMEOUT: Duration = Duration::from_secs(600);
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// Values of a range query when no step is given.
const STEPS: i64 = 250;
/// The part of an expression that a line of the account shows.
const TEXT_MAX: usize = 72;

#[derive(Debug, Subcommand)]
pub(crate) enum Query {
    /// The value of an expression at one time.
    Instant {
        #[command(flatten)]
        server: Server,
        /// A PromQL expression.
        expr: String,
        /// When: seconds since 1970, RFC 3339, or how long ago (`5m`); now unless given.
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        time: Option<String>,
    },
    /// The values of an expression over time.
    Range {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        range: Times,
        /// A PromQL expression.
        expr: String,
        /// From one value to the next, such as `15s`; a 250th of the time unless given.
        #[arg(long, value_name = "DURATION")]
        step: Option<String>,
    },
    /// The series that selectors match.
    Series {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        range: Times,
        /// Selectors: `up{job="x"}`.
        #[arg(required = true, value_name = "SELECTOR")]
        selectors: Vec<String>,
    },
    /// The names of labels, or the values of one.
    Labels {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        range: Times,
        /// Whose values are wanted; names of labels without it.
        name: Option<String>,
        /// Only of series that this selects; may be given several times.
        #[arg(long = "match", value_name = "SELECTOR")]
        selectors: Vec<String>,
    },
    /// What the evaluation of an expression takes: series, samples and time of each part.
    Explain {
        #[command(flatten)]
        server: Server,
        /// A PromQL expression.
        expr: String,
        /// When; now unless given. Not with `--step`.
        #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with = "step")]
        time: Option<String>,
        #[command(flatten)]
        range: Times,
        /// Explain a range query with this step.
        #[arg(long, value_name = "DURATION")]
        step: Option<String>,
    },
}

/// Whom to ask, and how to print.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The server.
    #[arg(long, alias = "url", value_name = "URL", default_value = "http://127.0.0.1:9090")]
    server: String,
    /// How to print the answer.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// From when to when: seconds since 1970, RFC 3339, or how long ago.
#[derive(Debug, Args)]
pub(crate) struct Times {
    /// The first time; five minutes before the last unless given.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    start: Option<String>,
    /// The last time; now unless given.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    end: Option<String>,
}

impl Times {
    fn times(&self, now: Timestamp) -> anyhow::Result<(Timestamp, Timestamp)> {
        let end = self.end.as_deref().map_or(Ok(now), |text| time("end", text, now))?;
        let five_minutes = Duration::from_secs(300);
        let start = self.start.as_deref().map_or(Ok(end - five_minutes), |text| time("start", text, now))?;
        Ok((start, end))
    }

    /// As parameters; what was not given is left to the server.
    fn params(&self, now: Timestamp) -> anyhow::Result<Vec<(&'static str, String)>> {
        let mut params = Vec::new();
        for (name, given) in [("start", &self.start), ("end", &self.end)] {
            if let Some(text) = given {
                params.push((name, seconds(time(name, text, now)?)));
            }
        }
        Ok(params)
    }
}

/// Asks, and prints the answer.
pub(crate) async fn run(query: Query) -> anyhow::Result<()> {
    let now = SystemClock.now();
    match query {
        Query::Instant { server, expr, time: at } => {
            let at = at.as_deref().map_or(Ok(now), |text| time("time", text, now))?;
            let params = vec![("query", expr.clone()), ("time", seconds(at))];
            let answer = server.ask("api/v1/query", params, Some(&expr)).await?;
            server.print(&answer, result_text(&answer["data"]));
        }
        Query::Range { server, range, expr, step } => {
            let params = range_params(&range, &expr, step.as_deref(), now)?;
            let answer = server.ask("api/v1/query_range", params, Some(&expr)).await?;
            server.print(&answer, result_text(&answer["data"]));
        }
        Query::Series { server, range, selectors } => {
            let mut params = range.params(now)?;
            params.extend(selectors.into_iter().map(|selector| ("match[]", selector)));
            let answer = server.ask("api/v1/series", params, None).await?;
            server.print(&answer, lines(list(&answer["data"]).map(metric_text)));
        }
        Query::Labels { server, range, name, selectors } => {
            let mut params = range.params(now)?;
            params.extend(selectors.into_iter().map(|selector| ("match[]", selector)));
            let answer = match name {
                None => server.ask("api/v1/labels", params, None).await?,
                Some(name) => {
                    let escaped = model::escape_name(&name, model::EscapingScheme::Values);
                    server.get(&format!("api/v1/label/{escaped}/values"), params).await?
                }
            };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            server.print(&answer, lines(list(&answer["data"]).map(text)));
        }
        Query::Explain { server, expr, time: at, range, step } => {
            let params = if step.is_some() || range.start.is_some() || range.end.is_some() {
                range_params(&range, &expr, step.as_deref(), now)?
            } else {
                let at = at.as_deref().map_or(Ok(now), |text| time("time", text, now))?;
                vec![("query", expr.clone()), ("time", seconds(at))]
            };
            let answer = server.ask("api/foghorn/v1/explain", params, Some(&expr)).await?;
            server.print(&answer, explain_text(&answer["data"]));
        }
    }
    Ok(())
}

fn range_params(
    range: &Times,
    expr: &str,
    step: Option<&str>,
    now: Timestamp,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (start, end) = range.times(now)?;
    let auto = ((end.as_millis() - start.as_millis()) / 1000 / STEPS).max(1);
    let step = step.map_or_else(|| auto.to_string(), str::to_owned);
    Ok(vec![("query", expr.to_owned()), ("start", seconds(start)), ("end", seconds(end)), ("step", step)])
}

/// Seconds since 1970, RFC 3339, or a duration before now.
fn time(flag: &str, text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if let Some(at) = api::parse_time(text) {
        return Ok(at);
    }
    model::parse_duration(text.trim_start_matches('-')).map(|ago| now - ago).map_err(|_| {
        anyhow!(
            "--{flag}: `{text}` is no time; write seconds since 1970, RFC 3339, or how long ago, such as 5m"
        )
    })
}

fn seconds(at: Timestamp) -> String {
    let mut text = String::new();
    api::write_timestamp(&mut text, at);
    text
}

impl Server {
    async fn ask(
        &self,
        path: &str,
        params: Vec<(&str, String)>,
        expr: Option<&str>,
    ) -> anyhow::Result<Value> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let content_type = Secret::new("application/x-www-form-urlencoded".to_owned());
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: Secret::new(self.url(path)),
            headers: vec![("content-type".to_owned(), content_type)],
            body: form.into(),
            ..HttpRequest::default()
        };
        self.send(request, expr).await
    }

    async fn get(&self, path: &str, params: Vec<(&str, String)>) -> anyhow::Result<Value> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let url = Secret::new(format!("{}?{query}", self.url(path)));
        self.send(HttpRequest { method: "GET".to_owned(), url, ..HttpRequest::default() }, None).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.server.trim_end_matches('/'))
    }

    /// The server's address without what lets one in.
    fn shown(&self) -> String {
        let Some((scheme, rest)) = self.server.split_once("://") else { return self.server.clone() };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
        format!("{scheme}://{}", &rest[host..])
    }

    async fn send(&self, request: HttpRequest, expr: Option<&str>) -> anyhow::Result<Value> {
        let request = HttpRequest {
            timeout: TIMEOUT,
            response_bytes_max: ANSWER_BYTES_MAX,
            decompress: true,
            ..request
        };
        let answer = HttpOutgoing::new().send(request).await.map_err(|error| {
            anyhow!("{}: {error}; is a server running there? --server names another", self.shown())
        })?;
        let json: Value = serde_json::from_slice(&answer.body).map_err(|_| {
            anyhow!(
                "{} answered with status {} and no JSON; is it Foghorn or Prometheus?",
                self.shown(),
                answer.status
            )
        })?;
        let Some(error) = json["error"].as_str() else { return Ok(json) };
        let kind = json["errorType"].as_str().unwrap_or("error");
        bail!("{kind}: {error}{}", expr.map(|expr| pointed_out(expr, error)).unwrap_or_default());
    }

    /// The answer on standard output, what is worth knowing on standard error.
    fn print(&self, answer: &Value, text: String) {
        if self.output == Output::Json {
            say!("{answer}");
            return;
        }
        print!("{text}");
        for (kind, name) in [("warning", "warnings"), ("info", "infos")] {
            for note in list(&answer[name]).chain(list(&answer["data"][name])) {
                eprintln!("{kind}: {}", note.as_str().unwrap_or_default());
            }
        }
    }
}

/// The line of an expression that is wrong, with marks below the place: of what cannot be read, or of what `error` says
/// cannot be evaluated.
fn pointed_out(expr: &str, error: &str) -> String {
    let (line, column, marked) = match promql::parse(expr, &ParseOptions::all()) {
        Err(errors) => {
            let span = errors.first().span;
            (span.line, span.column, expr.get(span.start..span.end).unwrap_or_default())
        }
        Ok(_) => match place_in(error) {
            Some((line, column)) => (line, column, ""),
            None => return String::new(),
        },
    };
    let line = expr.split('\n').nth(line.saturating_sub(1) as usize).unwrap_or_default();
    let before = line.get(..column.saturating_sub(1) as usize).unwrap_or(line).chars().count();
    let left = line.chars().count().saturating_sub(before);
    let marks = "^".repeat(marked.chars().count().clamp(1, left.max(1)));
    format!("\n    {line}\n    {}{marks}", " ".repeat(before))
}

/// The line and column with which an error ends: `… (1:5)`.
fn place_in(error: &str) -> Option<(u32, u32)> {
    let (line, column) = error.strip_suffix(')')?.rsplit_once(" (")?.1.split_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.map(|item| item + "\n").collect()
}

/// `name{label="value", …}`.
fn metric_text(metric: &Value) -> String {
    let mut text = metric["__name__"].as_str().unwrap_or_default().to_owned();
    let pairs: Vec<String> = metric
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !pairs.is_empty() || text.is_empty() {
        let _ = write!(text, "{{{}}}", pairs.join(", "));
    }
    text
}

/// `1 @[1600000000]`.
fn sample_text(sample: &Value) -> String {
    let value = match &sample[1] {
        Value::String(text) => text.clone(),
        histogram => histogram.to_string(),
    };
    format!("{value} @[{}]", sample[0])
}

fn result_text(data: &Value) -> String {
    let result = &data["result"];
    match data["resultType"].as_str().unwrap_or_default() {
        "scalar" => format!("scalar: {}\n", sample_text(result)),
        "string" => format!("{}\n", result[1].as_str().unwrap_or_default()),
        "vector" => lines(list(result).map(|item| {
            let sample = item.get("value").unwrap_or(&item["histogram"]);
            format!("{} => {}", metric_text(&item["metric"]), sample_text(sample))
        })),
        _ => lines(list(result).map(|item| {
            let samples = list(&item["values"]).chain(list(&item["histograms"]));
            let samples: Vec<String> = samples.map(sample_text).collect();
            format!("{} =>\n{}", metric_text(&item["metric"]), samples.join("\n"))
        })),
    }
}

/// The tree with a line for each part.
fn explain_text(data: &Value) -> String {
    let mut rows: Vec<(String, &Value)> = Vec::new();
    add_rows(&data["tree"], "", "", &mut rows);
    let width = rows.iter().map(|(text, _)| text.chars().count()).max().unwrap_or_default();
    let mut out =
        format!("{:width$}  {:>9}  {:>11}  {:>11}  {:>9}\n", "", "series", "values", "samples", "time");
    for (text, node) in rows {
        let pad = " ".repeat(width - text.chars().count());
        let number = |name: &str| node[name].as_u64().unwrap_or_default();
        let took = seconds_text(node["seconds"].as_f64().unwrap_or_default());
        let _ = writeln!(
            out,
            "{text}{pad}  {:>9}  {:>11}  {:>11}  {took:>9}",
            number("series"),
            number("values"),
            number("samples"),
        );
    }
    let stats = &data["stats"];
    let timing = |name: &str| seconds_text(stats["timings"][name].as_f64().unwrap_or_default());
    let _ = writeln!(
        out,
        "\n{} of {} series; {} in all: {} waiting, {} preparing, {} evaluating; at most {} samples held",
        data["resultType"].as_str().unwrap_or_default(),
        data["series"],
        timing("execTotalTime"),
        timing("execQueueTime"),
        timing("queryPreparationTime"),
        timing("innerEvalTime"),
        stats["samples"]["peakSamples"],
    );
    out
}

fn add_rows<'a>(node: &'a Value, branch: &str, below: &str, rows: &mut Vec<(String, &'a Value)>) {
    let text = node["text"].as_str().unwrap_or_default();
    let short: String = if text.chars().count() > TEXT_MAX {
        text.chars().take(TEXT_MAX - 1).chain(['…']).collect()
    } else {
        text.to_owned()
    };
    rows.push((format!("{branch}{short}"), node));
    let children: Vec<&Value> = list(&node["children"]).collect();
    for (at, child) in children.iter().enumerate() {
        let last = at + 1 == children.len();
        let (branch, under) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        add_rows(child, &format!("{below}{branch}"), &format!("{below}{under}"), rows);
    }
}

fn seconds_text(seconds: f64) -> String {
    if seconds >= 1.0 {
        format!("{seconds:.2} s")
    } else if seconds >= 0.001 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn passwords_in_addresses_are_not_shown() {
        for (given, shown) in [
            ("http://localhost:9090", "http://localhost:9090"),
            ("https://anna:hu@sh@h:9090/x@y", "https://h:9090/x@y"),
            ("localhost", "localhost"),
        ] {
            let server = Server { server: given.to_owned(), output: Output::Text };
            assert_eq!(server.shown(), shown);
        }
    }

    #[test]
    fn results_as_text() {
        let metric = json!({"__name__": "up", "job": "a \"b\"", "x": "y"});
        for (data, text) in [
            (json!({"resultType": "scalar", "result": [2.5, "1"]}), "scalar: 1 @[2.5]\n"),
            (json!({"resultType": "string", "result": [2, "a"]}), "a\n"),
            (
                json!({"resultType": "vector", "result": [{"metric": metric, "value": [2, "NaN"]}, {"metric": {}, "value": [2, "0"]}]}),
                "up{job=\"a \\\"b\\\"\", x=\"y\"} => NaN @[2]\n{} => 0 @[2]\n",
            ),
            (
                json!({"resultType": "matrix", "result": [{"metric": {"__name__": "up"}, "values": [[1, "0"], [2, "1"]]}]}),
                "up =>\n0 @[1]\n1 @[2]\n",
            ),
        ] {
            assert_eq!(result_text(&data), text);
        }
    }

    #[test]
    fn times_are_points_or_ages() {
        let now = Timestamp::from_secs(10_000);
        for (text, millis) in
            [("5m", Some(9_700_000)), ("-5m", Some(9_700_000)), ("12.5", Some(12_500)), ("x", None)]
        {
            assert_eq!(time("time", text, now).ok().map(Timestamp::as_millis), millis, "{text}");
        }
    }

    #[test]
    fn the_wrong_part_is_pointed_out() {
        assert_eq!(pointed_out("up", "no such thing"), "");
        let shown = pointed_out("sum(\n  rate(up)\n)", "");
        assert!(shown.starts_with("\n      rate(up)\n"), "{shown}");
        assert!(shown.ends_with('^'), "{shown}");
        let shown = pointed_out("x{a=\"é\"} + on(b) y", "found duplicate series (1:9)");
        assert!(shown.ends_with("\n           ^"), "{shown}");
    }

    #[test]
    fn the_tree_has_branches() {
        let node = |text: &str, children: Value| json!({"text": text, "seconds": 0.0015, "series": 1, "children": children});
        let tree = node("a + b", json!([node("a", json!([node("x", json!([]))])), node("b", json!([]))]));
        let text = explain_text(&json!({"tree": tree, "resultType": "vector", "series": 1}));
        let starts: Vec<&str> =
            text.lines().skip(1).take(4).map(|l| l.split("  1").next().unwrap().trim_end()).collect();
        let starts: Vec<&str> = starts.iter().map(|s| s.split("   ").next().unwrap()).collect();
        assert_eq!((starts[0], starts[1], starts[3]), ("a + b", "├─ a", "└─ b"));
        assert!(text.lines().nth(3).unwrap().starts_with("│  └─ x"), "{text}");
    }
}
