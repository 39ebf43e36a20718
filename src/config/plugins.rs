//! `plugins`: what is loaded beside what is bundled, and what each may do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Secret;
use ports::SmtpServer;

use crate::reader::{At, Context, Fields, suggestion};
use crate::schema::Texts;
use crate::shown::Shown;
use crate::source::looks_secret;
use crate::{Place, Setting, http, schema};

/// One plugin: where it is, what it may reach, its parameters and limits. Everything is denied that is not here.
#[derive(Clone, PartialEq)]
pub struct PluginConfig {
    /// What is loaded.
    pub file: PluginFile,
    /// A name other than the plugin's own, so that one can be used twice.
    pub name: Option<String>,
    /// The digest that the file must have, in lower-case hex.
    pub sha256: Option<String>,
    /// What it may do.
    pub allow: Grants,
    /// Parameters by name.
    pub params: Vec<(String, Setting)>,
    /// Limits other than the defaults.
    pub limits: PluginLimits,
    /// Instances are used this often before a fresh one; 1 is a fresh one for each call.
    pub reuse: Option<u32>,
    /// Where it stands.
    pub place: Place,
}

impl fmt::Debug for PluginConfig {
    /// Without the values of parameters: nobody knows which of them are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params: Vec<&str> = self.params.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("PluginConfig")
            .field("file", &self.file)
            .field("name", &self.name)
            .field("sha256", &self.sha256)
            .field("allow", &self.allow)
            .field("params", &params)
            .field("limits", &self.limits)
            .field("reuse", &self.reuse)
            .field("place", &self.place)
            .finish()
    }
}

/// Where a plugin is loaded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PluginFile {
    /// A file, resolved from the directory of the configuration.
    Path(PathBuf),
    /// One that is part of the binary: `bundled:discord`.
    Bundled(String),
    /// `oci://` or `https://`; has a digest.
    Remote(String),
}

/// What a plugin may reach.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grants {
    /// `host`, `host:port` or `*.host`; followed by ` private` if it may resolve to a private address.
    pub hosts: Vec<String>,
    /// Secrets by name.
    pub secrets: Vec<(String, SecretSource)>,
    /// Paths and patterns that may be read.
    pub files: Vec<String>,
    /// What stands in front of granted paths, such as `/host` in a container.
    pub root: Option<PathBuf>,
    /// Mail servers by name.
    pub smtp: Vec<(String, SmtpServer)>,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read each time it is needed.
    File(PathBuf),
    /// A variable of the environment.
    Env(String),
    /// The configuration itself.
    Inline(Secret<String>),
}

/// Limits of a plugin; `None` is the default of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PluginLimits {
    /// CPU time of a call.
    pub cpu: Option<Duration>,
    /// Time of a call, all in all.
    pub time: Option<Duration>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Findings of a rule.
    pub findings: Option<u64>,
    /// Points of an exporter.
    pub points: Option<u64>,
}

/// Names of plugins that a configuration can use.
#[derive(Default)]
pub(crate) struct KnownPlugins {
    names: Vec<String>,
    /// Whether one of them is known by its file's name only and may have another.
    may_differ: bool,
}

impl KnownPlugins {
    pub(crate) fn of(plugins: &[PluginConfig], cx: &Context<'_>) -> Self {
        let mut known = KnownPlugins::default();
        for plugin in plugins {
            let (file, by_file) = match &plugin.file {
                PluginFile::Path(path) => (path.clone(), cx.catalog.plugin_names.get(path).cloned()),
                PluginFile::Bundled(name) => (PathBuf::from(name), Some(stem(Path::new(name)))),
                PluginFile::Remote(address) => (PathBuf::from(address), None),
            };
            known.may_differ |= plugin.name.is_none() && by_file.is_none();
            known.names.push(plugin.name.clone().or(by_file).unwrap_or_else(|| stem(&file)));
        }
        known
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Context<'_> {
    /// Says so if no exporter plugin has this name.
    pub(crate) fn check_exporter(&self, at: &At<'_>, name: &str) {
        let bundled: Vec<&str> = self.catalog.exporters.iter().map(String::as_str).collect();
        if !self.catalog.has_exporter(name) {
            self.check_plugin(at, name, &bundled, "exporter");
        }
    }

    /// Says so if no notifier plugin has this name.
    pub(crate) fn check_notifier(&self, at: &At<'_>, name: &str, receiver: &str) {
        if self.catalog.has_notifier(name) || self.has_plugin(name) {
            return;
        }
        let needs = format!("receiver `{receiver}` needs the notifier plugin `{name}`, which is not here");
        let bundled: Vec<&str> = self.catalog.notifiers.iter().map(String::as_str).collect();
        let near = suggestion(name, bundled.iter().copied(), "").filter(|hint| hint.starts_with("did"));
        let add = format!("add one under `plugins:` with `as: {name}`");
        let hint = near.unwrap_or_else(|| match bundled.is_empty() {
            true => add,
            false => format!("{add}; bundled: {}", bundled.join(", ")),
        });
        at.error(needs, Some(hint));
    }

    /// Whether a notifier plugin of this name is bundled or brought.
    pub(crate) fn is_notifier(&self, name: &str) -> bool {
        let known = self.known_plugins().names.iter().any(|known| known == name);
        known || self.catalog.notifiers.contains(name)
    }

    fn has_plugin(&self, name: &str) -> bool {
        let known = self.known_plugins();
        self.is_incomplete() || known.may_differ || known.names.iter().any(|known| known == name)
    }

    fn check_plugin(&self, at: &At<'_>, name: &str, bundled: &[&str], kind: &str) {
        if self.has_plugin(name) {
            return;
        }
        let known = self.known_plugins();
        let names = bundled.iter().copied().chain(known.names.iter().map(String::as_str));
        let hint = suggestion(name, names, "there are").unwrap_or_else(|| {
            format!("add its file under `plugins:`, with `as: {name}` if its own name is another")
        });
        at.error(format!("there is no {kind} plugin called `{name}`"), Some(hint));
    }
}

/// The `plugins` section.
pub(crate) fn read_all(fields: &Fields<'_>) -> Vec<PluginConfig> {
    let mut names: Vec<(String, u32)> = Vec::new();
    fields.each("plugins", |at| {
        let (plugin, shown) = read(&at)?;
        if let Some(name) = &plugin.name {
            match names.iter().find(|(n, _)| n == name) {
                Some((_, line)) => {
                    let hint = Some(format!("the first is at line {line}"));
                    at.error(format!("there are two plugins called `{name}`"), hint);
                }
                None => names.push((name.clone(), plugin.place.line)),
            }
        }
        Some((plugin, shown))
    })
}

fn read(at: &At<'_>) -> Option<(PluginConfig, Shown)> {
    // A path alone is a plugin without grants.
    if let Some(scalar) = at.scalar() {
        let file = plugin_file(at, &scalar.text);
        let plugin = PluginConfig {
            file,
            name: None,
            sha256: None,
            allow: Grants::default(),
            params: Vec::new(),
            limits: PluginLimits::default(),
            reuse: None,
            place: at.place(),
        };
        return Some((plugin, Shown::text(&scalar.text)));
    }
    let fields = at.fields()?;
    let file = match fields.get("file") {
        Some(at) => {
            let text = at.text()?;
            fields.show("file", Shown::text(&text));
            plugin_file(&at, &text)
        }
        None => {
            fields.missing("file", Some("a .wasm or .rhai file, or `bundled:NAME`".to_owned()));
            PluginFile::Bundled(String::new())
        }
    };
    let name = fields.get("as").and_then(|at| read_name(&fields, &at));
    let sha256 = fields.get("sha256").and_then(|at| read_digest(&fields, &at));
    if matches!(file, PluginFile::Remote(_)) && !fields.has("sha256") {
        fields.missing("sha256", Some("what comes over the network needs a digest".to_owned()));
    }
    let allow = fields.get("allow").and_then(|at| read_grants(&fields, &at)).unwrap_or_default();
    let params = fields.get("params").map(|at| {
        fields.show("params", schema::plain_shown(at.node));
        read_params(&at)
    });
    let limits = fields.get("limits").and_then(|at| read_limits(&fields, &at)).unwrap_or_default();
    let reuse = fields.get("reuse").and_then(|at| {
        let number = at.unsigned()?;
        fields.show("reuse", Shown::number(number));
        if !(1..=128).contains(&number) {
            at.error(format!("{number} is not from 1 to 128"), None);
        }
        u32::try_from(number).ok()
    });
    let params = params.unwrap_or_default();
    let plugin = PluginConfig { file, name, sha256, allow, params, limits, reuse, place: at.place() };
    Some((plugin, fields.finish()))
}

fn plugin_file(at: &At<'_>, text: &str) -> PluginFile {
    if let Some(name) = text.strip_prefix("bundled:") {
        return PluginFile::Bundled(name.to_owned());
    }
    if text.starts_with("oci://") || text.starts_with("https://") {
        return PluginFile::Remote(text.to_owned());
    }
    if !text.ends_with(".wasm") && !text.ends_with(".rhai") {
        let hint = "a plugin is a .wasm or .rhai file, or `bundled:NAME`";
        at.error(format!("`{text}` is not a plugin"), Some(hint.to_owned()));
        return PluginFile::Path(at.resolve(text));
    }
    let path = at.resolve(text);
    if !at.cx.catalog.everything && !at.cx.exists(&path) {
        let hint = format!("looked for {}; in a container, is it mounted?", path.display());
        at.error(format!("`{text}` does not exist"), Some(hint));
    }
    PluginFile::Path(path)
}

fn read_name(fields: &Fields<'_>, at: &At<'_>) -> Option<String> {
    let name = at.text()?;
    fields.show("as", Shown::text(&name));
    if !model::is_legacy_label_name(&name) {
        at.error(format!("`{name}` is not a name"), Some("letters, digits and underscores".to_owned()));
    }
    Some(name)
}

fn read_digest(fields: &Fields<'_>, at: &At<'_>) -> Option<String> {
    let digest = at.text()?.to_lowercase();
    fields.show("sha256", Shown::text(&digest));
    if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
        at.error(
            "this is not a SHA-256 digest",
            Some("64 hexadecimal digits, as `sha256sum FILE` prints".to_owned()),
        );
    }
    Some(digest)
}

fn read_params(at: &At<'_>) -> Vec<(String, Setting)> {
    for (name, value) in at.entries().unwrap_or_default() {
        if looks_secret(&name) && value.scalar().is_some_and(|s| !s.plain || s.text.parse::<f64>().is_err()) {
            let hint = format!(
                "the plugin reads its parameters; grant it instead: `allow: {{secrets: {{{name}: {{file: …}}}}}}`"
            );
            value.warn(format!("`{name}` looks like a secret"), Some(hint));
        }
    }
    match schema::free(at, Texts::Literal) {
        Setting::Map(params) => params,
        _ => Vec::new(),
    }
}

fn read_grants(parent: &Fields<'_>, at: &At<'_>) -> Option<Grants> {
    let fields = at.fields()?;
    for host in fields.get("hosts").and_then(|at| at.list()).unwrap_or_default() {
        check_host(&host);
    }
    let hosts = fields.texts("hosts");
    let secrets = fields.get("secrets").map(|at| read_secrets(&fields, &at)).unwrap_or_default();
    let files = fields.texts("files");
    let root = fields.path("root");
    let smtp = fields.get("smtp").map(|at| read_smtp(&fields, &at)).unwrap_or_default();
    parent.show("allow", fields.finish());
    Some(Grants { hosts, secrets, files, root, smtp })
}

fn check_host(at: &At<'_>) {
    let Some(text) = at.scalar().map(|s| s.text.as_str()) else { return };
    let host = text.strip_suffix(" private").unwrap_or(text);
    if let Some((_, rest)) = host.split_once("://") {
        let bare = rest.split('/').next().unwrap_or_default();
        at.error(format!("`{text}` is a URL, not a host"), Some(format!("write `{bare}`")));
    } else if host == "*" || host == "*." {
        at.error("every host cannot be granted", Some("name the hosts, or `*.example.org`".to_owned()));
    } else if host.trim_start_matches("*.").contains(['*', '/', ' ']) || host.is_empty() {
        let hint =
            "write `host`, `host:port` or `*.host`, followed by ` private` for addresses of your own network";
        at.error(format!("`{text}` is not a host"), Some(hint.to_owned()));
    }
}

fn read_secrets(parent: &Fields<'_>, at: &At<'_>) -> Vec<(String, SecretSource)> {
    let mut secrets = Vec::new();
    let mut shown = Vec::new();
    for (name, at) in at.entries().unwrap_or_default() {
        let source = if at.scalar().is_some() {
            at.secret_text(Some("file"))
                .map(|text| (SecretSource::Inline(Secret::new(text)), Shown::masked()))
        } else {
            read_secret_source(&at)
        };
        let Some((source, source_shown)) = source else { continue };
        secrets.push((name.clone(), source));
        shown.push((name, source_shown));
    }
    parent.show("secrets", Shown::Map(shown));
    secrets
}

fn read_secret_source(at: &At<'_>) -> Option<(SecretSource, Shown)> {
    let fields = at.fields()?;
    fields.at_most_one(&["file", "env", "value"]);
    let file = fields.path("file").map(SecretSource::File);
    let env = fields.text("env").map(SecretSource::Env);
    let value = fields.secret("value", Some("file")).map(SecretSource::Inline);
    let source = file.or(env).or(value);
    if source.is_none() {
        let hint = "write `file: PATH` or `env: NAME`";
        at.at_key().error("this secret comes from nowhere", Some(hint.to_owned()));
    }
    Some((source?, fields.finish()))
}

fn read_smtp(parent: &Fields<'_>, at: &At<'_>) -> Vec<(String, SmtpServer)> {
    let mut servers = Vec::new();
    let mut shown = Vec::new();
    for (name, at) in at.entries().unwrap_or_default() {
        let server = match at.scalar() {
            Some(scalar) => {
                schema::check_host_port(&at, &scalar.text);
                Some((SmtpServer { require_tls: true, ..server_at(&scalar.text) }, Shown::text(&scalar.text)))
            }
            None => read_smtp_server(&at),
        };
        let Some((server, server_shown)) = server else { continue };
        servers.push((name.clone(), server));
        shown.push((name, server_shown));
    }
    parent.show("smtp", Shown::Map(shown));
    servers
}

fn server_at(smarthost: &str) -> SmtpServer {
    let implicit_tls = smarthost.ends_with(":465");
    SmtpServer {
        smarthost: smarthost.to_owned(),
        hello: "localhost".to_owned(),
        implicit_tls,
        ..SmtpServer::default()
    }
}

fn read_smtp_server(at: &At<'_>) -> Option<(SmtpServer, Shown)> {
    let fields = at.fields()?;
    let smarthost = fields.text_or("smarthost", "");
    match fields.get("smarthost") {
        Some(at) => schema::check_host_port(&at, &smarthost),
        None => fields.missing("smarthost", Some("the server's `host:port`".to_owned())),
    }
    let mut server = server_at(&smarthost);
    server.hello = fields.text_or("hello", "localhost");
    server.username = fields.text("username").unwrap_or_default();
    server.password = fields.secret("password", None).unwrap_or_default();
    server.require_tls = fields.boolean_or("require_tls", true);
    server.implicit_tls = fields.boolean("implicit_tls").unwrap_or(server.implicit_tls);
    if let Some(tls) = fields.get("tls_config") {
        server.tls = http::read_tls_shown(&fields, "tls_config", &tls).unwrap_or_default();
    }
    Some((server, fields.finish()))
}

fn read_limits(parent: &Fields<'_>, at: &At<'_>) -> Option<PluginLimits> {
    let fields = at.fields()?;
    let number = |key: &'static str| {
        let value = fields.get(key)?.unsigned()?;
        fields.show(key, Shown::number(value));
        Some(value)
    };
    let limits = PluginLimits {
        cpu: fields.duration("cpu"),
        time: fields.duration("time"),
        memory_bytes: crate::scrape::read_size(&fields, "memory"),
        findings: number("findings"),
        points: number("points"),
    };
    parent.show("limits", fields.finish());
    Some(limits)
}
