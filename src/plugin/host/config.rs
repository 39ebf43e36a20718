//! The plugin's parameters.

use serde_json::Value;

use super::Call;

impl Call {
    /// The value of a declared parameter; `None` if the manifest does not declare it.
    pub(crate) fn param(&self, name: &str) -> Option<&Value> {
        self.terms.params.get(name)
    }

    /// What to say about a parameter that is not declared.
    pub(crate) fn unknown_param(&self, name: &str) -> String {
        let names: Vec<&str> = self.terms.params.all().keys().map(String::as_str).collect();
        match names.as_slice() {
            [] => format!("there is no parameter `{name}`: the manifest declares none"),
            names => format!("there is no parameter `{name}`; the manifest declares {}", names.join(", ")),
        }
    }
}
