//! Wrong configurations and what is said about them, as text: `wrong/*.txt`.
//!
//! A case begins with `=== NAME`. Its files follow, each under `--- PATH`; those with `main` in front of the path are
//! given to the loader, those with `gone` too, and do not exist. After `--- says` stands everything that is said. `FOGHORN_UPDATE=1` writes down what is said now.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::{Catalog, LoadOptions, MemoryFiles, load_with};

struct Case {
    name: String,
    head: String,
    files: MemoryFiles,
    main: Vec<PathBuf>,
    says: String,
}

/// Splits a file of cases; text in front of the first case is kept.
fn cases(text: &str) -> (String, Vec<Case>) {
    let mut parts = text.split("\n=== ");
    let preface = parts.next().unwrap_or_default().to_owned();
    (preface, parts.map(case).collect())
}

fn case(text: &str) -> Case {
    let (head, says) = text.split_once("\n--- says\n").unwrap_or((text, ""));
    let mut sections = head.split("\n--- ");
    let name = sections.next().unwrap_or_default().to_owned();
    let mut files = MemoryFiles::default().with_variable("SET", "value");
    let mut main = Vec::new();
    for section in sections {
        let (path, content) = section.split_once('\n').unwrap_or((section, ""));
        if let Some(path) = path.strip_prefix("gone ") {
            main.push(PathBuf::from(path));
            continue;
        }
        let path = match path.strip_prefix("main ") {
            Some(path) => {
                main.push(PathBuf::from(path));
                path
            }
            None => path,
        };
        // What cannot stand in a text file: `\t`, `\xff`.
        let content = content.replace("<TAB>", "\t").into_bytes();
        files.files.insert(PathBuf::from(path), [content, b"\n".to_vec()].concat());
    }
    Case { name, head: head.to_owned(), files, main, says: says.trim_end().to_owned() }
}

fn said(case: &Case) -> String {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let catalog = Catalog {
        exporters: names(&["host", "mock_model"]),
        notifiers: names(&["discord", "email", "slack", "webhook"]),
        discoveries: names(&["file", "http", "dns"]),
        ..Catalog::default()
    };
    let result = load_with(&case.files, &case.main, &catalog, &LoadOptions::default());
    match result {
        Ok(loaded) if loaded.warnings.is_empty() => "nothing".to_owned(),
        Ok(loaded) => loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn wrong_configurations_are_explained() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("wrong");
    let update = std::env::var_os("FOGHORN_UPDATE").is_some();
    let mut failures = Vec::new();
    let mut count = 0;
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let (preface, cases) = cases(&text);
        let mut updated = preface;
        for case in &cases {
            count += 1;
            let said = said(case);
            // Canaries: whatever is secret in a case is called this.
            assert!(!said.contains("hush"), "{}: a secret is shown:\n{said}", case.name);
            if said != case.says {
                failures.push(format!("{}: {}\n{said}\n", path.display(), case.name));
            }
            updated.push_str(&format!("\n=== {}\n--- says\n{said}\n", case.head));
        }
        if update {
            std::fs::write(&path, updated).unwrap();
        }
    }
    assert!(count > 0, "no cases in {}", directory.display());
    assert!(update || failures.is_empty(), "{}", failures.join("\n"));
}
