//! `file_sd_configs`: lists of targets in files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Labels;

use super::{Closed, Updates};
use crate::TargetGroup;
use crate::target_list::{Notation, parse};

/// Files are looked at this often, whatever the configuration says: a changed file should count at once.
const POLL: Duration = Duration::from_secs(5);

/// A file as it was read last.
#[derive(Clone, Debug, Default)]
struct Known {
    text: String,
    groups: Vec<TargetGroup>,
    problem: Option<String>,
}

pub(super) async fn run(patterns: Vec<PathBuf>, refresh: Duration, updates: Updates) {
    let mut known: BTreeMap<PathBuf, Known> = BTreeMap::new();
    let mut timer = tokio::time::interval(refresh.min(POLL).max(Duration::from_millis(1)));
    let mut is_first = true;
    loop {
        timer.tick().await;
        let (for_read, before) = (patterns.clone(), known.clone());
        let Ok((now, changed)) = tokio::task::spawn_blocking(move || read_all(&for_read, before)).await
        else {
            return;
        };
        known = now;
        if changed || std::mem::take(&mut is_first) {
            let groups = known.values().flat_map(|file| file.groups.clone()).collect();
            let problems: Vec<&str> = known.values().filter_map(|file| file.problem.as_deref()).collect();
            let problem = (!problems.is_empty()).then(|| problems.join("; "));
            if let Err(Closed) = updates.send(Some(groups), problem).await {
                return;
            }
        }
    }
}

/// Reads what the patterns name. Files that cannot be read keep their targets; files that are gone lose them.
fn read_all(patterns: &[PathBuf], mut before: BTreeMap<PathBuf, Known>) -> (BTreeMap<PathBuf, Known>, bool) {
    let mut now = BTreeMap::new();
    let mut changed = false;
    for path in patterns.iter().flat_map(|pattern| files(pattern)) {
        let mut file = before.remove(&path).unwrap_or_default();
        let problem = match std::fs::read_to_string(&path) {
            Ok(text) if text == file.text && file.problem.is_none() && !text.is_empty() => None,
            Ok(text) => match read(&path, &text) {
                Ok(groups) => {
                    changed |= groups != file.groups;
                    (file.groups, file.text) = (groups, text);
                    None
                }
                Err(problem) => Some(problem),
            },
            Err(error) => Some(format!("{}: {error}", path.display())),
        };
        changed |= problem != file.problem;
        file.problem = problem;
        now.insert(path, file);
    }
    changed |= before.values().any(|file| !file.groups.is_empty() || file.problem.is_some());
    (now, changed)
}

/// The files that a pattern names. A path without a pattern is a file even if it does not exist.
fn files(pattern: &Path) -> Vec<PathBuf> {
    let text = pattern.to_string_lossy();
    if !text.contains(['*', '?', '[']) {
        return if pattern.exists() { vec![pattern.to_owned()] } else { Vec::new() };
    }
    glob::glob(&text).map(|paths| paths.filter_map(Result::ok).collect()).unwrap_or_default()
}

fn read(path: &Path, text: &str) -> Result<Vec<TargetGroup>, String> {
    let notation = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Notation::Json,
        _ => Notation::Yaml,
    };
    let mut groups = parse(text, notation).map_err(|error| format!("{}: {error}", path.display()))?;
    let source = Labels::from([("__meta_filepath", &*path.to_string_lossy())]);
    for group in &mut groups {
        group.labels = group.labels.iter().chain(source.iter()).collect();
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_keeps_its_targets_and_a_removed_one_loses_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let patterns = [folder.path().join("*.json"), file("b.yml")];
        let read = |before| read_all(&patterns, before);
        let addresses = |known: &BTreeMap<PathBuf, Known>| -> Vec<String> {
            let targets = known.values().flat_map(|file| &file.groups).flat_map(|group| &group.targets);
            targets.map(|target| target.value("__address__").to_owned()).collect()
        };
        std::fs::write(file("a.json"), r#"[{"targets": ["a:1"]}]"#).unwrap();
        std::fs::write(file("b.yml"), "- targets: [b:1]").unwrap();
        let (known, changed) = read(BTreeMap::new());
        assert_eq!((addresses(&known), changed), (vec!["a:1".to_owned(), "b:1".to_owned()], true));
        let group = &known[&file("b.yml")].groups[0];
        assert_eq!(group.labels.value("__meta_filepath"), file("b.yml").to_string_lossy());

        let (known, changed) = read(known);
        assert!(!changed);

        std::fs::write(file("a.json"), "[{").unwrap();
        let (known, changed) = read(known);
        assert!(changed && known[&file("a.json")].problem.as_ref().is_some_and(|p| p.contains("not JSON")));
        assert_eq!(addresses(&known).len(), 2);

        std::fs::remove_file(file("a.json")).unwrap();
        let (known, changed) = read(known);
        assert_eq!((addresses(&known), changed), (vec!["b:1".to_owned()], true));

        std::fs::write(file("b.yml"), "- targets: [b:1, b:2]").unwrap();
        let (known, changed) = read(known);
        assert_eq!((addresses(&known).len(), changed), (2, true));
    }
}
