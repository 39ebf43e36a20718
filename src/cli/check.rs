//! `foghorn check FILE…`: every problem of configuration and rule files, and of files for `--web.config.file`, each with its
//! place.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use config::{LoadOptions, Problems};
use server::DiskFiles;

use super::args;
use super::say::say;
use super::serve::{matcher_mode, parse_options};

/// Checks all files: configurations are merged, rule files are checked each for itself.
pub(crate) fn run(args: &args::Check) -> anyhow::Result<()> {
    let (web, files): (Vec<PathBuf>, Vec<PathBuf>) =
        args.files.iter().cloned().partition(|path| args.web || is_web_file(path));
    let (rules, configs): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|path| is_rule_file(path));
    let options = LoadOptions {
        promql: parse_options(&args.features),
        matcher_mode: matcher_mode(&args.features)?,
        ..LoadOptions::default()
    };
    // Shown together at the end, with one count.
    let mut all = Problems(Vec::new());
    if !configs.is_empty() {
        match config::load_with(&DiskFiles, &configs, &server::catalog(), &options) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    eprintln!("{warning}");
                }
                let config = &loaded.config;
                let rules: usize = config.rule_groups.iter().map(|group| group.rules.len()).sum();
                say!(
                    "{}: {} jobs, {} rules, {} receivers",
                    names(&configs),
                    config.scrape_configs.len(),
                    rules + config.script_rules.len(),
                    config.receivers.len()
                );
            }
            Err(problems) => all.0.extend(problems.0),
        }
    }
    for file in &rules {
        match config::check_rules(&DiskFiles, std::slice::from_ref(file), &options) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    eprintln!("{warning}");
                }
                let rules: usize = loaded.groups.iter().map(|group| group.rules.len()).sum();
                say!("{}: {} groups, {rules} rules", file.display(), loaded.groups.len());
            }
            Err(problems) => all.0.extend(problems.0),
        }
    }
    let mut failed = None;
    for file in &web {
        match server::check_web(file) {
            Ok(warnings) => {
                for warning in warnings {
                    eprintln!("{warning}");
                }
                say!("{}: TLS and passwords can be used like this", file.display());
            }
            Err(problems) => {
                eprintln!("{problems}");
                failed = Some(anyhow!("{} cannot be used", file.display()));
            }
        }
    }
    match failed {
        _ if all.errors() > 0 => Err(anyhow!("{all}")),
        Some(failed) => Err(failed),
        None => Ok(()),
    }
}

fn names(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" + ")
}

/// A file of `--web.config.file` has one of its keys at its top.
fn is_web_file(path: &Path) -> bool {
    const KEYS: [&str; 3] = ["tls_server_config:", "http_server_config:", "basic_auth_users:"];
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    text.lines().any(|line| KEYS.iter().any(|key| line.starts_with(key)))
}

/// A rule file has `groups` at its top and nothing of a configuration.
fn is_rule_file(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    text.lines().any(|line| line.starts_with("groups:") || line.starts_with("\"groups\""))
}
