//! Receivers: named lists of integrations. How an integration tells is a notifier's business, never this room's.

use std::sync::Arc;

use model::Labels;

/// A named list of integrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The name that routes use.
    pub name: Arc<str>,
    /// Labels of its own; APIs add `name`.
    pub labels: Labels,
    /// Who is told, in the order written. Each is told independently of the others.
    pub integrations: Vec<Integration>,
}

impl Receiver {
    /// Its labels as APIs show and filter them: its own, and `name`.
    pub fn api_labels(&self) -> Labels {
        self.labels.with("name", &self.name)
    }
}

/// One way to tell, as far as deciding needs it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Integration {
    /// As in `<kind>_configs`: `discord`, `webhook`.
    pub kind: Arc<str>,
    /// Position among the receiver's integrations of that kind.
    pub index: usize,
    /// Whether it wants to hear that alerts ended.
    pub send_resolved: bool,
}
