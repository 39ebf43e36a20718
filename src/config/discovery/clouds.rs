//! Discoveries that ask a cloud's own interface: their keys and what those demand.

use super::{Mechanism, mechanism};
use crate::reader::Fields;
use crate::schema::Demand::{AtMostOne, Needs, NeedsOne, NotEmpty};
use crate::schema::{Kind, Table, filled, key};

pub(super) const ALL: &[Mechanism] = &[
    mechanism("aws", "aws_sd_configs", &AWS).checked(check_filters),
    mechanism("ec2", "ec2_sd_configs", &EC2).checked(check_filters),
    mechanism("lightsail", "lightsail_sd_configs", &LIGHTSAIL),
    mechanism("azure", "azure_sd_configs", &AZURE).checked(check_azure),
    mechanism("digitalocean", "digitalocean_sd_configs", &DIGITALOCEAN),
    mechanism("gce", "gce_sd_configs", &GCE).without_http(),
    mechanism("hetzner", "hetzner_sd_configs", &HETZNER),
    mechanism("ionos", "ionos_sd_configs", &IONOS),
    mechanism("linode", "linode_sd_configs", &LINODE),
    mechanism("oci", "oci_sd_configs", &OCI).checked(check_oci),
    mechanism("openstack", "openstack_sd_configs", &OPENSTACK).without_http(),
    mechanism("outscale", "outscale_sd_configs", &OUTSCALE),
    mechanism("ovhcloud", "ovhcloud_sd_configs", &OVHCLOUD).without_http(),
    mechanism("scaleway", "scaleway_sd_configs", &SCALEWAY),
    mechanism("stackit", "stackit_sd_configs", &STACKIT).checked(check_stackit),
    mechanism("vultr", "vultr_sd_configs", &VULTR),
];

const FILTER: Table = Table {
    keys: &[key("name", Kind::Text), key("values", Kind::Texts)],
    demands: &[Needs("name"), Needs("values")],
};

const AWS: Table = Table {
    keys: &[
        key("role", Kind::Choice(&["ec2", "ecs", "lightsail", "msk", "rds", "elasticache"])),
        key("region", Kind::Text),
        key("endpoint", Kind::Text),
        key("access_key", Kind::Text),
        key("secret_key", Kind::Secret),
        key("profile", Kind::Text),
        key("role_arn", Kind::Text),
        key("external_id", Kind::Text),
        key("port", Kind::Port),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("request_concurrency", Kind::Integer),
        key("filters", Kind::Maps(&FILTER)),
        key("clusters", Kind::Texts),
    ],
    demands: &[Needs("role")],
};

const EC2: Table = Table {
    keys: &[
        key("endpoint", Kind::Text),
        key("region", Kind::Text),
        key("access_key", Kind::Text),
        key("secret_key", Kind::Secret),
        key("profile", Kind::Text),
        key("role_arn", Kind::Text),
        key("external_id", Kind::Text),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("port", Kind::Port).or("80"),
        key("filters", Kind::Maps(&FILTER)),
    ],
    demands: &[],
};

const LIGHTSAIL: Table = Table {
    keys: &[
        key("endpoint", Kind::Text),
        key("region", Kind::Text),
        key("access_key", Kind::Text),
        key("secret_key", Kind::Secret),
        key("profile", Kind::Text),
        key("role_arn", Kind::Text),
        key("external_id", Kind::Text),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("port", Kind::Port).or("80"),
    ],
    demands: &[],
};

/// An empty value in a filter finds nothing.
fn check_filters(fields: &Fields<'_>) {
    for filter in fields.get("filters").and_then(|at| at.list()).unwrap_or_default() {
        let values = filter.fields().and_then(|inner| inner.get("values")).and_then(|at| at.list());
        for value in values.unwrap_or_default() {
            if value.scalar().is_none_or(|s| s.text.is_empty()) {
                value.error("a filter needs values", None);
            }
        }
    }
}

const AZURE_METHODS: [&str; 4] = ["OAuth", "ManagedIdentity", "SDK", "WorkloadIdentity"];
const AZURE: Table = Table {
    keys: &[
        key("environment", Kind::Text).or("AzurePublicCloud"),
        key("port", Kind::Port).or("80"),
        key("subscription_id", Kind::Text),
        key("tenant_id", Kind::Text),
        key("client_id", Kind::Text),
        key("client_secret", Kind::Secret),
        key("refresh_interval", Kind::Duration).or("5m"),
        key("authentication_method", Kind::Choice(&AZURE_METHODS)).or("OAuth"),
        key("resource_group", Kind::Text),
    ],
    demands: &[Needs("subscription_id")],
};

fn check_azure(fields: &Fields<'_>) {
    let method = fields.get("authentication_method").and_then(|at| at.scalar().map(|s| s.text.clone()));
    if method.is_none_or(|method| method == "OAuth") {
        for key in ["tenant_id", "client_id", "client_secret"] {
            if !filled(fields, key) {
                fields.missing(key, Some("authentication by OAuth needs it".to_owned()));
            }
        }
    }
}

const DIGITALOCEAN: Table = Table {
    keys: &[
        key("role", Kind::Choice(&["droplets", "databases"])),
        key("port", Kind::Port).or("80"),
        key("refresh_interval", Kind::Duration).or("1m"),
    ],
    demands: &[],
};

const GCE: Table = Table {
    keys: &[
        key("project", Kind::Text),
        key("zone", Kind::Text),
        key("filter", Kind::Text),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("port", Kind::Port).or("80"),
        key("tag_separator", Kind::Text).or(","),
    ],
    demands: &[Needs("project"), Needs("zone")],
};

const HETZNER: Table = Table {
    keys: &[
        key("role", Kind::Choice(&["hcloud", "robot"])),
        key("port", Kind::Port).or("80"),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("label_selector", Kind::Text),
    ],
    demands: &[Needs("role")],
};

const IONOS: Table = Table {
    keys: &[
        key("datacenter_id", Kind::Text),
        key("port", Kind::Port).or("80"),
        key("refresh_interval", Kind::Duration).or("1m"),
    ],
    demands: &[Needs("datacenter_id")],
};

const LINODE: Table = Table {
    keys: &[
        key("region", Kind::Text),
        key("port", Kind::Port).or("80"),
        key("tag_separator", Kind::Text).or(","),
        key("refresh_interval", Kind::Duration).or("1m"),
    ],
    demands: &[],
};

const OCI_AUTH: [&str; 2] = ["api_key", "instance_principal"];
const OCI: Table = Table {
    keys: &[
        key("auth", Kind::Choice(&OCI_AUTH)).or("api_key"),
        key("region", Kind::Text),
        key("tenancy", Kind::Text),
        key("user", Kind::Text),
        key("fingerprint", Kind::Text),
        key("key_file", Kind::Path),
        key("key_passphrase", Kind::Secret),
        key("key_passphrase_file", Kind::SecretPath),
        key("compartments", Kind::Texts),
        key("port", Kind::Port).or("80"),
        key("refresh_interval", Kind::Duration).or("1m"),
    ],
    demands: &[Needs("region"), AtMostOne(&["key_passphrase", "key_passphrase_file"])],
};

fn check_oci(fields: &Fields<'_>) {
    let auth = fields.get("auth").and_then(|at| at.scalar().map(|s| s.text.clone()));
    if auth.is_none_or(|auth| auth == "api_key") {
        for key in ["tenancy", "user", "fingerprint", "key_file"] {
            if !filled(fields, key) {
                fields.missing(key, Some("authentication by API key needs it".to_owned()));
            }
        }
    }
}

const OPENSTACK: Table = Table {
    keys: &[
        key("identity_endpoint", Kind::Text),
        key("username", Kind::Text),
        key("userid", Kind::Text),
        key("password", Kind::Secret),
        key("project_name", Kind::Text),
        key("project_id", Kind::Text),
        key("domain_name", Kind::Text),
        key("domain_id", Kind::Text),
        key("application_credential_name", Kind::Text),
        key("application_credential_id", Kind::Text),
        key("application_credential_secret", Kind::Secret),
        key("role", Kind::Choice(&["instance", "hypervisor", "loadbalancer"])),
        key("region", Kind::Text),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("port", Kind::Port).or("80"),
        key("all_tenants", Kind::Bool),
        key("tls_config", Kind::Tls),
        key("availability", Kind::Choice(&["public", "admin", "internal"])).or("public"),
    ],
    demands: &[Needs("role"), Needs("region")],
};

const OUTSCALE: Table = Table {
    keys: &[
        key("endpoint", Kind::Text),
        key("region", Kind::Text).or("eu-west-2"),
        key("access_key", Kind::Text),
        key("secret_key", Kind::Secret),
        key("secret_key_file", Kind::SecretPath),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("port", Kind::Port).or("80"),
    ],
    demands: &[
        NotEmpty("region"),
        Needs("access_key"),
        NeedsOne(&["secret_key", "secret_key_file"]),
        AtMostOne(&["secret_key", "secret_key_file"]),
    ],
};

const OVHCLOUD: Table = Table {
    keys: &[
        key("endpoint", Kind::Text).or("ovh-eu"),
        key("application_key", Kind::Text),
        key("application_secret", Kind::Secret),
        key("consumer_key", Kind::Secret),
        key("refresh_interval", Kind::Duration).or("1m"),
        key("service", Kind::Choice(&["vps", "dedicated_server"])),
    ],
    demands: &[
        Needs("application_key"),
        Needs("application_secret"),
        Needs("consumer_key"),
        Needs("service"),
    ],
};

const SCALEWAY: Table = Table {
    keys: &[
        key("project_id", Kind::Text),
        key("role", Kind::Choice(&["instance", "baremetal"])),
        key("access_key", Kind::Text),
        key("secret_key", Kind::Secret),
        key("secret_key_file", Kind::SecretPath),
        key("api_url", Kind::Text).or("https://api.scaleway.com"),
        key("zone", Kind::Text).or("fr-par-1"),
        key("name_filter", Kind::Text),
        key("tags_filter", Kind::Texts),
        key("port", Kind::Port).or("80"),
        key("refresh_interval", Kind::Duration).or("1m"),
    ],
    demands: &[
        Needs("role"),
        Needs("project_id"),
        Needs("access_key"),
        NeedsOne(&["secret_key", "secret_key_file"]),
        AtMostOne(&["secret_key", "secret_key_file"]),
    ],
};

const STACKIT: Table = Table {
    keys: &[
        key("project", Kind::Text),
        key("region", Kind::Text).or("eu01"),
        key("endpoint", Kind::Url),
        key("service_account_key", Kind::Secret),
        key("service_account_key_path", Kind::SecretPath),
        key("private_key", Kind::Secret),
        key("private_key_path", Kind::SecretPath),
        key("credentials_file_path", Kind::SecretPath),
        key("port", Kind::Port).or("80"),
        key("refresh_interval", Kind::Duration).or("1m"),
    ],
    demands: &[],
};

/// The region says where to ask, unless the address does.
fn check_stackit(fields: &Fields<'_>) {
    if fields.get_or_null("region").is_some() && !filled(fields, "region") && !filled(fields, "endpoint") {
        fields.missing("region", Some("or name an `endpoint`".to_owned()));
    }
}

const VULTR: Table = Table {
    keys: &[key("port", Kind::Port).or("80"), key("refresh_interval", Kind::Duration).or("1m")],
    demands: &[],
};
