//! Expressions from a seed: every function, aggregation, operator and modifier, with arguments of the right kinds.

use promql::{Function, ValueKind};

use crate::data::{Kind, METRICS, Metric, SPAN, START};
use crate::rng::Rng;

/// An expression and when it is evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) number: u64,
    pub(crate) expr: String,
    pub(crate) when: When,
}

/// Seconds since 1970, as the API takes them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    Instant(f64),
    Range { start: f64, end: f64, step: f64 },
}

/// The query `number` of a seed. `unknown` are functions that the other side does not have.
pub(crate) fn query(seed: u64, number: u64, unknown: &[String]) -> Query {
    let mut rng = Rng::stream(seed, 1 << 40 | number);
    let when = when(&mut rng, number % 2 == 1);
    let functions =
        promql::functions().iter().filter(|f| !unknown.iter().any(|name| name == f.name)).collect();
    let mut grammar = Grammar { rng, functions, number };
    Query { number, expr: grammar.top(), when }
}

fn when(rng: &mut Rng, range: bool) -> When {
    let seconds = |millis: i64| millis as f64 / 1000.0;
    // Whole seconds mostly, since that is what people ask for; before and after the data, too.
    let mut time = START + rng.between(0, SPAN / 1000) * 1000 + if rng.chance(20) { 600_000 } else { 0 };
    if rng.chance(20) {
        time += rng.between(0, 999);
    }
    if !range {
        return When::Instant(seconds(time));
    }
    let step = *rng.of(&[7_000, 15_000, 30_000, 60_000, 180_000, 300_000, 1_234]);
    let steps = rng.between(1, 30);
    When::Range { start: seconds(time), end: seconds(time + step * steps), step: seconds(step) }
}

struct Grammar {
    rng: Rng,
    functions: Vec<&'static Function>,
    number: u64,
}

const RANGES: &[&str] = &["15s", "30s", "1m", "2m", "5m", "10m", "17m", "30m", "1h", "1m30s", "45s"];
const STEPS: &[&str] = &["15s", "30s", "1m", "2m", "5m", ""];
const OFFSETS: &[&str] = &["30s", "1m", "7m", "1h", "-2m", "-30s"];
const LABELS: &[&str] = &["job", "instance", "code", "method", "le", "cpu", "room", "device", "kind", "none"];
const NUMBERS: &[&str] =
    &["0", "1", "2", "-1", "0.5", "10", "100", "1e3", "3.7", "-2.5", "Inf", "-Inf", "NaN", "0x1F", "60"];
/// Of metrics, with a sign where it is not a selector alone.
const AGGREGATIONS: &[(&str, bool)] = &[
    ("sum", false),
    ("sum", false),
    ("avg", false),
    ("count", false),
    ("min", false),
    ("max", false),
    ("group", false),
    ("stddev", false),
    ("stdvar", false),
    ("topk", true),
    ("bottomk", true),
    ("quantile", true),
    ("count_values", true),
    ("limitk", true),
    ("limit_ratio", true),
];

impl Grammar {
    /// Each function has its turn at the top; in between everything.
    fn top(&mut self) -> String {
        let turn = (self.number / 2) as usize;
        if turn.is_multiple_of(3) {
            let function = self.functions[(turn / 3) % self.functions.len()];
            let depth = self.rng.below(2);
            return self.call(function, depth);
        }
        if self.rng.chance(4) {
            return self.scalar(2);
        }
        let depth = 1 + self.rng.below(3);
        self.vector(depth)
    }

    fn metric(&mut self, kinds: &[Kind]) -> &'static Metric {
        loop {
            let metric = self.rng.of(METRICS);
            if kinds.is_empty() || kinds.contains(&metric.kind) {
                return metric;
            }
        }
    }

    fn selector(&mut self, kinds: &[Kind]) -> String {
        let metric = self.metric(kinds);
        let mut matchers = Vec::new();
        for (name, values) in metric.labels {
            if !self.rng.chance(25) {
                continue;
            }
            let (value, other) = (*self.rng.of(values), *self.rng.of(values));
            matchers.push(match self.rng.below(6) {
                0 | 1 => format!("{name}=\"{value}\""),
                2 => format!("{name}!=\"{value}\""),
                3 => format!("{name}=~\"{}|{}\"", plain(value), plain(other)),
                4 => format!("{name}!~\"{}.*\"", plain(value).chars().take(1).collect::<String>()),
                _ => format!("{name}=~\".+\""),
            });
        }
        if self.rng.chance(5) {
            return format!(
                "{{__name__=~\"{}|up\"{}}}",
                metric.name,
                matchers.iter().map(|m| format!(",{m}")).collect::<String>()
            );
        }
        if matchers.is_empty() {
            metric.name.to_owned()
        } else {
            format!("{}{{{}}}", metric.name, matchers.join(","))
        }
    }

    /// `offset` and `@`, sometimes.
    fn modifiers(&mut self) -> String {
        let mut text = String::new();
        if self.rng.chance(12) {
            let at = START / 1000 + self.rng.between(0, SPAN / 1000);
            text += &match self.rng.below(4) {
                0 => " @ start()".to_owned(),
                1 => " @ end()".to_owned(),
                _ => format!(" @ {at}"),
            };
        }
        if self.rng.chance(15) {
            text += &format!(" offset {}", self.rng.of(OFFSETS));
        }
        text
    }

    fn any_kinds(&mut self) -> &'static [Kind] {
        match self.rng.below(10) {
            0 => &[Kind::Native],
            1 => &[],
            2..=4 => &[Kind::Counter],
            5 => &[Kind::Bucket],
            _ => &[Kind::Gauge],
        }
    }

    fn selection(&mut self) -> String {
        let kinds = self.any_kinds();
        self.selector(kinds) + &self.modifiers()
    }

    fn matrix(&mut self, kinds: &[Kind], depth: u64) -> String {
        let range = *self.rng.of(RANGES);
        if depth > 0 && self.rng.chance(25) {
            let inner = self.vector(depth - 1);
            let step = *self.rng.of(STEPS);
            let range = *self.rng.of(&["1m", "3m", "5m", "10m", "20m"]);
            return format!("({inner})[{range}:{step}]{}", self.modifiers());
        }
        format!("{}[{range}]{}", self.selector(kinds), self.modifiers())
    }

    fn number(&mut self) -> String {
        (*self.rng.of(NUMBERS)).to_owned()
    }

    fn scalar(&mut self, depth: u64) -> String {
        match self.rng.below(if depth == 0 { 6 } else { 12 }) {
            0..=4 => self.number(),
            5 => "time()".to_owned(),
            6 => "pi()".to_owned(),
            7 => format!("scalar({})", self.vector(depth - 1)),
            8 => format!("-({})", self.scalar(depth - 1)),
            9 => {
                let op = *self.rng.of(&["==", "!=", ">", "<", ">=", "<="]);
                format!("({} {op} bool {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
            _ => {
                let op = *self.rng.of(&["+", "-", "*", "/", "%", "^", "atan2"]);
                format!("({} {op} {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
        }
    }

    fn vector(&mut self, depth: u64) -> String {
        if depth == 0 {
            return self.selection();
        }
        match self.rng.below(100) {
            0..10 => self.selection(),
            10..40 => {
                let count = self.functions.len() as u64;
                let function = self.functions[self.rng.below(count) as usize];
                if function.returns == ValueKind::Vector {
                    self.call(function, depth - 1)
                } else {
                    self.selection()
                }
            }
            40..62 => self.aggregation(depth - 1),
            62..88 => self.binary(depth - 1),
            88..91 => format!("-{}", self.selection()),
            91..94 => format!("({})", self.vector(depth - 1)),
            94..97 => self.rate_of_counter(depth - 1),
            _ => self.quantile_of_buckets(),
        }
    }

    fn rate_of_counter(&mut self, depth: u64) -> String {
        let function = *self.rng.of(&["rate", "increase", "irate", "delta", "resets", "changes"]);
        let matrix = self.matrix(&[Kind::Counter, Kind::Native, Kind::Bucket], depth);
        format!("{function}({matrix})")
    }

    fn quantile_of_buckets(&mut self) -> String {
        let quantile = *self.rng.of(&["0", "0.5", "0.9", "0.99", "1", "1.5", "-1", "NaN"]);
        let range = *self.rng.of(RANGES);
        match self.rng.below(4) {
            0 => format!("histogram_quantile({quantile}, rate(latency_seconds_bucket[{range}]))"),
            1 => format!(
                "histogram_quantile({quantile}, sum by (le, job) (rate(latency_seconds_bucket[{range}])))"
            ),
            2 => format!("histogram_quantile({quantile}, sum by (job) (rate(duration_seconds[{range}])))"),
            _ => format!("histogram_fraction(0.1, {quantile}, rate(duration_seconds[{range}]))"),
        }
    }

    fn grouping(&mut self) -> String {
        let word = *self.rng.of(&["by", "without"]);
        let count = self.rng.below(3);
        let labels: Vec<&str> = (0..count).map(|_| *self.rng.of(LABELS)).collect();
        format!("{word} ({})", labels.join(", "))
    }

    fn aggregation(&mut self, depth: u64) -> String {
        let (name, takes_parameter) = *self.rng.of(AGGREGATIONS);
        let grouping = if self.rng.chance(70) { format!(" {} ", self.grouping()) } else { String::new() };
        let inner = self.vector(depth);
        if !takes_parameter {
            return format!("{name}{grouping}({inner})");
        }
        let parameter = match name {
            "quantile" => (*self.rng.of(&["0.5", "0.9", "0", "1", "-1", "2", "NaN"])).to_owned(),
            "count_values" => (*self.rng.of(&["\"value\"", "\"job\""])).to_owned(),
            "limit_ratio" => (*self.rng.of(&["0.5", "-0.3", "1", "0", "2"])).to_owned(),
            _ => (*self.rng.of(&["1", "2", "3", "5", "100", "0", "-1"])).to_owned(),
        };
        format!("{name}{grouping}({parameter}, {inner})")
    }

    fn binary(&mut self, depth: u64) -> String {
        let arithmetic = ["+", "-", "*", "/", "%", "^", "atan2"];
        let comparison = ["==", "!=", ">", "<", ">=", "<="];
        let sets = ["and", "or", "unless"];
        match self.rng.below(10) {
            0..=3 => {
                let op = *self.rng.of(&arithmetic);
                let (left, right) = (self.vector(depth), self.scalar(0));
                if self.rng.chance(50) {
                    format!("({left}) {op} {right}")
                } else {
                    format!("{right} {op} ({left})")
                }
            }
            4..=5 => {
                let op = *self.rng.of(&comparison);
                let bool = if self.rng.chance(40) { "bool " } else { "" };
                let (left, right) = (self.selection(), self.scalar(0));
                if self.rng.chance(60) {
                    format!("{left} {op} {bool}{right}")
                } else {
                    format!("{right} {op} {bool}{left}")
                }
            }
            6..=7 => {
                let op = *self.rng.of(&sets);
                let matching = if self.rng.chance(60) { self.matching() } else { String::new() };
                format!("({}) {op} {matching}({})", self.vector(depth), self.vector(depth))
            }
            _ => self.joined(depth, &[&arithmetic[..], &comparison[..]].concat()),
        }
    }

    fn matching(&mut self) -> String {
        let word = *self.rng.of(&["on", "ignoring"]);
        let count = self.rng.below(3);
        let labels: Vec<&str> = (0..count).map(|_| *self.rng.of(LABELS)).collect();
        format!("{word} ({}) ", labels.join(", "))
    }

    /// Two vectors that mostly have partners.
    fn joined(&mut self, depth: u64, ops: &[&str]) -> String {
        let op = *self.rng.of(ops);
        let bool = if ["==", "!=", ">", "<", ">=", "<="].contains(&op) && self.rng.chance(40) {
            " bool"
        } else {
            ""
        };
        match self.rng.below(5) {
            0 => {
                let selector = self.selection();
                format!("{selector} {op}{bool} {selector}")
            }
            1 => {
                let (left, right) = (self.vector(depth), self.vector(depth));
                format!("sum by (instance) ({left}) {op}{bool} avg by (instance) ({right})")
            }
            2 => {
                let left = self.selector(&[Kind::Counter, Kind::Bucket]);
                format!("{left} {op}{bool} on (instance, job) group_left () up")
            }
            3 => {
                let left = self.selector(&[Kind::Gauge, Kind::Counter]);
                format!("up {op}{bool} on (instance) group_right (job) {left}")
            }
            _ => format!("({}) {op}{bool} {}({})", self.vector(depth), self.matching(), self.vector(depth)),
        }
    }

    fn call(&mut self, function: &Function, depth: u64) -> String {
        match function.name {
            "label_replace" => self.label_replace(depth),
            "label_join" => {
                let labels: Vec<String> =
                    (0..self.rng.below(4)).map(|_| format!(", \"{}\"", self.rng.of(LABELS))).collect();
                let target = *self.rng.of(&["joined", "job", "instance"]);
                format!("label_join({}, \"{target}\", \"-\"{})", self.vector(depth), labels.concat())
            }
            "sort_by_label" | "sort_by_label_desc" => {
                format!(
                    "{}({}, \"{}\", \"{}\")",
                    function.name,
                    self.vector(depth),
                    self.rng.of(LABELS),
                    self.rng.of(LABELS)
                )
            }
            "histogram_quantiles" => format!("histogram_quantiles({}, \"q\", 0.5, 0.9)", self.vector(depth)),
            "info" => {
                let labels = *self.rng.of(&[
                    "",
                    ", {version=\"1\"}",
                    ", {none=\"x\"}",
                    ", {__name__=\"target_info\"}",
                ]);
                format!("info({}{labels})", self.selection())
            }
            "absent" | "absent_over_time" => {
                let selector = if self.rng.chance(50) {
                    self.selection()
                } else {
                    "nothing{job=\"x\",instance=~\"a.*\"}".to_owned()
                };
                if function.name == "absent" {
                    format!("absent({selector})")
                } else {
                    format!("absent_over_time({}[5m])", self.selector(&[]))
                }
            }
            "double_exponential_smoothing" => {
                format!(
                    "double_exponential_smoothing({}, {}, {})",
                    self.matrix(&[Kind::Gauge], depth),
                    self.rng.of(&["0.5", "0.1"]),
                    self.rng.of(&["0.5", "0.3"])
                )
            }
            name if name.starts_with("histogram_") && self.rng.chance(70) => self.histogram_call(function),
            _ => {
                let least = function.arity.min;
                let most = function.arity.max.unwrap_or(least);
                let count = self.rng.between(least as i64, most.max(least) as i64) as usize;
                let args: Vec<String> = (0..count)
                    .map(|n| self.argument(function.args[n.min(function.args.len() - 1)], depth))
                    .collect();
                format!("{}({})", function.name, args.join(", "))
            }
        }
    }

    fn argument(&mut self, kind: ValueKind, depth: u64) -> String {
        match kind {
            ValueKind::Vector => self.vector(depth),
            ValueKind::Scalar => self.scalar(0),
            ValueKind::Matrix => {
                let kinds = self.any_kinds();
                self.matrix(kinds, depth)
            }
            ValueKind::String => format!("\"{}\"", self.rng.of(LABELS)),
        }
    }

    fn histogram_call(&mut self, function: &Function) -> String {
        let inner = match self.rng.below(3) {
            0 => self.selector(&[Kind::Native]),
            1 => format!("rate({}[{}])", self.selector(&[Kind::Native]), self.rng.of(RANGES)),
            _ => format!("sum {} ({})", self.grouping(), self.selector(&[Kind::Native])),
        };
        match function.name {
            "histogram_quantile" => {
                format!("histogram_quantile({}, {inner})", self.rng.of(&["0.1", "0.5", "0.99", "2"]))
            }
            "histogram_fraction" => {
                format!(
                    "histogram_fraction({}, {}, {inner})",
                    self.rng.of(&["0", "-Inf", "0.1"]),
                    self.rng.of(&["0.2", "1", "+Inf"])
                )
            }
            "histogram_quantiles" => format!("histogram_quantiles({inner}, \"q\", 0.5, 0.9)"),
            name => format!("{name}({inner})"),
        }
    }

    fn label_replace(&mut self, depth: u64) -> String {
        let inner = self.vector(depth);
        let target = *self.rng.of(&["host", "job", "instance"]);
        let (replacement, pattern) = *self.rng.of(&[
            ("$1", "(.*):.*"),
            ("x-$1", "(.+)"),
            ("", ".*"),
            ("fixed", ""),
            ("${1}y", "([a-z]).*"),
        ]);
        format!(
            "label_replace({inner}, \"{target}\", \"{replacement}\", \"{}\", \"{pattern}\")",
            self.rng.of(LABELS)
        )
    }
}

/// A value inside a regular expression.
fn plain(value: &str) -> String {
    value
        .chars()
        .flat_map(|c| if c.is_ascii_alphanumeric() || c == ':' { vec![c] } else { vec!['\\', '\\', c] })
        .collect()
}
