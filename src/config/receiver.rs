//! `receivers`: whom a route tells, and through which notifiers.

use std::time::Duration;

use model::Secret;
use ports::HttpOptions;

use crate::global::NotifyDefaults;
use crate::integrations::{self, Draft, IntegrationKind};
use crate::rate_limit::{self, RateLimit};
use crate::reader::{At, Fields, suggestion};
use crate::schema::Texts;
use crate::shown::Shown;
use crate::source::looks_secret;
use crate::{Place, PluginName, Setting, http, schema};

/// A named list of integrations.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// Its name, unique.
    pub name: String,
    /// Labels, for filters; `name` is among them.
    pub labels: Vec<(String, String)>,
    /// Its integrations, by kind in the order of the file. May be empty: alerts are then told to nobody.
    pub integrations: Vec<Integration>,
    /// The receiver that is told while one of this one's notifiers cannot be used.
    pub fallback: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// One entry of a `<kind>_configs` list of a receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Integration {
    /// `discord` for `discord_configs`; of `plugin_configs` the plugin's name.
    pub kind: String,
    /// Position among the receiver's integrations of this kind.
    pub index: usize,
    /// The notifier plugin that sends.
    pub plugin: PluginName,
    /// Whether resolved alerts are told.
    pub send_resolved: bool,
    /// How often its address takes a message: what the receiver says, else what its service documents.
    pub rate_limit: Option<RateLimit>,
    /// How long an attempt may take, if it says: `timeout`, where its kind has that.
    pub timeout: Option<Duration>,
    /// Everything else under Alertmanager's names, with defaults of `global` filled in: `http_config` and the keys of a
    /// mail server among them. Of `plugin_configs` it holds `params`.
    pub settings: Vec<(String, Setting)>,
    /// Credentials, TLS, proxy for its requests; the same as the setting `http_config`.
    pub http: HttpOptions,
}

impl Integration {
    fn new(
        kind: &str,
        index: usize,
        plugin: PluginName,
        send_resolved: bool,
        settings: Vec<(String, Setting)>,
        http: HttpOptions,
    ) -> Self {
        let (rate_limit, timeout) = (None, None);
        Integration {
            kind: kind.to_owned(),
            index,
            plugin,
            send_resolved,
            rate_limit,
            timeout,
            settings,
            http,
        }
    }

    /// The settings that say whom it tells, whatever it says.
    pub fn addresses(&self) -> impl Iterator<Item = &(String, Setting)> {
        self.settings.iter().filter(|(name, _)| integrations::ADDRESSES.contains(&name.as_str()))
    }

    /// The setting of this name.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }
}

/// The time limit of an attempt; none, or `0s`, is as long as the group has.
fn timeout_of(settings: &[(String, Setting)]) -> Option<Duration> {
    let (_, timeout) = settings.iter().find(|(name, _)| name == "timeout")?;
    let text = timeout.as_str()?;
    let timeout = match schema::go_duration(text) {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        None => model::parse_duration(text).ok()?,
    };
    Some(timeout).filter(|timeout| !timeout.is_zero())
}

/// All of `receivers`.
pub(crate) fn read_all(fields: &Fields<'_>, global: &NotifyDefaults) -> Vec<Receiver> {
    let mut seen: Vec<(String, u32)> = Vec::new();
    let receivers = fields.each("receivers", |at| {
        let (receiver, shown) = read(&at, global)?;
        let name_at = at.fields().and_then(|fields| fields.get("name")).unwrap_or_else(|| at.clone());
        match seen.iter().find(|(name, _)| *name == receiver.name) {
            Some((name, line)) if !name.is_empty() => {
                let hint = Some(format!("the first is at line {line}"));
                name_at.error(format!("there are two receivers called `{name}`"), hint);
            }
            _ => seen.push((receiver.name.clone(), receiver.place.line)),
        }
        Some((receiver, shown))
    });
    check_fallbacks(fields, &receivers);
    receivers
}

fn check_fallbacks(fields: &Fields<'_>, receivers: &[Receiver]) {
    for at in fields.get("receivers").and_then(|at| at.list()).unwrap_or_default() {
        let Some(at) = at.fields().and_then(|inner| inner.get("fallback")) else { continue };
        let name = at.scalar().map(|s| s.text.clone()).unwrap_or_default();
        if !receivers.iter().any(|receiver| receiver.name == name) {
            let hint = suggestion(&name, receivers.iter().map(|r| r.name.as_str()), "there are");
            at.error(format!("`{name}` is not a receiver"), hint);
        }
    }
}

fn read(at: &At<'_>, global: &NotifyDefaults) -> Option<(Receiver, Shown)> {
    if at.is_null() {
        // Alertmanager takes it, and nobody can name it.
        at.warn("this receiver is empty", Some("take the item out, or write its keys".to_owned()));
        return None;
    }
    let fields = at.fields()?;
    fields.expect_misplaced(&[
        ("webhook_url", "write it under `discord_configs`, or whoever it belongs to"),
        ("url", "write it under `webhook_configs`"),
        ("send_resolved", "write it in each entry of a `…_configs` list"),
        ("to", "write it under `email_configs`"),
    ]);
    let name = fields.text_or("name", "");
    if name.is_empty() {
        fields.missing("name", None);
    }
    let labels = read_labels(&fields, &name);
    let fallback = fields.text("fallback");
    let mut integrations = Vec::new();
    for kind in &integrations::ALL {
        let mut index = 0;
        integrations.extend(fields.each(kind.key, |at| {
            let read = read_integration(&at, kind, index, global, &name);
            index += 1;
            read
        }));
    }
    read_plugin_configs(&fields, global, &name, &mut integrations);
    read_other_configs(&fields, global, &name, &mut integrations);
    let rate_limit = rate_limit::read(&fields);
    for integration in &mut integrations {
        let documented = || rate_limit::documented(&integration.kind).map(|(limit, _)| limit);
        integration.rate_limit = rate_limit.unwrap_or_else(documented);
        integration.timeout = timeout_of(&integration.settings);
    }
    let receiver = Receiver { name, labels, integrations, fallback, place: at.place() };
    Some((receiver, fields.finish()))
}

fn read_labels(fields: &Fields<'_>, receiver: &str) -> Vec<(String, String)> {
    let mut labels = vec![("name".to_owned(), receiver.to_owned())];
    let Some(at) = fields.get("labels") else { return labels };
    for (name, value) in at.entries().unwrap_or_default() {
        let Some(text) = value.text() else { continue };
        if name == "name" {
            if text != receiver {
                let hint = Some("take it out: it is there by itself".to_owned());
                value.error(format!("label `name` is the receiver's name, `{receiver}`"), hint);
            }
            continue;
        }
        if name.is_empty() {
            value.at_key().error("a label needs a name", None);
        }
        labels.push((name, text));
    }
    fields.show("labels", Shown::pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
    labels
}

/// An item that says nothing is a mistake; `{}` says that everything comes from `global`.
fn not_empty<'a>(at: &At<'a>) -> Option<Fields<'a>> {
    if at.is_null() {
        at.error(
            "this integration is empty",
            Some("write its keys, or `{}` if all come from `global`".to_owned()),
        );
        return None;
    }
    at.fields()
}

fn read_integration(
    at: &At<'_>,
    kind: &IntegrationKind,
    index: usize,
    global: &NotifyDefaults,
    receiver: &str,
) -> Option<(Integration, Shown)> {
    let fields = not_empty(at)?;
    let send_resolved = fields.boolean_or("send_resolved", kind.send_resolved);
    let settings = schema::read_into(&fields, kind.table);
    let mut draft = Draft { fields: &fields, settings, global };
    (kind.complete)(&mut draft);
    let mut settings = draft.settings;
    // Those that `global` brought stand where they would have been written.
    fields.order_shown(std::iter::once("send_resolved").chain(kind.table.keys.iter().map(|key| key.name)));
    let http = match kind.http {
        true => read_http(&fields, global),
        false => HttpOptions::default(),
    };
    settings.extend(http::to_setting(&http).map(|setting| ("http_config".to_owned(), setting)));
    at.cx.check_notifier(at, kind.name, receiver);
    let plugin = PluginName { name: kind.name.to_owned(), place: at.place() };
    let settings = Setting::without_file_names(settings);
    let integration = Integration::new(kind.name, index, plugin, send_resolved, settings, http);
    Some((integration, fields.finish()))
}

/// The integration's own client, or that of `global`. Its own one takes only the proxy from there: credentials are not
/// sent where they were not meant for.
fn read_http(fields: &Fields<'_>, global: &NotifyDefaults) -> HttpOptions {
    let Some(at) = fields.get("http_config") else { return global.http.clone() };
    let base = HttpOptions {
        proxy_url: global.http.proxy_url.clone(),
        no_proxy: global.http.no_proxy.clone(),
        proxy_from_environment: global.http.proxy_from_environment,
        ..HttpOptions::default()
    };
    let Some((options, shown)) = http::read(&at, &base) else { return base };
    fields.show("http_config", shown);
    options
}

/// `plugin_configs`: any notifier plugin, with parameters.
fn read_plugin_configs(
    fields: &Fields<'_>,
    global: &NotifyDefaults,
    receiver: &str,
    out: &mut Vec<Integration>,
) {
    let read = fields.each("plugin_configs", |at| {
        let inner = not_empty(&at)?;
        let name = inner.text_or("plugin", "");
        let Some(name_at) = inner.get("plugin").filter(|_| !name.is_empty()) else {
            inner.missing("plugin", Some("the name of a notifier plugin".to_owned()));
            return None;
        };
        at.cx.check_notifier(&name_at, &name, receiver);
        let send_resolved = inner.boolean_or("send_resolved", true);
        let http = read_http(&inner, global);
        let mut settings = Vec::new();
        if let Some(params) = inner.get("params") {
            params.entries();
            settings.push(("params".to_owned(), schema::free(&params, Texts::Templates)));
            inner.show("params", schema::plain_shown(params.node));
        }
        settings.extend(http::to_setting(&http).map(|setting| ("http_config".to_owned(), setting)));
        let plugin = PluginName { name: name.clone(), place: name_at.place() };
        Some((Integration::new(&name, 0, plugin, send_resolved, settings, http), inner.finish()))
    });
    for integration in read {
        push_counted(out, integration);
    }
}

/// Gives an integration its position among those of its kind.
fn push_counted(out: &mut Vec<Integration>, mut integration: Integration) {
    integration.index = out.iter().filter(|other| other.kind == integration.kind).count();
    out.push(integration);
}

/// `NAME_configs` for a plugin that Alertmanager does not know.
fn read_other_configs(
    fields: &Fields<'_>,
    global: &NotifyDefaults,
    receiver: &str,
    out: &mut Vec<Integration>,
) {
    for (key, list_at) in fields.others(|key| key.ends_with("_configs")) {
        let name = key.trim_end_matches("_configs").to_owned();
        if !list_at.cx.is_notifier(&name) {
            let known = integrations::ALL.iter().map(|kind| kind.key).chain(["plugin_configs"]);
            let bundled = list_at.cx.catalog.notifiers.iter().map(|name| format!("{name}_configs"));
            let known: Vec<String> = known.map(str::to_owned).chain(bundled).collect();
            let hint =
                suggestion(&key, known.iter().map(String::as_str), "known here").unwrap_or_else(|| {
                    format!("it needs a notifier plugin called `{name}`: add one under `plugins:`")
                });
            list_at.at_key().error(format!("unknown key `{key}`"), Some(hint));
            continue;
        }
        let mut shown = Vec::new();
        for at in list_at.list().unwrap_or_default() {
            let Some((integration, shown_one)) = read_free(&at, &name, global, receiver) else { continue };
            push_counted(out, integration);
            shown.push(shown_one);
        }
        fields.show(&key, Shown::List(shown));
    }
}

/// An integration whose keys only its plugin knows.
fn read_free(
    at: &At<'_>,
    name: &str,
    global: &NotifyDefaults,
    receiver: &str,
) -> Option<(Integration, Shown)> {
    let fields = not_empty(at)?;
    let send_resolved = fields.boolean_or("send_resolved", true);
    let http = read_http(&fields, global);
    let mut settings = Vec::new();
    for (key, value) in fields.others(|_| true) {
        let setting = match (value.scalar(), looks_secret(&key)) {
            (Some(scalar), _) if key.ends_with("_file") => Setting::SecretFile(value.resolve(&scalar.text)),
            (Some(_), true) => {
                let text = value.secret_text(Some(&format!("{key}_file"))).unwrap_or_default();
                Setting::Secret { template: text.contains("{{"), value: Secret::new(text) }
            }
            _ => schema::free(&value, Texts::Templates),
        };
        let shown = match setting {
            Setting::Secret { .. } => Shown::masked(),
            _ => schema::plain_shown(value.node),
        };
        fields.show(&key, shown);
        settings.push((key, setting));
    }
    settings.extend(http::to_setting(&http).map(|setting| ("http_config".to_owned(), setting)));
    at.cx.check_notifier(at, name, receiver);
    let plugin = PluginName { name: name.to_owned(), place: at.place() };
    let settings = Setting::without_file_names(settings);
    let integration = Integration::new(name, 0, plugin, send_resolved, settings, http);
    Some((integration, fields.finish()))
}
