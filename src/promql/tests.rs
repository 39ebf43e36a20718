//! Text suites and properties of the whole room.

use std::collections::BTreeMap;

use model::{Labels, SampleValue, Timestamp, Vector};
use proptest::prelude::*;

use crate::testing::{Memory, Texts, almost_equal, run};
use crate::{EvalError, EvalOptions, NanoClock, ParseOptions, Range, Stop, Value, parse, plan};

#[test]
fn scripts_pass() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/promql");
    let (mut count, mut failures) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).expect("the suites are part of the repository") {
        let path = entry.expect("a readable folder").path();
        let script = std::fs::read_to_string(&path).expect("a readable suite");
        for outcome in run(&script, Texts::Compared) {
            count += 1;
            if let Err(why) = outcome.result {
                failures.push(format!("{}:{}: {}\n    {why}", path.display(), outcome.line, outcome.text));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count > 100, "{count} evaluations");
}

fn instant(memory: &Memory, text: &str, at: i64, options: &EvalOptions) -> Result<Vector, EvalError> {
    let expr = parse(text, &ParseOptions::all()).unwrap();
    match memory.query(&expr, Range::instant(Timestamp::from_secs(at)), options)?.value {
        Value::Vector(vector) => Ok(vector),
        other => panic!("{text}: {other:?}"),
    }
}

fn instant_value(memory: &Memory, text: &str, at: i64, options: &EvalOptions) -> Result<Value, EvalError> {
    let expr = parse(text, &ParseOptions::all()).unwrap();
    memory.query(&expr, Range::instant(Timestamp::from_secs(at)), options).map(|answer| answer.value)
}

fn memory(lines: &[&str]) -> Memory {
    let mut memory = Memory::default();
    memory.load(std::time::Duration::from_secs(60), lines, false).unwrap();
    memory
}

#[test]
fn says_where_and_what_was_meant() {
    for (text, message) in [
        ("rat(x[5m])", "1:1: parse error: unknown function with name \"rat\"; did you mean `rate`?"),
        (
            "rate(x)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector; add a range, such as `[5m]`",
        ),
        (
            "holt_winters(x[5m], 1, 1)",
            "1:1: parse error: unknown function with name \"holt_winters\"; it is called `double_exponential_smoothing` now",
        ),
        (
            "sum(x) = 3",
            "1:8: parse error: unexpected `=`, expected an operator or the end; to compare, write `==`",
        ),
        (
            "x +\n  {}",
            "2:3: parse error: vector selector must contain at least one non-empty matcher; it would select every series; add a metric name or a matcher such as `{job=\"x\"}`",
        ),
        ("x{a=b}", "1:5: parse error: unexpected `b` in label matching, expected a quoted text"),
        ("1 == 1", "1:1: parse error: comparisons between scalars must use bool modifier; write `== bool`"),
        ("é", "1:1: parse error: unexpected character: `é`"),
        (
            "limitk(1, x)",
            "1:1: parse error: aggregation \"limitk\" is experimental and not enabled; start the server with the feature `promql-experimental-functions`",
        ),
    ] {
        let errors = parse(text, &ParseOptions::default()).unwrap_err();
        assert_eq!(errors.first().to_string(), message, "{text}");
    }
    // Every mistake at once, in the order of the text.
    let errors = parse("rate(x) + sum(y[5m])", &ParseOptions::default()).unwrap_err();
    assert_eq!(errors.iter().map(|e| e.span.column).collect::<Vec<_>>(), [6, 15]);
}

#[test]
fn nesting_has_an_end_and_needs_little_stack() {
    let deep = format!("{}x{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(parse(&deep, &ParseOptions::all()).is_err());
    let long = vec!["x"; 100_000].join(" or ");
    assert!(parse(&long, &ParseOptions::all()).is_err());
    // What is allowed can be walked in the stack that is promised to be enough.
    let nested =
        |open: &str, close: &str, times: usize| format!("{}x{}", open.repeat(times), close.repeat(times));
    let allowed = [
        vec!["abs(-x)"; 990].join(" + "),
        vec!["abs(-x)"; 990].join(" or "),
        format!("x{}", " + 1".repeat(990)),
        format!("x + (1{})", " + 1".repeat(990)),
        nested("(", ")", 98),
        nested("sum(abs(", "))", 48),
        nested("max_over_time((", ")[1m:1m])", 48),
        nested("-(1 + ", ")", 32),
        nested("label_replace(", ", \"a\", \"\", \"\", \"\")", 98),
    ];
    let evaluated = std::thread::Builder::new().stack_size(crate::STACK_BYTES / 2).spawn(move || {
        let memory = memory(&["x 1"]);
        let answer =
            |text: &String| instant(&memory, text, 0, &EvalOptions::default()).map(|vector| vector.len());
        allowed.iter().map(answer).collect::<Vec<_>>()
    });
    assert_eq!(evaluated.unwrap().join().unwrap(), vec![Ok(1); 9]);
}

#[test]
fn stops_when_told_and_when_it_would_hold_too_much() {
    let memory = memory(&["x{a=\"1\"} 1x100", "x{a=\"2\"} 1x100"]);
    let stop = Stop::default();
    let options = EvalOptions { stop: stop.clone(), ..EvalOptions::default() };
    assert_eq!(instant(&memory, "sum(x)", 60, &options).unwrap().len(), 1);
    stop.time_out();
    assert_eq!(instant(&memory, "sum(x)", 60, &options), Err(EvalError::TimedOut));
    stop.cancel();
    assert_eq!(instant(&memory, "sum(x)", 60, &options), Err(EvalError::Canceled));

    let few = EvalOptions { samples_max: 50, ..EvalOptions::default() };
    assert_eq!(instant(&memory, "sum(x)", 60, &few).unwrap().len(), 1);
    let range =
        Range::new(Timestamp::EPOCH, Timestamp::from_secs(1 << 40), std::time::Duration::from_millis(1));
    let one = parse("1", &ParseOptions::all()).unwrap();
    assert_eq!(memory.query(&one, range, &few), Err(EvalError::TooManySamples { max: 50 }));
    for text in ["sum_over_time(x[1h])", "count_over_time(x[1h:1s])", "max_over_time(x[10000d:1ms])"] {
        assert_eq!(instant(&memory, text, 6000, &few), Err(EvalError::TooManySamples { max: 50 }), "{text}");
    }
}

#[test]
fn histograms_count_as_many_samples_as_take_their_space() {
    let mut memory = memory(&["x 1x100"]);
    let wide = "h {{schema:0 sum:1 count:20 buckets:[1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1]}}x100";
    memory.load(std::time::Duration::from_secs(60), &[wide], false).unwrap();
    // 176 bytes of its own, 20 buckets and a span of 8 bytes each, 16 bytes a sample.
    let size = 21;
    let peak = |text: &str| {
        let expr = parse(text, &ParseOptions::all()).unwrap();
        let at = Range::instant(Timestamp::from_secs(600));
        memory.query(&expr, at, &EvalOptions::default()).unwrap().samples.peak
    };
    for of in ["", "[10m]", " * 2", "[10m:1m]"] {
        let [number, histogram] = ["x", "h"].map(|name| peak(&format!("{name}{of}")));
        assert!(histogram >= (number - 1) * size && histogram <= number * size, "{of} {number} {histogram}");
    }
    let few = EvalOptions { samples_max: 10 * 21 - 1, ..EvalOptions::default() };
    for text in ["h[10m]", "sum_over_time(h[10m])", "last_over_time(h[10m:1m])", "h[10m:1m]"] {
        let answer = instant_value(&memory, text, 600, &few);
        assert_eq!(answer.err(), Some(EvalError::TooManySamples { max: 209 }), "{text}");
    }
    assert!(instant_value(&memory, "sum_over_time(h[9m])", 600, &few).is_ok());
}

/// One long series; reading it is what ends the evaluation.
struct EndsWhenRead(Vec<model::Series>, Stop);

impl model::SeriesReader for EndsWhenRead {
    fn series_len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.0.labels(index)
    }

    fn read(
        &self,
        index: usize,
        start: Timestamp,
        end: Timestamp,
        samples: &mut model::Samples,
    ) -> Result<(), model::ReadError> {
        self.1.cancel();
        self.0.read(index, start, end, samples)
    }

    fn samples_estimate(&self) -> usize {
        self.0.samples_estimate()
    }
}

#[test]
fn stops_in_the_middle_of_a_series() {
    let memory = memory(&["x 0+1x2000"]);
    let range = Range::new(Timestamp::EPOCH, Timestamp::from_secs(60_000), std::time::Duration::from_secs(1));
    for text in
        ["max_over_time(x[1h])", "mad_over_time(x[1h])", "quantile_over_time(0.5, x[1h])", "rate(x[1h])"]
    {
        let expr = parse(text, &ParseOptions::all()).unwrap();
        let options = EvalOptions::default();
        let series: Vec<model::Series> = memory.select(&plan(&expr, range, &options)[0]);
        let data = [EndsWhenRead(series, options.stop.clone())];
        assert_eq!(crate::eval(&expr, range, &data, &options), Err(EvalError::Canceled), "{text}");
    }
}

#[test]
fn selects_what_is_needed_and_shares_it() {
    let options = EvalOptions::default();
    let selections = |text: &str, range: Range| -> Vec<String> {
        plan(&parse(text, &ParseOptions::all()).unwrap(), range, &options)
            .iter()
            .map(|s| {
                let matchers: Vec<String> = s.matchers.iter().map(ToString::to_string).collect();
                format!("{} {}..{}", matchers.join(","), s.start.as_millis(), s.end.as_millis())
            })
            .collect()
    };
    let at = Range::instant(Timestamp::from_secs(1000));
    for (text, wanted) in [
        ("x", vec!["__name__=\"x\" 700001..1000000"]),
        ("x[1m] offset 10s", vec!["__name__=\"x\" 930001..990000"]),
        ("rate(x[1m]) / rate(x[2m])", vec!["__name__=\"x\" 880001..1000000"]),
        ("x - x offset 1h", vec!["__name__=\"x\" 700001..1000000", "__name__=\"x\" -2899999..-2600000"]),
        ("x @ 10", vec!["__name__=\"x\" -289999..10000"]),
        ("max_over_time(rate(x[1m])[10m:1m] offset 1m)", vec!["__name__=\"x\" 280001..940000"]),
        ("1 + 1", vec![]),
    ] {
        assert_eq!(selections(text, at), wanted, "{text}");
    }
    let range = Range::new(
        Timestamp::from_secs(1000),
        Timestamp::from_secs(2000),
        std::time::Duration::from_secs(10),
    );
    assert_eq!(selections("x[1m] @ end()", range), ["__name__=\"x\" 1940001..2000000"]);
    assert_eq!(selections("sum(rate(x[step()]))", range), ["__name__=\"x\" 990001..2000000"]);
}

#[test]
fn drops_names_at_once_unless_told_to_wait() {
    let memory = memory(&["a 1", "b 2"]);
    let at_once = EvalOptions::default();
    let both = "abs({__name__=~\"a|b\"})";
    assert!(instant(&memory, both, 0, &at_once).is_err());
    let text = "label_replace(abs({__name__=~\"a|b\"}), \"from\", \"$1\", \"__name__\", \"(.*)\")";
    let waiting = EvalOptions { delayed_name_removal: true, ..EvalOptions::default() };
    let labels: Vec<String> =
        instant(&memory, text, 0, &waiting).unwrap().iter().map(|s| s.labels.to_string()).collect();
    assert_eq!(labels, ["{from=\"a\"}", "{from=\"b\"}"]);
}

/// Expressions as people write them, and somewhat worse.
fn expression() -> impl Strategy<Value = String> {
    let selector = prop_oneof![
        Just("up".to_owned()),
        Just("a:b{x=\"1\",y!~\"a|b\"}".to_owned()),
        Just("{\"dotted.name\", \"l 1\"=~\"x\"}".to_owned()),
        Just("x @ 12.5 offset -5m".to_owned()),
        Just("y offset 1w @ end()".to_owned()),
        Just("z smoothed".to_owned()),
    ];
    let range = prop_oneof![
        Just("rate(x[5m])".to_owned()),
        Just("increase(x{a=\"b\"}[1h30m] anchored offset 5m)".to_owned()),
        Just("max_over_time(y[2m * (3 + step())])".to_owned()),
        Just("quantile_over_time(0.5, y[-5m + 10m] offset -(1m))".to_owned()),
    ];
    let leaf = prop_oneof![
        selector,
        range,
        (0u32..1000).prop_map(|n| format!("vector({})", f64::from(n) / 8.0)),
        Just("vector(0x1f)".to_owned()),
        Just("vector(-Inf)".to_owned()),
        Just("vector(5m)".to_owned()),
        Just("label_replace(x, \"a\", \"\\\"\\n\", 'b', `c\\d`)".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let op = prop_oneof![
            Just("+"),
            Just("-"),
            Just("*"),
            Just("/"),
            Just("%"),
            Just("^"),
            Just("atan2"),
            Just("=="),
            Just("> bool"),
            Just("and"),
            Just("or on()"),
            Just("unless ignoring(a)"),
            Just("* on(a, \"b c\") group_left(d)"),
            Just("- ignoring() group_right ()"),
            Just("+ fill(3)"),
            Just("</"),
            Just("- on(a) fill_left(-1) fill_right(2)"),
        ];
        prop_oneof![
            (inner.clone(), op, inner.clone()).prop_map(|(l, op, r)| format!("{l} {op} {r}")),
            inner.clone().prop_map(|e| format!("({e})")),
            inner.clone().prop_map(|e| format!("-{e}")),
            inner.clone().prop_map(|e| format!("sum by (a, \"b.c\") ({e})")),
            inner.clone().prop_map(|e| format!("topk(3, {e}) without ()")),
            inner.clone().prop_map(|e| format!("avg_over_time(({e})[1h:5m] @ start())")),
            inner.prop_map(|e| format!("clamp({e}, 1e-9, +3)")),
        ]
    })
}

#[test]
fn an_infinity_in_a_power_is_printed_without_its_sign() {
    // With it, the plus would be the sign of the power: it binds less.
    for text in ["-2 ^ Inf ^ x", "Inf ^ x", "x ^ Inf"] {
        let expr = parse(text, &ParseOptions::all()).unwrap();
        assert_eq!(expr.to_string(), text);
    }
}

proptest! {
    #[test]
    fn printed_expressions_mean_the_same(text in expression()) {
        let options = ParseOptions::all();
        let expr = parse(&text, &options).unwrap_or_else(|e| panic!("{text}: {e}"));
        let printed = expr.to_string();
        let again = parse(&printed, &options).unwrap_or_else(|e| panic!("{printed}: {e}"));
        prop_assert_eq!(again.to_string(), printed.clone());
        for width in [10, 40] {
            let pretty = expr.pretty_within(width);
            let again = parse(&pretty, &options).unwrap_or_else(|e| panic!("{pretty}: {e}"));
            prop_assert_eq!(again.to_string(), printed.clone());
        }
    }

    #[test]
    fn any_text_is_an_expression_or_an_error(text in ".{0,60}") {
        let _ = parse(&text, &ParseOptions::all());
        let _ = crate::parse_series(&text);
        let _ = run(&text, Texts::Ignored);
    }

    #[test]
    fn any_tokens_are_an_expression_or_an_error(
        tokens in prop::collection::vec(
            prop::sample::select(vec![
                "x", "sum", "by", "(", ")", "{", "}", "[", "]", ":", ",", "5m", "1", "+", "-", "^", "and", "on", "offset", "@",
                "start", "bool", "=", "=~", "\"a\"", "rate", "group_left", "fill", "smoothed", "step", "inf", "/", "<", "\\", "\"",
            ]),
            0..20,
        ),
    ) {
        let _ = parse(&tokens.join(" "), &ParseOptions::all());
        let _ = parse(&tokens.concat(), &ParseOptions::all());
    }

    /// Any answer is fine; a panic or an endless loop is not.
    #[test]
    fn evaluation_of_anything_ends(
        text in expression(),
        values in prop::collection::vec(prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(model::stale_nan()), Just(0.0), -1e9..1e9, Just(f64::MAX),
        ], 0..30),
        at in -1000i64..100_000,
        step in 1i64..500,
    ) {
        let mut memory = Memory::default();
        for (index, value) in values.iter().enumerate() {
            for name in ["x", "up", "y"] {
                let labels = Labels::from([("__name__", name), ("a", ["1", "2"][index % 2])]);
                memory.push(&labels, Timestamp::from_secs(index as i64 * 17), SampleValue::Float(*value));
            }
        }
        let expr = parse(&text, &ParseOptions::all()).unwrap();
        let options = EvalOptions { samples_max: 20_000, ..EvalOptions::default() };
        let start = Timestamp::from_secs(at);
        let _ = memory.query(&expr, Range::instant(start), &options);
        let range = Range::new(start, start.plus_millis(step * 20_000), std::time::Duration::from_secs(step as u64));
        let _ = memory.query(&expr, range, &options);
    }

    /// The rate of a counter against the definition, told step by step.
    #[test]
    fn rate_is_what_it_is_defined_to_be(
        steps in prop::collection::vec((1i64..40, -5.0..50.0f64), 2..40),
        at in 0i64..800,
        window in 10i64..300,
    ) {
        let mut samples = BTreeMap::new();
        let (mut time, mut value) = (0, 0.0f64);
        for (distance, growth) in steps {
            time += distance;
            // A negative growth is a reset.
            value = if growth < 0.0 { 1.0 } else { value + growth };
            samples.insert(time, value);
        }
        let mut memory = Memory::default();
        let labels = Labels::from([("__name__", "x_total")]);
        for (time, value) in &samples {
            memory.push(&labels, Timestamp::from_secs(*time), SampleValue::Float(*value));
        }
        let got = instant(&memory, &format!("rate(x_total[{window}s])"), at, &EvalOptions::default()).unwrap();
        let wanted = naive_rate(&samples, at, window);
        match (got.first().and_then(|s| s.value.as_float()), wanted) {
            (Some(got), Some(wanted)) => prop_assert!(almost_equal(got, wanted), "{got} and {wanted}"),
            (got, wanted) => prop_assert_eq!(got, wanted),
        }
    }
}

fn naive_rate(samples: &BTreeMap<i64, f64>, at: i64, window: i64) -> Option<f64> {
    let inside: Vec<(f64, f64)> = samples
        .iter()
        .filter(|(time, _)| **time > at - window && **time <= at)
        .map(|(time, value)| (*time as f64, *value))
        .collect();
    if inside.len() < 2 {
        return None;
    }
    let grown: f64 = inside.windows(2).map(|w| if w[1].1 < w[0].1 { w[1].1 } else { w[1].1 - w[0].1 }).sum();
    let (first, last) = (inside[0], inside[inside.len() - 1]);
    let sampled = last.0 - first.0;
    let distance = sampled / (inside.len() - 1) as f64;
    let reach = |gap: f64| if gap < distance * 1.1 { gap } else { distance / 2.0 };
    let mut to_start = reach(first.0 - (at - window) as f64);
    if grown > 0.0 {
        to_start = to_start.min(sampled * first.1 / grown);
    }
    let to_end = reach(at as f64 - last.0);
    Some(grown * (sampled + to_start + to_end) / sampled / window as f64)
}

#[test]
fn accounts_for_samples_and_nodes() {
    let memory = memory(&["x{a=\"1\"} 0+60x10", "x{a=\"2\"} 0+60x10"]);
    let expr = parse("sum(rate(x[5m])) + max_over_time(x[3m:1m] @ 600)", &ParseOptions::all()).unwrap();
    let time = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let clock = NanoClock::new(move || time.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let options = EvalOptions { per_step: true, explain: Some(clock), ..EvalOptions::default() };
    let range =
        Range::new(Timestamp::from_secs(480), Timestamp::from_secs(600), std::time::Duration::from_secs(60));
    let answer =
        memory.query(&parse("sum(rate(x[5m]))", &ParseOptions::all()).unwrap(), range, &options).unwrap();
    assert_eq!(answer.samples.per_step, [10, 10, 10]);
    assert_eq!((answer.samples.total, answer.samples.read), (30, 14));
    let explain = answer.explain.unwrap();
    assert_eq!((explain.kind, explain.series, explain.values, explain.samples), ("sum", 1, 3, 14));
    let rate = &explain.children[0];
    assert_eq!((rate.text.as_str(), rate.series, rate.values, rate.samples), ("rate(x[5m])", 2, 6, 14));
    assert!(rate.nanos > 0 && rate.nanos < explain.nanos, "{} of {}", rate.nanos, explain.nanos);
    let range_vector = &rate.children[0];
    assert_eq!((range_vector.kind, range_vector.series, range_vector.samples), ("range", 2, 14));
    let answer = memory.query(&expr, range, &options).unwrap();
    // Three values of the subquery for two series are the windows of each step; what they are made of does not count.
    assert_eq!(answer.samples.per_step, [16, 16, 16]);
    assert!(answer.samples.peak >= 6, "{:?}", answer.samples);
    let explain = answer.explain.unwrap();
    assert_eq!(explain.children.iter().map(|c| c.kind).collect::<Vec<_>>(), ["sum", "max_over_time"]);
    assert_eq!(explain.children[1].children[0].kind, "selector");
}
