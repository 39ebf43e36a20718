//! What `kubernetes_sd_configs` demands beyond its keys.

use crate::reader::Fields;
use crate::schema::{Key, Kind, Table, key};

pub(super) const ROLES: [&str; 6] = ["pod", "service", "endpoints", "endpointslice", "node", "ingress"];

const NAMESPACES: Table =
    Table { keys: &[key("own_namespace", Kind::Bool), key("names", Kind::Texts)], demands: &[] };
const SELECTOR: Table = Table {
    keys: &[key("role", Kind::Choice(&ROLES)), key("label", Kind::Text), key("field", Kind::Text)],
    demands: &[],
};
const ATTACHED: Table =
    Table { keys: &[key("node", Kind::Bool), key("namespace", Kind::Bool)], demands: &[] };

pub(super) const KEYS: &[Key] = &[
    key("api_server", Kind::Text),
    key("role", Kind::Choice(&ROLES)),
    key("kubeconfig_file", Kind::Path),
    key("namespaces", Kind::Map(&NAMESPACES)),
    key("selectors", Kind::Maps(&SELECTOR)),
    key("attach_metadata", Kind::Map(&ATTACHED)),
];

/// Keys of the HTTP client: they need an `api_server` to talk to.
const CLIENT_KEYS: [&str; 13] = [
    "basic_auth",
    "authorization",
    "oauth2",
    "bearer_token",
    "bearer_token_file",
    "tls_config",
    "follow_redirects",
    "enable_http2",
    "proxy_url",
    "no_proxy",
    "proxy_from_environment",
    "proxy_connect_header",
    "http_headers",
];

pub(super) fn check(fields: &Fields<'_>) {
    if !fields.has("role") {
        fields.missing("role", Some(format!("one of {}", ROLES.join(", "))));
    }
    fields.at_most_one(&["api_server", "kubeconfig_file"]);
    let own_namespace =
        fields.get("namespaces").and_then(|at| at.fields()).and_then(|f| f.get("own_namespace"));
    let own_namespace = own_namespace.filter(|at| at.scalar().is_some_and(|s| s.text == "true"));
    for key in ["api_server", "kubeconfig_file"] {
        if let Some(at) = own_namespace.as_ref().filter(|_| fields.has(key)) {
            let what = format!("`own_namespace` and `{key}` are both set");
            at.at_key()
                .error(what, Some("the own namespace is known only inside the cluster; name it".to_owned()));
        }
    }
    let client = CLIENT_KEYS.iter().find_map(|key| fields.get(key));
    if let Some(client) = client {
        if fields.has("kubeconfig_file") {
            let what = "HTTP settings and `kubeconfig_file` are both set";
            client.at_key().error(what, Some("put them into the kubeconfig".to_owned()));
        } else if !fields.has("api_server") {
            let what = "HTTP settings without `api_server` do nothing";
            client.at_key().error(what, Some("add `api_server`".to_owned()));
        }
    }
    check_selectors(fields);
}

/// Which objects a role can select by.
fn allowed(role: &str) -> &'static [&'static str] {
    match role {
        "pod" => &["pod", "node"],
        "service" => &["service"],
        "endpointslice" => &["pod", "service", "endpointslice"],
        "endpoints" => &["pod", "service", "endpoints"],
        "node" => &["node"],
        _ => &["ingress"],
    }
}

fn check_selectors(fields: &Fields<'_>) {
    let Some(role) = fields.get("role").and_then(|at| at.scalar().map(|s| s.text.clone())) else { return };
    let mut seen: Vec<String> = Vec::new();
    for selector in fields.get("selectors").and_then(|at| at.list()).unwrap_or_default() {
        let Some(inner) = selector.fields() else { continue };
        if let Some(at) = inner.get("role") {
            let name = at.text().unwrap_or_default();
            if seen.contains(&name) {
                at.error(format!("there is a selector of role `{name}` already"), None);
            }
            if ROLES.contains(&name.as_str())
                && ROLES.contains(&role.as_str())
                && !allowed(&role).contains(&name.as_str())
            {
                let hint = format!("possible: {}", allowed(&role).join(", "));
                at.error(format!("role `{role}` cannot select by `{name}`"), Some(hint));
            }
            seen.push(name);
        }
        if let Some(at) = inner.get("field") {
            let text = at.text().unwrap_or_default();
            for term in text.split(',').filter(|term| !term.trim().is_empty()) {
                if !term.contains('=') {
                    at.error(
                        format!("`{}` is not a field selector", term.trim()),
                        Some("write `field=value`".into()),
                    );
                }
            }
        }
        if let Some(at) = inner.get("label") {
            let text = at.text().unwrap_or_default();
            if !is_label_selector(&text) {
                let hint = "write `name=value`, `name!=value`, `name in (a,b)`, `name notin (a,b)` or `name`";
                at.error(format!("`{text}` is not a label selector"), Some(hint.to_owned()));
            }
        }
    }
}

/// `a=b, c in (d,e), !f`: the terms of a label selector.
fn is_label_selector(text: &str) -> bool {
    let mut depth = 0i32;
    let mut terms = vec![String::new()];
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(term) = terms.last_mut() {
            term.push(c);
        }
    }
    if depth != 0 {
        return false;
    }
    let name = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        !text.is_empty() && text.chars().all(allowed)
    };
    let value = |text: &str| text.is_empty() || name(text);
    terms.iter().map(|term| term.trim()).all(|term| {
        if term.is_empty() {
            return terms.len() == 1;
        }
        for operator in ["!=", "==", "=", ">", "<"] {
            if let Some((left, right)) = term.split_once(operator) {
                return name(left.trim()) && value(right.trim());
            }
        }
        if let Some((left, set)) = term.split_once('(') {
            let mut words = left.split_whitespace();
            let (label, operator) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let in_set = set.trim_end_matches(')').split(',').all(|v| value(v.trim()));
            return name(label) && matches!(operator, "in" | "notin") && words.next().is_none() && in_set;
        }
        name(term.trim_start_matches('!').trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors() {
        for (text, valid) in [
            ("", true),
            ("a=b", true),
            ("a==b,c!=d", true),
            ("app.kubernetes.io/name in (x, y), !z", true),
            ("a notin (b)", true),
            ("a b", false),
            ("a in b)", false),
            ("a=b,,c", false),
            ("a around (b)", false),
        ] {
            assert_eq!(is_label_selector(text), valid, "{text}");
        }
    }
}
