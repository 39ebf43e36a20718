//! `promtool` and `amtool`: called by one of these names, such as through a link, we take that program's command line.
//!
//! In: its arguments, as it takes them. Out: ours, of the verb that does the same. Only what our verbs cover is here; for
//! everything else the original works against a running Foghorn.

use std::ffi::OsString;
use std::path::Path;

use clap::{Args, Parser, Subcommand};

/// Our command line for the arguments of a namesake; what was given if we are called by another name. Ends the process with
/// the namesake's usage if its arguments are wrong.
pub(crate) fn ours(arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().and_then(|program| Path::new(program).file_stem()?.to_str());
    let words = match name {
        Some("promtool") => read::<Promtool>(&arguments).verb.ours(),
        Some("amtool") => read::<Amtool>(&arguments).verb.ours(),
        _ => return arguments,
    };
    std::iter::once("foghorn".to_owned()).chain(words).map(OsString::from).collect()
}

fn read<P: Parser>(arguments: &[OsString]) -> P {
    P::try_parse_from(arguments).unwrap_or_else(|error| {
        // Help and versions are "errors" too, and say it themselves.
        if error.use_stderr() {
            eprint!("{}", error.render());
            eprintln!("\n{ELSEWHERE}");
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
}

const ELSEWHERE: &str = "This is Foghorn, which has these commands built in; for others use the original, which works with Foghorn.";

#[derive(Debug, Parser)]
#[command(name = "promtool", version, about = "Checks, tests and asks as promtool does.", after_help = ELSEWHERE)]
struct Promtool {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check files.
    #[command(subcommand)]
    Check(Check),
    /// Run tests.
    #[command(subcommand)]
    Test(Test),
    /// Ask a server.
    #[command(subcommand)]
    Query(Query),
}

#[derive(Debug, Subcommand)]
enum Check {
    /// Check configuration files.
    Config(Files),
    /// Check rule files.
    Rules(Files),
    /// Check files of `--web.config.file`.
    WebConfig {
        #[arg(required = true)]
        files: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Files {
    #[arg(required = true)]
    files: Vec<String>,
    #[command(flatten)]
    features: Features,
    /// Taken and passed over: everything is checked.
    #[arg(long, hide = true)]
    syntax_only: bool,
    /// Taken and passed over: everything is checked.
    #[arg(long, hide = true)]
    lint: Option<String>,
    /// Taken and passed over: there is nothing that is only a matter of taste.
    #[arg(long, hide = true)]
    lint_fatal: bool,
    /// Taken and passed over: there is one mode.
    #[arg(long, hide = true)]
    agent: bool,
}

#[derive(Debug, Args)]
struct Features {
    /// As for the server.
    #[arg(long = "enable-feature", value_name = "NAMES")]
    features: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Test {
    /// Run files of rule tests.
    Rules {
        #[arg(required = true)]
        files: Vec<String>,
        /// Only tests whose name matches.
        #[arg(long)]
        run: Vec<String>,
        /// Write the outcomes into this file.
        #[arg(long)]
        junit: Option<String>,
        /// Only warn about keys that nobody knows.
        #[arg(long = "ignore-unknown-fields")]
        ignore_unknown: bool,
        /// Taken and passed over: differences are always shown.
        #[arg(long, hide = true)]
        diff: bool,
        /// Taken and passed over: what a test finds is always shown.
        #[arg(long, hide = true)]
        debug: bool,
        #[command(flatten)]
        features: Features,
    },
}

#[derive(Debug, Args)]
struct Printed {
    /// `json` for JSON.
    #[arg(short = 'o', long)]
    format: Option<String>,
}

#[derive(Debug, Args)]
struct Span {
    #[arg(long, allow_hyphen_values = true)]
    start: Option<String>,
    #[arg(long, allow_hyphen_values = true)]
    end: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Query {
    /// The value of an expression at one time.
    Instant {
        #[command(flatten)]
        printed: Printed,
        #[arg(long, allow_hyphen_values = true)]
        time: Option<String>,
        server: String,
        expr: String,
    },
    /// The values of an expression over time.
    Range {
        #[command(flatten)]
        printed: Printed,
        #[command(flatten)]
        span: Span,
        #[arg(long)]
        step: Option<String>,
        server: String,
        expr: String,
    },
    /// The series that selectors match.
    Series {
        #[command(flatten)]
        printed: Printed,
        #[command(flatten)]
        span: Span,
        #[arg(long = "match", required = true)]
        selectors: Vec<String>,
        server: String,
    },
    /// The values of a label.
    Labels {
        #[command(flatten)]
        printed: Printed,
        #[command(flatten)]
        span: Span,
        #[arg(long = "match")]
        selectors: Vec<String>,
        server: String,
        name: String,
    },
}

#[derive(Debug, Parser)]
#[command(name = "amtool", version, about = "Checks configurations as amtool does.", after_help = ELSEWHERE)]
struct Amtool {
    #[command(subcommand)]
    verb: AmtoolVerb,
}

#[derive(Debug, Subcommand)]
enum AmtoolVerb {
    /// Check configuration files.
    CheckConfig(Files),
}

/// Words of a command line.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn new(verb: &str) -> Self {
        Words(verb.split(' ').map(str::to_owned).collect())
    }

    fn flag(mut self, name: &str, value: Option<String>) -> Self {
        self.0.extend(value.map(|value| format!("--{name}={value}")));
        self
    }

    fn flags(mut self, name: &str, values: Vec<String>) -> Self {
        self.0.extend(values.into_iter().map(|value| format!("--{name}={value}")));
        self
    }

    /// What follows is no flag, whatever it begins with.
    fn words(mut self, words: Vec<String>) -> Vec<String> {
        self.0.push("--".to_owned());
        self.0.extend(words);
        self.0
    }

    /// The server, which may be named without its scheme.
    fn server(self, server: &str) -> Self {
        let scheme = if server.contains("://") { "" } else { "http://" };
        self.flag("server", Some(format!("{scheme}{server}")))
    }

    fn printed(self, printed: Printed) -> Self {
        self.flag("output", printed.format.filter(|format| format == "json"))
    }

    fn span(self, span: Span) -> Self {
        self.flag("start", span.start).flag("end", span.end)
    }
}

impl Files {
    fn ours(self) -> Vec<String> {
        Words::new("check").flags("enable-feature", self.features.features).words(self.files)
    }
}

impl AmtoolVerb {
    fn ours(self) -> Vec<String> {
        let AmtoolVerb::CheckConfig(files) = self;
        files.ours()
    }
}

impl Verb {
    fn ours(self) -> Vec<String> {
        match self {
            Verb::Check(Check::Config(files) | Check::Rules(files)) => files.ours(),
            Verb::Check(Check::WebConfig { files }) => Words::new("check --web-config").words(files),
            Verb::Test(Test::Rules { files, run, junit, ignore_unknown, diff: _, debug: _, features }) => {
                let mut words = Words::new("test rules").flags("run", run).flag("junit", junit);
                words.0.extend(ignore_unknown.then(|| "--ignore-unknown-fields".to_owned()));
                words.flags("enable-feature", features.features).words(files)
            }
            Verb::Query(query) => query.ours(),
        }
    }
}

impl Query {
    fn ours(self) -> Vec<String> {
        match self {
            Query::Instant { printed, time, server, expr } => Words::new("query instant")
                .server(&server)
                .printed(printed)
                .flag("time", time)
                .words(vec![expr]),
            Query::Range { printed, span, step, server, expr } => Words::new("query range")
                .server(&server)
                .printed(printed)
                .span(span)
                .flag("step", step)
                .words(vec![expr]),
            Query::Series { printed, span, selectors, server } => {
                Words::new("query series").server(&server).printed(printed).span(span).words(selectors)
            }
            Query::Labels { printed, span, selectors, server, name } => Words::new("query labels")
                .server(&server)
                .printed(printed)
                .span(span)
                .flags("match", selectors)
                .words(vec![name]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_of_namesakes() {
        for (theirs, wanted) in [
            (
                "promtool check config --lint=all --lint-fatal --agent a.yml b.yml",
                "foghorn check -- a.yml b.yml",
            ),
            ("/usr/bin/promtool check rules r.yml", "foghorn check -- r.yml"),
            ("promtool check web-config web.yml", "foghorn check --web-config -- web.yml"),
            ("amtool check-config am.yml", "foghorn check -- am.yml"),
            (
                "promtool test rules --run=up --junit x.xml --diff --debug t.yml",
                "foghorn test rules --run=up --junit=x.xml -- t.yml",
            ),
            (
                "promtool query instant -o json http://h:9090 up --time=5",
                "foghorn query instant --server=http://h:9090 --output=json --time=5 -- up",
            ),
            (
                "promtool query range --start 1 --end=2 --step=15s h:9090 -up",
                "foghorn query range --server=http://h:9090 --start=1 --end=2 --step=15s -- -up",
            ),
            (
                "promtool query series --match=up --match=down http://h",
                "foghorn query series --server=http://h -- up down",
            ),
            ("promtool query labels http://h job", "foghorn query labels --server=http://h -- job"),
            ("foghorn check --lint=all a.yml", "foghorn check --lint=all a.yml"),
        ] {
            let theirs: Vec<OsString> =
                theirs.replace(" -up", " -- -up").split(' ').map(OsString::from).collect();
            let ours = ours(theirs);
            assert_eq!(ours.join(std::ffi::OsStr::new(" ")), OsString::from(wanted));
            if wanted.contains(" -- ") {
                <crate::Cli as Parser>::try_parse_from(&ours)
                    .unwrap_or_else(|error| panic!("{wanted}: {error}"));
            }
        }
        assert!(Promtool::try_parse_from(["promtool", "tsdb", "analyze"]).is_err());
    }
}
