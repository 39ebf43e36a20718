//! Discoveries that ask an orchestrator or a registry: their keys and what those demand.

use super::{Mechanism, kubernetes, mechanism};
use crate::reader::Fields;
use crate::schema::Demand::{AtMostOne, Needs, NotEmpty};
use crate::schema::{Kind, Table, key};
use crate::url;

pub(super) const ALL: &[Mechanism] = &[
    mechanism("consul", "consul_sd_configs", &CONSUL),
    mechanism("docker", "docker_sd_configs", &DOCKER),
    mechanism("dockerswarm", "dockerswarm_sd_configs", &DOCKERSWARM),
    mechanism("eureka", "eureka_sd_configs", &EUREKA).checked(|fields| check_server(fields, "server")),
    mechanism("kubernetes", "kubernetes_sd_configs", &KUBERNETES).checked(kubernetes::check),
    mechanism("kuma", "kuma_sd_configs", &KUMA).checked(|fields| check_server(fields, "server")),
    mechanism("marathon", "marathon_sd_configs", &MARATHON).checked(check_marathon),
    mechanism("nerve", "nerve_sd_configs", &ZOOKEEPER).without_http().checked(check_zookeeper),
    mechanism("nomad", "nomad_sd_configs", &NOMAD),
    mechanism("puppetdb", "puppetdb_sd_configs", &PUPPETDB).checked(|fields| check_server(fields, "url")),
    mechanism("serverset", "serverset_sd_configs", &ZOOKEEPER).without_http().checked(check_zookeeper),
    mechanism("triton", "triton_sd_configs", &TRITON).without_http(),
    mechanism("uyuni", "uyuni_sd_configs", &UYUNI),
];

const CONSUL: Table = Table {
    keys: &[
        key("server", Kind::Text).or("localhost:8500"),
        key("path_prefix", Kind::Text),
        key("token", Kind::Secret),
        key("datacenter", Kind::Text),
        key("namespace", Kind::Text),
        key("partition", Kind::Text),
        key("tag_separator", Kind::Text).or(","),
        key("scheme", Kind::Text).or("http"),
        key("username", Kind::Text),
        key("password", Kind::Secret),
        key("allow_stale", Kind::Bool).or("true"),
        key("refresh_interval", Kind::Duration).or("30s"),
        key("services", Kind::Texts),
        key("tags", Kind::Texts),
        key("node_meta", Kind::TextMap),
        key("filter", Kind::Text),
        key("health_filter", Kind::Text),
    ],
    demands: &[
        NotEmpty("server"),
        AtMostOne(&["username", "basic_auth"]),
        AtMostOne(&["token", "authorization", "oauth2"]),
    ],
};

const FILTER: Table = Table {
    keys: &[key("name", Kind::Text), key("values", Kind::Texts)],
    demands: &[Needs("name"), Needs("values")],
};

const DOCKER: Table = Table {
    keys: &[
        key("host", Kind::Text),
        key("port", Kind::Port).or("80"),
        key("filters", Kind::Maps(&FILTER)),
        key("host_networking_host", Kind::Text).or("localhost"),
        key("match_first_network", Kind::Bool).or("true"),
        key("refresh_interval", Kind::Duration).or("1m"),
    ],
    demands: &[Needs("host")],
};

const DOCKERSWARM: Table = Table {
    keys: &[
        key("host", Kind::Text),
        key("role", Kind::Choice(&["services", "tasks", "nodes"])),
        key("port", Kind::Port).or("80"),
        key("filters", Kind::Maps(&FILTER)),
        key("refresh_interval", Kind::Duration).or("1m"),
    ],
    demands: &[Needs("host"), Needs("role")],
};

const EUREKA: Table = Table {
    keys: &[key("server", Kind::Text), key("refresh_interval", Kind::Duration).or("30s")],
    demands: &[Needs("server")],
};

const KUBERNETES: Table = Table { keys: kubernetes::KEYS, demands: &[] };

const KUMA: Table = Table {
    keys: &[
        key("server", Kind::Text),
        key("refresh_interval", Kind::Duration).or("30s"),
        key("fetch_timeout", Kind::Duration).or("2m"),
        key("client_id", Kind::Text),
    ],
    demands: &[Needs("server")],
};

/// An address that has to be a URL.
fn check_server(fields: &Fields<'_>, key: &'static str) {
    let text = fields.get(key).and_then(|at| at.scalar().map(|s| (at.clone(), s.text.clone())));
    if let Some((at, text)) = text.filter(|(_, text)| !text.is_empty()) {
        url::check_http(&at, &text, false);
    }
}

const MARATHON: Table = Table {
    keys: &[
        key("servers", Kind::Texts),
        key("refresh_interval", Kind::Duration).or("30s"),
        key("auth_token", Kind::Secret),
        key("auth_token_file", Kind::SecretPath),
    ],
    demands: &[Needs("servers"), AtMostOne(&["auth_token", "auth_token_file"])],
};

fn check_marathon(fields: &Fields<'_>) {
    for way in ["basic_auth", "authorization", "bearer_token", "bearer_token_file", "oauth2"] {
        for token in ["auth_token", "auth_token_file"] {
            fields.at_most_one(&[token, way]);
        }
    }
}

/// Nerve and Serverset read the same store.
const ZOOKEEPER: Table = Table {
    keys: &[key("servers", Kind::Texts), key("paths", Kind::Texts), key("timeout", Kind::Duration).or("10s")],
    demands: &[Needs("servers"), Needs("paths")],
};

fn check_zookeeper(fields: &Fields<'_>) {
    for path in fields.get("paths").and_then(|at| at.list()).unwrap_or_default() {
        if path.scalar().is_some_and(|s| !s.text.starts_with('/')) {
            path.error("a path begins with `/`", None);
        }
    }
}

const NOMAD: Table = Table {
    keys: &[
        key("allow_stale", Kind::Bool).or("true"),
        key("namespace", Kind::Text).or("default"),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("region", Kind::Text).or("global"),
        key("server", Kind::Text).or("http://localhost:4646"),
        key("tag_separator", Kind::Text).or(","),
    ],
    demands: &[NotEmpty("server")],
};

const PUPPETDB: Table = Table {
    keys: &[
        key("url", Kind::Text),
        key("query", Kind::Text),
        key("include_parameters", Kind::Bool),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("port", Kind::Port).or("80"),
    ],
    demands: &[Needs("url"), Needs("query")],
};

const TRITON: Table = Table {
    keys: &[
        key("account", Kind::Text),
        key("role", Kind::Choice(&["container", "cn"])).or("container"),
        key("dns_suffix", Kind::Text),
        key("endpoint", Kind::Text),
        key("groups", Kind::Texts),
        key("port", Kind::Port).or("9163"),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("version", Kind::Integer).or("1"),
        key("tls_config", Kind::Tls),
    ],
    demands: &[Needs("account"), Needs("dns_suffix"), Needs("endpoint")],
};

const UYUNI: Table = Table {
    keys: &[
        key("server", Kind::Url),
        key("username", Kind::Text),
        key("password", Kind::Secret),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("entitlement", Kind::Text).or("monitoring_entitled"),
        key("separator", Kind::Text).or(","),
    ],
    demands: &[Needs("server"), Needs("username"), Needs("password")],
};
