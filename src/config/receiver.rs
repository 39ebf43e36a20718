//! `receivers`: whom a route tells, and through which notifiers.

use ports::{HttpOptions, SmtpServer};

use crate::{Place, PluginName, Setting};

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
    /// Everything else, with defaults of `global` filled in. Of `plugin_configs` its `params`.
    pub settings: Vec<(String, Setting)>,
    /// Credentials, TLS, proxy for its requests.
    pub http: HttpOptions,
    /// The mail server, of `email_configs`.
    pub smtp: Option<Smtp>,
}

/// A mail server with the secrets that are in files.
#[derive(Clone, Debug, PartialEq)]
pub struct Smtp {
    /// The server.
    pub server: SmtpServer,
    /// A file that holds the password.
    pub password_file: Option<std::path::PathBuf>,
    /// For PLAIN: whom to act as.
    pub identity: String,
    /// For CRAM-MD5.
    pub secret: Option<Setting>,
}

impl Integration {
    /// The setting of this name.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }
}
