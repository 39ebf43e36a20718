//! Settings by table: which keys an integration or a discovery has, what each holds, and which go together.
//!
//! A table is data beside the thing it describes; this module reads a mapping by it, with the same care for places,
//! secrets and unknown keys as hand-written readers have.

use std::path::PathBuf;

use model::{format_duration, parse_duration};

use crate::Setting;
use crate::http;
use crate::reader::{At, Fields};
use crate::shown::Shown;
use crate::source::looks_secret;
use crate::tree::{Node, Yaml};
use crate::typed::Typed;
use crate::url;

/// What a key holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Text as it stands.
    Text,
    /// Text with templates.
    Template,
    /// One of a few texts.
    Choice(&'static [&'static str]),
    Bool,
    Integer,
    /// A whole number that is not negative.
    Count,
    Float,
    /// `30s`; kept as text.
    Duration,
    /// The same, with fractions, as Go reads it: `1.5s`.
    GoDuration,
    /// A path, from the directory of the file.
    Path,
    /// The path of a file that holds the secret without `_file`.
    SecretPath,
    /// An address; not a secret.
    Url,
    /// An address with templates.
    TemplateUrl,
    Secret,
    /// A secret that may be a template: each group has its own.
    SecretTemplate,
    /// An address that is itself a credential.
    SecretUrl,
    SecretTemplateUrl,
    /// A port.
    Port,
    /// `host:port`, either may be missing, the text may be empty.
    HostPort,
    Texts,
    Templates,
    /// Names and texts.
    TextMap,
    /// Names and texts with templates.
    TemplateMap,
    /// Names and anything, texts with templates.
    AnyMap,
    /// Anything, texts with templates.
    Any,
    /// Text with templates, or a mapping with keys of its own.
    TextOrMap(&'static Table),
    /// A list of texts with templates, or a mapping with keys of its own.
    TextsOrMap(&'static Table),
    /// A mapping with keys of its own.
    Map(&'static Table),
    /// A list of mappings with keys of their own.
    Maps(&'static Table),
    Tls,
}

/// A key of a table.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Option<&'static str>,
}

pub(crate) const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, default: None }
}

impl Key {
    /// The value where there is none, written as in a file.
    pub(crate) const fn or(self, default: &'static str) -> Key {
        Key { name: self.name, kind: self.kind, default: Some(default) }
    }
}

/// What goes together.
#[derive(Clone, Copy)]
pub(crate) enum Demand {
    /// The key is there, and is not empty.
    Needs(&'static str),
    /// The key, which has a default, is not there without a value.
    NotEmpty(&'static str),
    /// One of the keys is there.
    NeedsOne(&'static [&'static str]),
    /// Not two of the keys are there.
    AtMostOne(&'static [&'static str]),
}

/// The keys of a mapping.
pub(crate) struct Table {
    pub(crate) keys: &'static [Key],
    pub(crate) demands: &'static [Demand],
}

/// Reads a mapping of its own by `table`; unknown keys are problems.
pub(crate) fn read(at: &At<'_>, table: &Table) -> Option<(Vec<(String, Setting)>, Shown)> {
    let fields = at.fields()?;
    let settings = read_into(&fields, table);
    Some((settings, fields.finish()))
}

/// Reads the keys of `table` out of `fields`, which may have others.
pub(crate) fn read_into(fields: &Fields<'_>, table: &Table) -> Vec<(String, Setting)> {
    let mut settings = Vec::new();
    for key in table.keys {
        let value = match fields.get(key.name) {
            Some(at) => value(table, key, &at),
            None => key.default.map(|text| (default_setting(key.kind, text), default_shown(key.kind, text))),
        };
        if let Some((setting, shown)) = value {
            fields.show(key.name, shown);
            settings.push((key.name.to_owned(), setting));
        }
    }
    for demand in table.demands {
        check(fields, demand);
    }
    settings
}

pub(crate) fn check(fields: &Fields<'_>, demand: &Demand) {
    match demand {
        Demand::Needs(key) => {
            if !filled(fields, key) {
                fields.missing(key, None);
            }
        }
        Demand::NotEmpty(key) => {
            if fields.get_or_null(key).is_some() && !filled(fields, key) {
                fields.missing(key, None);
            }
        }
        Demand::NeedsOne(keys) => {
            if !keys.iter().any(|key| filled(fields, key)) && !keys.iter().any(|key| broken(fields, key)) {
                let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
                fields.at.error(format!("one of {} is needed", names.join(", ")), None);
            }
        }
        Demand::AtMostOne(keys) => fields.at_most_one(keys),
    }
}

/// Whether a key is there with more than an empty text.
pub(crate) fn filled(fields: &Fields<'_>, key: &'static str) -> bool {
    fields.get(key).is_some_and(|at| match &at.node.yaml {
        Yaml::Scalar(scalar) => !scalar.text.is_empty(),
        Yaml::List(items) => !items.is_empty(),
        _ => true,
    })
}

fn broken(fields: &Fields<'_>, key: &'static str) -> bool {
    fields.get(key).is_some_and(|at| at.is_broken())
}

fn default_setting(kind: Kind, text: &str) -> Setting {
    match kind {
        Kind::Bool => Setting::Bool(text == "true"),
        Kind::Integer | Kind::Count | Kind::Float | Kind::Port => {
            Setting::Number(text.parse().unwrap_or_default())
        }
        Kind::Template | Kind::TemplateUrl | Kind::TextOrMap(_) => template_setting(text),
        Kind::Texts | Kind::Templates => {
            Setting::List(text.split(',').map(|t| Setting::Text(t.to_owned())).collect())
        }
        _ => Setting::Text(text.to_owned()),
    }
}

fn default_shown(kind: Kind, text: &str) -> Shown {
    match kind {
        Kind::Bool | Kind::Integer | Kind::Count | Kind::Float | Kind::Port => Shown::Plain(text.to_owned()),
        Kind::Texts | Kind::Templates => Shown::texts(text.split(',')),
        _ => Shown::text(text),
    }
}

/// Text that needs no expanding is plain text.
pub(crate) fn template_setting(text: &str) -> Setting {
    if text.contains("{{") { Setting::Template(text.to_owned()) } else { Setting::Text(text.to_owned()) }
}

fn value(table: &Table, key: &Key, at: &At<'_>) -> Option<(Setting, Shown)> {
    let plain = |text: String| (Setting::Text(text.clone()), Shown::Text(text));
    match key.kind {
        Kind::Text => at.text().map(plain),
        Kind::Template => template(at),
        Kind::Choice(choices) => {
            let text = at.text()?;
            if !choices.contains(&text.as_str()) {
                let hint = crate::reader::suggestion(&text, choices.iter().copied(), "possible");
                at.error(format!("`{text}` is not a value of `{}`", key.name), hint);
                return None;
            }
            Some(plain(text))
        }
        Kind::Bool => at.boolean().map(|value| (Setting::Bool(value), Shown::Bool(value))),
        Kind::Integer => at.integer().map(|n| (Setting::Number(n as f64), Shown::number(n))),
        Kind::Count => at.unsigned().map(|n| (Setting::Number(n as f64), Shown::number(n))),
        Kind::Float => at.float().map(|n| (Setting::Number(n), Shown::number(n))),
        Kind::Port => port(at),
        Kind::Duration => {
            let text = format_duration(at.duration()?);
            Some(plain(text))
        }
        Kind::GoDuration => {
            let text = at.text()?;
            if go_duration(&text).is_none() && parse_duration(&text).is_err() {
                at.error(
                    format!("`{text}` is not a duration"),
                    Some("write it as `30s` or `1m30s`".to_owned()),
                );
                return None;
            }
            Some(plain(text))
        }
        Kind::Path | Kind::SecretPath => {
            let text = at.text()?;
            let path: PathBuf = at.resolve(&text);
            let setting = match key.kind {
                Kind::SecretPath => {
                    at.check_exists(&path);
                    Setting::SecretFile(path)
                }
                _ => Setting::Text(path.to_string_lossy().into_owned()),
            };
            Some((setting, Shown::text(text)))
        }
        Kind::Url => {
            let text = at.text()?;
            url::check_http(at, &text, false);
            let masked = url::masked(&text);
            let setting = match masked == text {
                true => Setting::Text(text),
                false => Setting::Secret { value: model::Secret::new(text), template: false },
            };
            Some((setting, Shown::text(masked)))
        }
        Kind::TemplateUrl => {
            let text = at.text()?;
            check_template_url(at, &text, false);
            let masked = url::masked(&text);
            let setting = match masked == text {
                true => template_setting(&text),
                false => Setting::Secret { template: text.contains("{{"), value: model::Secret::new(text) },
            };
            Some((setting, Shown::text(masked)))
        }
        Kind::Secret | Kind::SecretTemplate | Kind::SecretUrl | Kind::SecretTemplateUrl => {
            secret(table, key, at)
        }
        Kind::HostPort => {
            let text = at.text()?;
            check_host_port(at, &text);
            Some(plain(text))
        }
        Kind::Texts => {
            let texts = at.texts()?;
            let shown = Shown::texts(&texts);
            Some((Setting::List(texts.into_iter().map(Setting::Text).collect()), shown))
        }
        Kind::TextsOrMap(table) if matches!(at.node.yaml, Yaml::Map(_)) => {
            read(at, table).map(|(settings, shown)| (Setting::Map(settings), shown))
        }
        Kind::Templates | Kind::TextsOrMap(_) => {
            let (settings, shown) = at.list()?.iter().filter_map(template).unzip();
            Some((Setting::List(settings), Shown::List(shown)))
        }
        Kind::TextMap => {
            let map = at.text_map()?;
            let shown = Shown::pairs(map.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            Some((Setting::Map(map.into_iter().map(|(n, v)| (n, Setting::Text(v))).collect()), shown))
        }
        Kind::TemplateMap => {
            let mut map = (Vec::new(), Vec::new());
            for (name, at) in at.entries()? {
                let Some((setting, shown)) = template(&at) else { continue };
                map.0.push((name.clone(), setting));
                map.1.push((name, shown));
            }
            Some((Setting::Map(map.0), Shown::Map(map.1)))
        }
        Kind::AnyMap => {
            // Its own names are names, whatever they look like.
            let typed = |(name, at): (String, At<'_>)| {
                let value = free_entry(&name, &at, Texts::Typed);
                (name, Setting::Typed(Box::new(value)))
            };
            Some((Setting::Map(at.entries()?.into_iter().map(typed).collect()), plain_shown(at.node)))
        }
        Kind::Any => Some((Setting::Typed(Box::new(free(at, Texts::Typed))), plain_shown(at.node))),
        Kind::TextOrMap(_) if at.scalar().is_some() => template(at),
        Kind::Map(table) | Kind::TextOrMap(table) => {
            read(at, table).map(|(settings, shown)| (Setting::Map(settings), shown))
        }
        Kind::Maps(table) => {
            let read_one = |at: &At<'_>| read(at, table).map(|(s, shown)| (Setting::Map(s), shown));
            let (settings, shown) = at.list()?.iter().filter_map(read_one).unzip();
            Some((Setting::List(settings), Shown::List(shown)))
        }
        Kind::Tls => {
            let options = http::read_tls(at)?;
            Some((http::tls_setting(&options.0), options.1))
        }
    }
}

/// Numbers, possibly with fractions, each with a unit; or `0`. In seconds.
pub(crate) fn go_duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let mut seconds = None;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let after = &rest[digits..];
        let (unit, size) = UNITS.into_iter().find(|(unit, _)| {
            after.strip_prefix(unit).is_some_and(|next| !next.starts_with(|c: char| c.is_alphabetic()))
        })?;
        *seconds.get_or_insert(0.0) += rest[..digits].parse::<f64>().ok()? * size;
        rest = &after[unit.len()..];
    }
    seconds.map(|seconds| sign * seconds)
}

fn port(at: &At<'_>) -> Option<(Setting, Shown)> {
    let number = at.integer()?;
    if !(0..=65535).contains(&number) {
        at.error(format!("{number} is not a port"), Some("ports are 1 to 65535".to_owned()));
        return None;
    }
    Some((Setting::Number(number as f64), Shown::number(number)))
}

fn template(at: &At<'_>) -> Option<(Setting, Shown)> {
    let text = at.text()?;
    check_template(at, &text);
    Some((template_setting(&text), Shown::Text(text)))
}

/// Says where a template of a message is wrong.
pub(crate) fn check_template(at: &At<'_>, text: &str) {
    if !text.contains("{{") {
        return;
    }
    if let Err(error) = at.cx.templates().check(text) {
        report_template(at, text, &error);
    }
}

/// Reports a template's mistake at its place.
pub(crate) fn report_template(at: &At<'_>, text: &str, error: &template::TemplateError) {
    let from = offset_of(text, error.line, error.column);
    // The expression if it is known, else the word at the place.
    let rest = text.get(from..).unwrap_or_default();
    let word = rest.find(|c: char| c.is_whitespace() || c == '}').unwrap_or(rest.len());
    let length = error.at.as_ref().filter(|at| rest.starts_with(at.as_str())).map_or(word, String::len);
    at.error_in_text(from, from + length.max(1), format!("template: {}", error.message), None);
}

/// The byte at a line and column, both from 1.
pub(crate) fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    let rest = text.get(start..).unwrap_or_default();
    start + rest.chars().take(column.saturating_sub(1)).map(char::len_utf8).sum::<usize>()
}

fn check_template_url(at: &At<'_>, text: &str, secret: bool) {
    if !text.contains("{{") {
        url::check_http(at, text, secret);
    } else if secret {
        check_secret_template(at, text);
    } else {
        check_template(at, text);
    }
}

/// Says that a template is wrong, but not where: it may hold a secret.
fn check_secret_template(at: &At<'_>, text: &str) {
    if text.contains("{{")
        && let Err(error) = at.cx.templates().check(text)
    {
        at.secret_error(format!("template: {}", error.message), None);
    }
}

fn secret(table: &Table, key: &Key, at: &At<'_>) -> Option<(Setting, Shown)> {
    let file_key = format!("{}_file", key.name);
    let has_file_key = table.keys.iter().any(|key| key.name == file_key);
    // The address of somebody's own webhook is hidden, but need not be a secret; what is in a file is no template.
    let per_group = matches!(key.kind, Kind::SecretTemplate)
        && at.scalar().is_some_and(|scalar| scalar.text.contains("{{"));
    let warned = has_file_key && !per_group && !matches!(key.kind, Kind::SecretTemplateUrl);
    let text = at.secret_text(warned.then_some(file_key.as_str()))?;
    if text.is_empty() {
        return None;
    }
    let masked = text == crate::shown::MASK;
    let may_be_template = matches!(key.kind, Kind::SecretTemplate | Kind::SecretTemplateUrl);
    let is_template = may_be_template && text.contains("{{");
    match key.kind {
        _ if masked => {}
        Kind::SecretUrl => {
            url::check_http(at, &text, true);
        }
        Kind::SecretTemplateUrl => check_template_url(at, &text, true),
        Kind::SecretTemplate => check_secret_template(at, &text),
        _ => {}
    }
    let value = model::Secret::new(text);
    Some((Setting::Secret { value, template: is_template }, Shown::masked()))
}

/// `host:port`; `host` may be missing, the port may not.
pub(crate) fn check_host_port(at: &At<'_>, text: &str) {
    if text.is_empty() {
        return;
    }
    let split = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => text.split_once(':').filter(|(_, port)| !port.contains(':')),
    };
    match split {
        None => {
            at.error(format!("`{text}` has no port"), Some(format!("write `{text}:25`, or the port you use")))
        }
        Some((_, "")) => {
            at.error(format!("`{text}` has no port"), Some("write the number behind the colon".into()))
        }
        Some(_) => {}
    }
}

/// Whether texts may be templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Texts {
    Templates,
    Literal,
    /// Templates whose outcome says what they are: [`Setting::Typed`].
    Typed,
}

/// A value whose keys nobody knows. What looks like a secret by its key is kept as one.
pub(crate) fn free(at: &At<'_>, texts: Texts) -> Setting {
    match &at.node.yaml {
        Yaml::Null | Yaml::Broken => Setting::Null,
        Yaml::Scalar(scalar) => match (plain_value(&scalar.text).filter(|_| scalar.plain), texts) {
            (Some(setting), Texts::Templates | Texts::Literal) => setting,
            (None, Texts::Literal) => Setting::Text(scalar.text.clone()),
            (_, Texts::Templates | Texts::Typed) => {
                check_template(at, &scalar.text);
                template_setting(&scalar.text)
            }
        },
        Yaml::List(_) => {
            Setting::List(at.list().unwrap_or_default().iter().map(|at| free(at, texts)).collect())
        }
        Yaml::Map(keys) => {
            let entries = at.entries().unwrap_or_default().into_iter().zip(keys);
            // Go's reader keeps numbers and booleans as keys, and what fills templates in drops those.
            let kept = entries.filter(|(_, (key, _))| {
                texts != Texts::Typed || !key.plain || matches!(Typed::plain(&key.text), Typed::Text(_))
            });
            let value = |name: String, at: At<'_>| {
                if let Err(error) = at.cx.templates().check(&name)
                    && texts == Texts::Typed
                {
                    at.at_key().error(format!("template: {}", error.message), None);
                }
                let setting = free_entry(&name, &at, texts);
                (name, setting)
            };
            Setting::Map(kept.map(|((name, at), _)| value(name, at)).collect())
        }
    }
}

/// The value of one name in such a mapping.
fn free_entry(name: &str, at: &At<'_>, texts: Texts) -> Setting {
    let secret = at.scalar().filter(|_| looks_secret(name));
    if secret.is_some() {
        at.cx.hide(at.node.span);
    }
    match secret.filter(|_| texts != Texts::Literal) {
        Some(scalar) => {
            let template = scalar.text.contains("{{");
            Setting::Secret { value: model::Secret::new(scalar.text.clone()), template }
        }
        None => free(at, texts),
    }
}

/// The boolean or number that a text without quotes is.
fn plain_value(text: &str) -> Option<Setting> {
    match text {
        "true" | "True" | "TRUE" => Some(Setting::Bool(true)),
        "false" | "False" | "FALSE" => Some(Setting::Bool(false)),
        _ => {
            let numeric = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
            let number = numeric.then(|| text.parse::<f64>().ok()).flatten();
            number.filter(|number| number.is_finite()).map(Setting::Number)
        }
    }
}

/// A value as it stands, shown; what looks like a secret by its key is masked.
pub(crate) fn plain_shown(node: &Node) -> Shown {
    match &node.yaml {
        Yaml::Null | Yaml::Broken => Shown::Null,
        Yaml::Scalar(scalar) => match plain_value(&scalar.text).filter(|_| scalar.plain) {
            Some(Setting::Bool(value)) => Shown::Bool(value),
            Some(_) => Shown::Plain(scalar.text.clone()),
            None => Shown::text(&scalar.text),
        },
        Yaml::List(items) => Shown::List(items.iter().map(|item| plain_shown(item)).collect()),
        Yaml::Map(entries) => {
            let shown = |key: &str, value: &Node| match looks_secret(key) {
                true if !matches!(value.yaml, Yaml::Null) => Shown::masked(),
                _ => plain_shown(value),
            };
            Shown::Map(
                entries.iter().map(|(key, value)| (key.text.clone(), shown(&key.text, value))).collect(),
            )
        }
    }
}
