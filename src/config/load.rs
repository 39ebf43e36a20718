//! From paths to a configuration: reading, merging, checking.

use std::io::ErrorKind;
use std::path::{Path as FilePath, PathBuf};
use std::rc::Rc;

use alerting::{AlertingConfig, MatcherMode, RouteTree, Zone};
use model::Labels;
use promql::ParseOptions;
use template::Templates;

use crate::files::{is_pattern, tidy};
use crate::global::{self, GlobalSection};
use crate::plugins::{self, KnownPlugins};
use crate::reader::{At, Context, Fields, Path};
use crate::shown::Shown;
use crate::source::{Marked, Report, Span, looks_secret};
use crate::tree::{self, Key, Node, Yaml};
use crate::{
    Catalog, Config, Files, NameScheme, Place, Problem, Problems, RuleGroupConfig, RuleTestFile,
    ScrapeConfig, ScriptRule, Severity, Sources, TemplateFile, alertmanagers, inhibit, optional, receiver,
    remote, route, rule_tests, rules, schema, scrape, storage, time_interval,
};

/// What a configuration is read against, other than the catalog. The default is what a server without flags has.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Which matchers and label names Alertmanager's part may have.
    pub matcher_mode: MatcherMode,
    /// Which parts of PromQL rules may use.
    pub promql: ParseOptions,
    /// The zone that `location: Local` means.
    pub local_zone: Zone,
    /// Whether a configuration without a `route` is an error, as it is for Alertmanager.
    pub require_route: bool,
    /// Whether files that are named and not there are errors: rule files, secrets, certificates. A server that starts
    /// without them warns, and reads them when they are needed.
    pub require_files: bool,
    /// Whether keys that nobody knows are only warned about: for files that another program reads as well.
    pub ignore_unknown_keys: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            matcher_mode: MatcherMode::default(),
            promql: ParseOptions::default(),
            local_zone: Zone::utc(),
            require_route: false,
            require_files: false,
            ignore_unknown_keys: false,
        }
    }
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
}

/// Groups of rule files that can be used.
#[derive(Clone, Debug)]
pub struct LoadedRules {
    /// The groups of all files, in order.
    pub groups: Vec<RuleGroupConfig>,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
}

/// Reads, merges and checks `paths`. Relative paths inside a file start at that file's directory.
///
/// Either every problem of all files, warnings included, or a configuration and its warnings.
pub fn load(files: &dyn Files, paths: &[PathBuf], catalog: &Catalog) -> Result<Loaded, Problems> {
    load_with(files, paths, catalog, &LoadOptions::default())
}

/// As [`load`], with other options than the default.
pub fn load_with(
    files: &dyn Files,
    paths: &[PathBuf],
    catalog: &Catalog,
    options: &LoadOptions,
) -> Result<Loaded, Problems> {
    let cx = Context::new(files, catalog, options);
    let roots: Vec<Rc<Node>> = paths.iter().filter_map(|path| read_tree(&cx, path)).collect();
    if roots.len() < paths.len() || roots.iter().any(|root| matches!(root.yaml, Yaml::Broken)) {
        cx.set_incomplete();
    }
    let root = merge(&cx, roots);
    let config = read_config(&cx, &root);
    match (config, cx.has_errors()) {
        (Some(config), false) => Ok(Loaded { config, warnings: cx.into_problems() }),
        _ => Err(Problems(cx.into_problems())),
    }
}

/// Reads and checks rule files on their own.
pub fn check_rules(
    files: &dyn Files,
    paths: &[PathBuf],
    options: &LoadOptions,
) -> Result<LoadedRules, Problems> {
    let catalog = Catalog::everything();
    let cx = Context::new(files, &catalog, options);
    let mut groups = Vec::new();
    for path in paths {
        groups.extend(read_rule_file(&cx, path, NameScheme::Utf8));
    }
    if cx.has_errors() {
        return Err(Problems(cx.into_problems()));
    }
    Ok(LoadedRules { groups, warnings: cx.into_problems() })
}

/// Reads a file of rule tests and the rule files that it names. The answer's second part is warnings.
pub fn read_rule_tests(
    files: &dyn Files,
    path: &FilePath,
    catalog: &Catalog,
    options: &LoadOptions,
) -> Result<(RuleTestFile, Vec<Problem>), Problems> {
    let cx = Context::new(files, catalog, options);
    let tree = read_tree(&cx, path);
    let file = tree.filter(|tree| !matches!(tree.yaml, Yaml::Broken)).and_then(|tree| {
        rule_tests::read_file(&At::root(&cx, &tree), |fields| read_rule_files(fields, NameScheme::Utf8))
    });
    match (file, cx.has_errors()) {
        (Some(file), false) => Ok((file, cx.into_problems())),
        _ => Err(Problems(cx.into_problems())),
    }
}

/// The text of a file, or a problem.
fn read_text(cx: &Context<'_>, path: &FilePath) -> Option<usize> {
    let refused = |what: String, hint: Option<String>| {
        let place = Place { file: path.to_owned(), line: 0, column: 0 };
        let problem =
            Problem { severity: Severity::Error, place, path: String::new(), what, hint, snippet: None };
        let file = cx.add_source(path.to_owned(), String::new());
        cx.note_file(file, problem);
    };
    let bytes = match cx.files.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let hint = "in a container, is it mounted?";
            refused("this file does not exist".to_owned(), Some(hint.to_owned()));
            return None;
        }
        Err(error) => {
            refused(format!("this file cannot be read: {error}"), None);
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Some(cx.add_source(path.to_owned(), text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let file = cx.add_source(path.to_owned(), text);
            let span = Span { file, start: at, end: at + 1 };
            let hint = Some("save the file as UTF-8".to_owned());
            note(cx, Severity::Error, span, "this is not UTF-8 text", hint);
            None
        }
    }
}

/// The first document of a file; problems with its form are noted.
pub(crate) fn read_tree(cx: &Context<'_>, path: &FilePath) -> Option<Rc<Node>> {
    let file = read_text(cx, path)?;
    let source = cx.source(file);
    let tree = tree::parse(&source, file);
    for report in tree.problems {
        cx.note(report);
    }
    if let Some(span) = tree.second_document {
        let hint = Some("put it into a file of its own".to_owned());
        note(cx, Severity::Warning, span, "only the first document of a file is read", hint);
    }
    Some(tree.root)
}

/// Notes a problem with the text of a file.
fn note(cx: &Context<'_>, severity: Severity, span: Span, what: impl Into<String>, hint: Option<String>) {
    let (marked, path) = (Marked::Plain, String::new());
    cx.note(Report { severity, span, marked, path, what: what.into(), hint });
}

/// Sections that several files may each have a part of.
const SHARED: [&str; 5] = ["global", "alerting", "storage", "otlp", "runtime"];

/// One mapping out of those of several files: lists are joined, the parts of shared sections too.
fn merge(cx: &Context<'_>, roots: Vec<Rc<Node>>) -> Rc<Node> {
    let mut entries: Vec<(Key, Rc<Node>)> = Vec::new();
    let mut odd = Vec::new();
    for root in &roots {
        match &root.yaml {
            Yaml::Map(found) => merge_into(cx, &mut entries, found, &Path::default()),
            Yaml::Null | Yaml::Broken => {}
            // Reported as not a mapping when it is read.
            _ => odd.push(Rc::clone(root)),
        }
    }
    for root in &odd {
        At::root(cx, root).fields();
    }
    let span = roots.first().map(|root| root.span).unwrap_or_default();
    Node::map(span, entries)
}

fn merge_into(cx: &Context<'_>, into: &mut Vec<(Key, Rc<Node>)>, from: &[(Key, Rc<Node>)], path: &Path) {
    for (key, value) in from {
        let Some(position) = into.iter().position(|(k, _)| k.text == key.text) else {
            into.push((key.clone(), Rc::clone(value)));
            continue;
        };
        let (first_key, first) = &into[position];
        let inside = path.key(&key.text);
        let merged = match (&first.yaml, &value.yaml) {
            (Yaml::Null, _) => Rc::clone(value),
            (_, Yaml::Null) => Rc::clone(first),
            (Yaml::List(a), Yaml::List(b)) => Node::list(first.span, a.iter().chain(b).cloned().collect()),
            (Yaml::Map(a), Yaml::Map(b)) if is_shared(path, &key.text) => {
                let mut both = a.clone();
                merge_into(cx, &mut both, b, &inside);
                Node::map(first.span, both)
            }
            (Yaml::Scalar(a), Yaml::Scalar(b)) if a.text == b.text => Rc::clone(first),
            _ => {
                let place = cx.source(first_key.span.file).place(first_key.span.start);
                let what = format!("`{}` is set in two files", key.text);
                let hint = Some(format!("keep one; the other is at {place}"));
                // What is dropped is never read, and so not known to be a secret.
                let hidden = looks_secret(&key.text) || key.text.contains("url");
                let marked = if hidden { Marked::Secret } else { Marked::Plain };
                let (severity, path) = (Severity::Error, inside.to_string());
                cx.note(Report { severity, span: key.span, marked, path, what, hint });
                Rc::clone(first)
            }
        };
        into[position].1 = merged;
    }
}

fn is_shared(path: &Path, key: &str) -> bool {
    !path.is_root() || SHARED.contains(&key)
}

/// Everything, in the order in which one part needs another.
fn read_config(cx: &Context<'_>, root: &Node) -> Option<Config> {
    let fields = At::root(cx, root).fields()?;
    fields.expect_misplaced(&[
        ("groups", "this is a rule file: name it under `rule_files`"),
        ("targets", "this is a list of targets: name it under `file_sd_configs` of a job"),
        ("tests", "this is a file of rule tests, not a configuration"),
        ("scrape_interval", "write it under `global`"),
        ("evaluation_interval", "write it under `global`"),
        ("external_labels", "write it under `global`"),
        ("alertmanagers", "write it under `alerting`"),
    ]);
    let plugins = plugins::read_all(&fields);
    cx.set_known_plugins(KnownPlugins::of(&plugins, cx));
    let plugins_shown = fields.take_shown();

    let nothing = Node::null(root.span);
    let global_at = fields.get("global");
    let global_fields =
        global_at.as_ref().and_then(|at| at.fields()).or_else(|| At::root(cx, &nothing).fields())?;
    let GlobalSection { global, scrape: scrape_defaults, notify, shown: global_shown, shown_notify } =
        global::read(&global_fields);
    global_fields.finish();
    let names = scrape_defaults.names;

    let templates = read_templates(&fields);
    let templates_shown = fields.take_shown();

    let mut jobs = Jobs::default();
    let scrape_configs = fields.each("scrape_configs", |at| {
        let (config, shown) = scrape::read(&at, &scrape_defaults)?;
        jobs.check(&at, &config);
        Some((config, shown))
    });
    let included = read_scrape_files(&fields, &scrape_defaults, &mut jobs);
    let (rule_groups, script_rules) = read_rule_files(&fields, names);
    let (alertmanagers, alert_relabel_configs) = alertmanagers::read(&fields, names);
    let remote_write = remote::read_writes(&fields, names);
    let remote_read = remote::read_reads(&fields);
    let storage = storage::read(&fields);
    let otlp = optional::read_otlp(&fields, names);
    optional::read_ignored(&fields);
    optional::warn_unused(&fields);
    let prometheus_shown = fields.take_shown();

    let (alerting, receivers) = read_alerting(&fields, &notify, global.resolve_timeout);
    let alerting_shown = fields.take_shown();
    fields.finish();

    let notify_shown: Vec<(String, Shown)> = match alerting {
        Some(_) => shown_notify,
        None => Vec::new(),
    };
    let shown_alerting = document(
        vec![("global".to_owned(), Shown::Map(notify_shown.clone()))],
        [&templates_shown, &alerting_shown],
    );
    let all_global = global_shown.into_iter().chain(notify_shown).collect();
    let shown = document(
        vec![("global".to_owned(), Shown::Map(all_global))],
        [&prometheus_shown, &plugins_shown, &templates_shown, &alerting_shown],
    );
    Some(Config {
        global,
        scrape_configs: scrape_configs.into_iter().chain(included).collect(),
        rule_groups,
        script_rules,
        alerting,
        receivers,
        templates,
        alertmanagers,
        alert_relabel_configs,
        plugins,
        remote_write,
        remote_read,
        storage,
        otlp,
        sources: Sources { files: cx.source_paths(), patterns: cx.patterns.borrow().clone() },
        shown,
        shown_alerting,
    })
}

/// Parts of what is shown, as one document.
fn document<'s>(
    mut first: Vec<(String, Shown)>,
    parts: impl IntoIterator<Item = &'s Vec<(String, Shown)>>,
) -> String {
    first.extend(parts.into_iter().flatten().cloned());
    Shown::Map(first).to_yaml()
}

/// The names of jobs so far.
#[derive(Default)]
struct Jobs(Vec<(String, Place)>);

impl Jobs {
    fn check(&mut self, at: &At<'_>, config: &ScrapeConfig) {
        match self.0.iter().find(|(name, _)| *name == config.job_name) {
            Some((name, place)) if !name.is_empty() => {
                let name_at =
                    at.fields().and_then(|fields| fields.get("job_name")).unwrap_or_else(|| at.clone());
                name_at.error(
                    format!("there are two jobs called `{name}`"),
                    Some(format!("the first is at {place}")),
                );
            }
            _ => self.0.push((config.job_name.clone(), config.place.clone())),
        }
    }
}

/// What a list of patterns names: each existing file once for each pattern that finds it.
/// What stands before the name of a plugin that is part of the binary.
const BUNDLED: &str = "bundled:";

fn expand_patterns(fields: &Fields<'_>, key: &'static str) -> Vec<(PathBuf, Place)> {
    let mut found = Vec::new();
    for at in fields.get(key).and_then(|at| at.list()).unwrap_or_default() {
        let Some(text) = at.text() else { continue };
        let (directory, last) = text.rsplit_once('/').unwrap_or(("", &text));
        if text.is_empty() {
            at.error("the path is empty", None);
            continue;
        }
        // Templates are looked up in any directory, as Alertmanager does; Prometheus has a rule of its own.
        if directory.contains('*') && key != "templates" {
            let hint = "only the last part of a path may have a `*`; name each directory";
            at.error(
                format!("`{text}` is not a path or a pattern that can be used here"),
                Some(hint.to_owned()),
            );
            continue;
        }
        if !is_pattern(&text) {
            let hint = "close each `[` behind a character or a range; `\\` in front of a character takes it as it is";
            at.error(format!("`{text}` is not a pattern"), Some(hint.to_owned()));
            continue;
        }
        if let Some(name) = text.strip_prefix(BUNDLED).filter(|_| key == "rule_files") {
            if at.cx.catalog.has_rule(name) {
                found.push((PathBuf::from(&text), at.place()));
            } else {
                let known: Vec<&str> = at.cx.catalog.rules.iter().map(String::as_str).collect();
                let hint = format!("bundled rules: {}", known.join(", "));
                at.error(format!("no rule `{name}` ships with this server"), Some(hint));
            }
            continue;
        }
        let pattern = tidy(&at.resolve(&text));
        at.cx.patterns.borrow_mut().push(pattern.clone());
        match at.cx.files.glob(&pattern) {
            Ok(paths) => {
                if paths.is_empty() && !last.contains(['*', '?', '[']) {
                    let hint = format!("looked for {}; in a container, is it mounted?", pattern.display());
                    let what = format!("`{text}` does not exist");
                    if at.cx.options.require_files {
                        at.error(what, Some(hint))
                    } else {
                        at.warn(what, Some(hint))
                    }
                }
                found.extend(paths.into_iter().map(|path| (path, at.place())));
            }
            Err(error) => at.error(format!("`{text}` cannot be looked up: {error}"), None),
        }
    }
    let texts = fields.get(key).and_then(|at| at.texts()).unwrap_or_default();
    if !texts.is_empty() {
        fields.show(key, Shown::texts(&texts));
    }
    found
}

fn read_scrape_files(
    fields: &Fields<'_>,
    defaults: &global::ScrapeDefaults,
    jobs: &mut Jobs,
) -> Vec<ScrapeConfig> {
    let cx = fields.at.cx;
    let mut configs = Vec::new();
    for (path, _) in expand_patterns(fields, "scrape_config_files") {
        let Some(tree) = read_tree(cx, &path) else { continue };
        let Some(inner) = At::root(cx, &tree).fields() else { continue };
        configs.extend(inner.each("scrape_configs", |at| {
            let (config, shown) = scrape::read(&at, defaults)?;
            jobs.check(&at, &config);
            Some((config, shown))
        }));
        inner.finish();
    }
    configs
}

fn read_rule_files(fields: &Fields<'_>, names: NameScheme) -> (Vec<RuleGroupConfig>, Vec<ScriptRule>) {
    let cx = fields.at.cx;
    let mut groups = Vec::new();
    let mut scripts: Vec<ScriptRule> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    for (path, place) in expand_patterns(fields, "rule_files") {
        // Two patterns that find the same file do not make its rules run twice.
        if seen.contains(&path) {
            continue;
        }
        seen.push(path.clone());
        let bundled = path.to_str().is_some_and(|text| text.starts_with(BUNDLED));
        if bundled || path.extension().is_some_and(|extension| extension == "rhai" || extension == "wasm") {
            scripts.push(ScriptRule { file: path, place });
        } else {
            groups.extend(read_rule_file(cx, &path, names));
        }
    }
    (groups, scripts)
}

fn read_rule_file(cx: &Context<'_>, path: &FilePath, names: NameScheme) -> Vec<RuleGroupConfig> {
    match read_tree(cx, path) {
        Some(tree) if !matches!(tree.yaml, Yaml::Broken) => rules::read_file(&At::root(cx, &tree), names).0,
        _ => Vec::new(),
    }
}

/// Templates of messages; what is wrong with them is noted, and those that are right are used for checking texts.
fn read_templates(fields: &Fields<'_>) -> Vec<TemplateFile> {
    let cx = fields.at.cx;
    let mut templates: Vec<TemplateFile> = Vec::new();
    for (path, _) in expand_patterns(fields, "templates") {
        if templates.iter().any(|template| template.file == path) {
            continue;
        }
        let Some(file) = read_text(cx, &path) else { continue };
        let source = cx.source(file);
        let name = path.to_string_lossy().into_owned();
        if let Err(error) = Templates::parse(&[(name.as_str(), source.text.as_str())]) {
            let start = schema::offset_of(&source.text, error.line, error.column);
            let span = Span { file, start, end: start + 1 };
            note(cx, Severity::Error, span, format!("template: {}", error.message), None);
            continue;
        }
        templates.push(TemplateFile { file: path, text: source.text.clone() });
    }
    let all: Vec<(String, &str)> =
        templates.iter().map(|t| (t.file.to_string_lossy().into_owned(), t.text.as_str())).collect();
    if let Ok(parsed) = Templates::parse(&all) {
        cx.set_templates(parsed);
    }
    templates
}

/// Keys that only make sense with a `route`.
const ALERTING_KEYS: [&str; 4] = ["receivers", "inhibit_rules", "time_intervals", "mute_time_intervals"];

fn read_alerting(
    fields: &Fields<'_>,
    notify: &global::NotifyDefaults,
    resolve_timeout: std::time::Duration,
) -> (Option<AlertingConfig>, Vec<crate::Receiver>) {
    let route = fields.get("route").map(|at| {
        let (spec, shown) = route::read(&at);
        fields.show("route", shown);
        (at, spec)
    });
    let receivers = receiver::read_all(fields, notify);
    let inhibit_rules = inhibit::read_all(fields);
    let time_intervals = time_interval::read_all(fields);
    let cx = fields.at.cx;
    let Some((at, spec)) = route else {
        let used = ALERTING_KEYS.iter().any(|key| fields.has(key));
        let unread = cx.is_incomplete() || fields.get_or_null("route").is_some_and(|at| at.is_broken());
        if (used || cx.options.require_route) && !unread {
            fields.missing("route", Some("it says which receiver hears of which alert".to_owned()));
        }
        return (None, receivers);
    };
    let plain: Vec<alerting::Receiver> = receivers.iter().map(plain_receiver).collect();
    let unread = |key| fields.get_or_null(key).is_some_and(|at| at.is_broken());
    if !cx.is_incomplete() && !["receivers", "time_intervals", "mute_time_intervals"].into_iter().any(unread)
    {
        route::check(&at, &spec, &plain, &time_intervals);
    }
    let tree = RouteTree::build(&spec);
    route::warn(&at, &tree, &plain);
    let mut config = AlertingConfig::new(tree, plain);
    config.inhibit_rules = inhibit_rules;
    config.time_intervals = time_intervals;
    config.resolve_timeout = resolve_timeout;
    config.matcher_mode = cx.options.matcher_mode;
    (Some(config), receivers)
}

/// What deciding needs of a receiver.
fn plain_receiver(receiver: &crate::Receiver) -> alerting::Receiver {
    let integration = |i: &crate::Integration| alerting::Integration {
        kind: i.kind.as_str().into(),
        index: i.index,
        send_resolved: i.send_resolved,
    };
    let labels = receiver.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    alerting::Receiver {
        name: receiver.name.as_str().into(),
        labels: Labels::from_pairs(labels),
        integrations: receiver.integrations.iter().map(integration).collect(),
    }
}
