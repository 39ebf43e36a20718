//! `foghorn test rules FILE…`: promtool's files of rule tests, with the same verdicts.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow, bail};
use config::LoadOptions;
use server::{TestOutcome, test_rules};

use super::args;
use super::say::say;
use super::serve::{matcher_mode, parse_options};

pub(crate) async fn run(verb: args::Test) -> anyhow::Result<()> {
    match verb {
        args::Test::Rules(args) => rules(args).await,
    }
}

async fn rules(args: args::TestRules) -> anyhow::Result<()> {
    let options = LoadOptions {
        promql: parse_options(&args.features),
        matcher_mode: matcher_mode(&args.features)?,
        ignore_unknown_keys: args.ignore_unknown,
        ..LoadOptions::default()
    };
    let mut patterns = Vec::new();
    for pattern in &args.run {
        let found = regex::Regex::new(pattern).with_context(|| format!("--run={pattern}"))?;
        patterns.push(found);
    }
    let chosen = |name: &str| patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_match(name));
    let mut suites = Vec::new();
    for file in &args.files {
        say!("{}", file.display());
        let outcome = test_rules(file, &options, &chosen).await;
        match &outcome {
            Ok(tests) => tests.iter().for_each(show),
            Err(problems) => say!("  FAILED: it cannot be used\n{}", indented(problems, "    ")),
        }
        suites.push((file.display().to_string(), outcome));
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit(&suites))
            .with_context(|| format!("`{}` cannot be written", path.display()))?;
    }
    let unusable = suites.iter().filter(|(_, outcome)| outcome.is_err()).count();
    let tests = || suites.iter().filter_map(|(_, outcome)| outcome.as_ref().ok()).flatten();
    let failed = tests().filter(|test| !test.failures.is_empty()).count();
    match (failed, unusable) {
        (0, 0) => {
            say!("{} passed", counted(tests().count()));
            Ok(())
        }
        (failed, 0) => bail!("{failed} of {} failed", counted(tests().count())),
        (0, 1) if suites.len() == 1 => Err(anyhow!("the file cannot be used")),
        (failed, unusable) => {
            bail!("{failed} of {} failed, files that cannot be used: {unusable}", counted(tests().count()))
        }
    }
}

fn counted(tests: usize) -> String {
    if tests == 1 { "1 test".to_owned() } else { format!("{tests} tests") }
}

fn show(test: &TestOutcome) {
    if test.failures.is_empty() {
        say!("  ok: {}", test.name);
        return;
    }
    say!("  FAILED: {}", test.name);
    for failure in &test.failures {
        say!("{}", indented(failure, "    "));
    }
}

fn indented(text: &str, by: &str) -> String {
    text.lines().map(|line| format!("{by}{line}")).collect::<Vec<_>>().join("\n")
}

/// The outcomes in JUnit's form, as build servers read it.
fn junit(suites: &[(String, Result<Vec<TestOutcome>, String>)]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (file, outcome) in suites {
        let unusable = [TestOutcome { name: "the file can be used".to_owned(), failures: Vec::new() }];
        let (tests, broken) = match outcome {
            Ok(tests) => (tests.as_slice(), None),
            Err(problems) => (unusable.as_slice(), Some(problems)),
        };
        let failed = tests.iter().filter(|test| !test.failures.is_empty()).count();
        // Writing to a string cannot fail.
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" errors=\"{}\">",
            escaped(file),
            tests.len(),
            usize::from(broken.is_some()),
        );
        for test in tests {
            let _ = write!(xml, "    <testcase name=\"{}\">", escaped(&test.name));
            for failure in &test.failures {
                let first = failure.lines().next().unwrap_or_default();
                let _ = write!(xml, "<failure message=\"{}\">{}</failure>", escaped(first), escaped(failure));
            }
            if let Some(problems) = broken {
                let first = problems.lines().next().unwrap_or_default();
                let _ = write!(xml, "<error message=\"{}\">{}</error>", escaped(first), escaped(problems));
            }
            xml.push_str("</testcase>\n");
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

/// Text as XML has it; characters that XML does not have become blanks.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() && c != '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_as_build_servers_read_them() {
        let test = |name: &str, failures: &[&str]| TestOutcome {
            name: name.to_owned(),
            failures: failures.iter().map(|&f| f.to_owned()).collect(),
        };
        let suites = [
            ("a.yml".to_owned(), Ok(vec![test("fine", &[]), test("a < b & \"c\"", &["at 5m: no\nmore"])])),
            ("b.yml".to_owned(), Err("error: gone\n  --> b.yml".to_owned())),
        ];
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="a.yml" tests="2" failures="1" errors="0">
    <testcase name="fine"></testcase>
    <testcase name="a &lt; b &amp; &quot;c&quot;"><failure message="at 5m: no">at 5m: no&#10;more</failure></testcase>
  </testsuite>
  <testsuite name="b.yml" tests="1" failures="0" errors="1">
    <testcase name="the file can be used"><error message="error: gone">error: gone&#10;  --&gt; b.yml</error></testcase>
  </testsuite>
</testsuites>
"#;
        assert_eq!(junit(&suites), expected);
    }
}
