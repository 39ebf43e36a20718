//! `sigv4` of a receiver: whose keys sign its requests to AWS.
//!
//! Keys are looked for where AWS' own programs do, in their order: the settings, the named profile, the environment, a
//! service account's token, the default profile, the container, the machine. Files are read each time.

use std::path::PathBuf;

use model::Secret;
use ports::{AwsKeys, AwsRole, AwsSigning};
use serde_json::{Map, Value};

/// Reads a variable of the environment.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The machine's own environment.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What `sigv4` comes to, and whether no file and no variable had a say in it.
pub(super) fn signing(sigv4: &Value, environment: Environment<'_>) -> Result<(AwsSigning, bool), String> {
    let none = Map::new();
    let map = sigv4.as_object().unwrap_or(&none);
    let text = |name: &str| map.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let variable = |name: &str| environment(name).filter(|text| !text.is_empty());
    let secret = match (text("secret_key"), text("secret_key_file")) {
        (Some(key), _) => Some(key.to_owned()),
        (None, Some(file)) => {
            let read =
                std::fs::read_to_string(file).map_err(|why| format!("`secret_key_file`: {file}: {why}"))?;
            Some(read.trim().to_owned())
        }
        (None, None) => None,
    };
    let shared = Shared::named(text("profile"), environment);
    let region = text("region").map(str::to_owned);
    let lasting = text("secret_key").is_some() && region.is_some() && text("role_arn").is_none();
    let region = region
        .or_else(|| variable("AWS_REGION"))
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .or_else(|| shared.profile(&shared.name)?.text("region"))
        .ok_or("there is no region: set `region` under `sigv4`, or AWS_REGION in the environment")?;
    let mut role = text("role_arn").map(|arn| AwsRole {
        arn: arn.to_owned(),
        external_id: text("external_id").unwrap_or_default().to_owned(),
    });
    let keys = match (text("access_key"), secret) {
        (Some(access_key), Some(secret_key)) => held(access_key.to_owned(), secret_key, String::new()),
        (None, None) if text("profile").is_some() => {
            shared.keys(&mut role)?.ok_or_else(|| format!("{} has no keys", shared.place()))?
        }
        (None, None) => elsewhere(&shared, &mut role, environment)?,
        _ => return Err("`sigv4` has one of `access_key` and `secret_key`; it needs both".to_owned()),
    };
    let fips = map.get("use_fips_sts_endpoint") == Some(&Value::Bool(true));
    let sts_url = variable("AWS_ENDPOINT_URL_STS").unwrap_or_else(|| {
        let name = if fips { "sts-fips" } else { "sts" };
        let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://{name}.{region}.{end}/")
    });
    let service = text("service").unwrap_or_default().to_owned();
    Ok((AwsSigning { service, region, keys, role, sts_url }, lasting))
}

fn held(access_key: String, secret_key: String, session_token: String) -> AwsKeys {
    AwsKeys::Held {
        access_key,
        secret_key: Secret::new(secret_key),
        session_token: Secret::new(session_token),
    }
}

/// Keys that the settings do not bring.
fn elsewhere(
    shared: &Shared,
    role: &mut Option<AwsRole>,
    environment: Environment<'_>,
) -> Result<AwsKeys, String> {
    let variable = |name: &str| environment(name).filter(|text| !text.is_empty());
    let either = |one: &str, other: &str| variable(one).or_else(|| variable(other));
    let access_key = either("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY");
    if let (Some(access_key), Some(secret_key)) =
        (access_key, either("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY"))
    {
        return Ok(held(access_key, secret_key, variable("AWS_SESSION_TOKEN").unwrap_or_default()));
    }
    if let (Some(token_file), Some(role_arn)) =
        (variable("AWS_WEB_IDENTITY_TOKEN_FILE"), variable("AWS_ROLE_ARN"))
    {
        let session_name = variable("AWS_ROLE_SESSION_NAME").unwrap_or_default();
        return Ok(AwsKeys::WebIdentity { role_arn, session_name, token_file });
    }
    if let Some(keys) = shared.keys(role)? {
        return Ok(keys);
    }
    let relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let relative = relative.map(|path| format!("http://169.254.170.2/{}", path.trim_start_matches('/')));
    if let Some(url) = relative.or_else(|| variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
        return Ok(AwsKeys::Container {
            url,
            token: Secret::new(variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").unwrap_or_default()),
            token_file: variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        });
    }
    let off = variable("AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let url = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254".to_owned());
    let files: Vec<String> = shared.files.iter().map(|(path, _)| path.display().to_string()).collect();
    let looked = format!("under `sigv4`, in the environment or in {}", files.join(" and "));
    Ok(AwsKeys::Machine { url: (!off).then_some(url), looked })
}

/// The files that AWS' programs share.
struct Shared {
    /// The profile that counts.
    name: String,
    /// That of credentials first, then that of settings, where profiles are called `profile NAME`.
    files: Vec<(PathBuf, Vec<Profile>)>,
}

/// A section of such a file.
#[derive(Default)]
struct Profile {
    name: String,
    settings: Vec<(String, String)>,
}

impl Profile {
    fn text(&self, name: &str) -> Option<String> {
        let found = self.settings.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    }
}

impl Shared {
    fn named(profile: Option<&str>, environment: Environment<'_>) -> Shared {
        let variable = |name: &str| environment(name).filter(|text| !text.is_empty());
        let name = profile.map(str::to_owned).or_else(|| variable("AWS_PROFILE"));
        let home = PathBuf::from(variable("HOME").unwrap_or_default()).join(".aws");
        let files =
            [("AWS_SHARED_CREDENTIALS_FILE", "credentials", ""), ("AWS_CONFIG_FILE", "config", "profile ")];
        let files = files.map(|(own, usual, before)| {
            let path = variable(own).map_or_else(|| home.join(usual), PathBuf::from);
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            (path, profiles(&text, before))
        });
        Shared { name: name.unwrap_or_else(|| "default".to_owned()), files: files.into() }
    }

    /// What both files say about a profile; that of credentials counts where both do.
    fn profile(&self, name: &str) -> Option<Profile> {
        let sections = self.files.iter().rev().flat_map(|(_, profiles)| profiles);
        let mut sections = sections.filter(|section| section.name == name).peekable();
        sections.peek()?;
        let settings = sections.flat_map(|section| section.settings.iter().cloned()).collect();
        Some(Profile { name: name.to_owned(), settings })
    }

    fn place(&self) -> String {
        let files: Vec<String> = self.files.iter().map(|(path, _)| path.display().to_string()).collect();
        format!("the profile `{}` of {}", self.name, files.join(" and "))
    }

    /// The keys of the profile, if it has any. A role that it names is taken on, unless the settings name another.
    fn keys(&self, role: &mut Option<AwsRole>) -> Result<Option<AwsKeys>, String> {
        let Some(profile) = self.profile(&self.name) else { return Ok(None) };
        if let Some(keys) = pair(&profile) {
            return Ok(Some(keys));
        }
        if let Some(arn) = profile.text("role_arn") {
            if let Some(token_file) = profile.text("web_identity_token_file") {
                let session_name = profile.text("role_session_name").unwrap_or_default();
                return Ok(Some(AwsKeys::WebIdentity { role_arn: arn, session_name, token_file }));
            }
            let source = profile.text("source_profile").and_then(|name| self.profile(&name));
            if let Some(keys) = source.and_then(|source| pair(&source)).filter(|_| role.is_none()) {
                let external_id = profile.text("external_id").unwrap_or_default();
                *role = Some(AwsRole { arn, external_id });
                return Ok(Some(keys));
            }
        }
        let other = ["role_arn", "credential_process", "sso_session", "sso_start_url", "login_session"];
        match other.into_iter().find(|name| profile.text(name).is_some()) {
            Some(name) => Err(format!(
                "{} has its keys from `{name}` in a way that is not known here; give it keys, or name a role as `role_arn` \
                 under `sigv4`",
                self.place()
            )),
            None => Ok(None),
        }
    }
}

fn pair(profile: &Profile) -> Option<AwsKeys> {
    let token = profile.text("aws_session_token").unwrap_or_default();
    Some(held(profile.text("aws_access_key_id")?, profile.text("aws_secret_access_key")?, token))
}

/// The sections of a file; `before` stands before their names, but for `default`.
fn profiles(text: &str, before: &str) -> Vec<Profile> {
    let mut profiles: Vec<Profile> = Vec::new();
    for line in text.lines() {
        // What is indented belongs to the setting above it.
        if line.starts_with([' ', '\t', '#', ';']) {
            continue;
        }
        let line = line.trim();
        if let Some(inner) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let name = inner.0.trim();
            let name = name.strip_prefix(before).map_or(name, str::trim);
            profiles.push(Profile { name: name.to_owned(), settings: Vec::new() });
        } else if let (Some(profile), Some((name, value))) = (profiles.last_mut(), line.split_once('=')) {
            profile.settings.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    profiles
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tempfile::TempDir;

    const CREDENTIALS: &str = "\
[default]
aws_access_key_id = D
aws_secret_access_key = d
; a remark
[ops]
aws_access_key_id=O
aws_secret_access_key=o
aws_session_token=ot
";
    const SETTINGS: &str = "\
[default]
region = us-east-2
[profile ops]
region = eu-west-1
s3 =
  region = nowhere
[profile role]
role_arn = arn:r
source_profile = ops
external_id = e
[profile web]
role_arn = arn:w
web_identity_token_file = /t
[profile sso]
sso_session = x
[profile empty]
";

    /// Who signs, for what region, as what: `KEY REGION ROLE`.
    fn signs(sigv4: Value, variables: &[(&str, &str)]) -> Result<String, String> {
        let home = TempDir::new().unwrap();
        std::fs::create_dir(home.path().join(".aws")).unwrap();
        std::fs::write(home.path().join(".aws/credentials"), CREDENTIALS).unwrap();
        std::fs::write(home.path().join(".aws/config"), SETTINGS).unwrap();
        let path = home.path().display().to_string();
        let environment = |name: &str| match name {
            "HOME" if variables.iter().all(|(known, _)| *known != "HOME") => Some(path.clone()),
            _ => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
        };
        let (signing, _) = signing(&sigv4, &environment).map_err(|problem| problem.replace(&path, "HOME"))?;
        let keys = match signing.keys {
            AwsKeys::Held { access_key, secret_key, session_token } => {
                format!("{access_key}/{}/{}", secret_key.expose(), session_token.expose())
            }
            AwsKeys::WebIdentity { role_arn, token_file, .. } => format!("{role_arn}@{token_file}"),
            AwsKeys::Container { url, token, .. } => format!("{url}#{}", token.expose()),
            AwsKeys::Machine { url, looked } => format!("{url:?} {}", looked.replace(&path, "HOME")),
        };
        let role = signing.role.map_or(String::new(), |role| format!(" {}+{}", role.arn, role.external_id));
        Ok(format!("{keys} {}{role}", signing.region))
    }

    #[test]
    fn keys_are_looked_for_in_this_order() {
        let here = [("HOME", "/nowhere"), ("AWS_DEFAULT_REGION", "r")];
        let with = |more: &[(&'static str, &'static str)]| [&here[..], more].concat();
        let keys = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "e"), ("AWS_SESSION_TOKEN", "et")];
        let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/w"), ("AWS_ROLE_ARN", "arn:a")];
        let container = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/c"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "ct"),
        ];
        for (sigv4, variables, expected) in [
            (json!({ "access_key": "A", "secret_key": "a", "region": "x" }), with(&keys), "A/a/ x"),
            (json!({ "profile": "ops" }), keys.to_vec(), "O/o/ot eu-west-1"),
            (json!({ "profile": "ops", "role_arn": "arn:q" }), vec![], "O/o/ot eu-west-1 arn:q+"),
            (json!({ "region": "x" }), keys.to_vec(), "E/e/et x"),
            (json!(null), vec![("AWS_REGION", "q"), keys[0], keys[1]], "E/e/ q"),
            (json!({ "region": "x" }), web.to_vec(), "arn:a@/w x"),
            (json!({}), vec![], "D/d/ us-east-2"),
            (json!({}), vec![("AWS_PROFILE", "ops")], "O/o/ot eu-west-1"),
            (json!({ "profile": "role", "region": "x" }), vec![], "O/o/ot x arn:r+e"),
            (json!({ "profile": "web", "region": "x" }), vec![], "arn:w@/t x"),
            (json!({}), with(&container), "http://127.0.0.1/c#ct r"),
            (
                json!({}),
                with(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x")]),
                "http://169.254.170.2/v2/x# r",
            ),
            (
                json!({}),
                here.to_vec(),
                "Some(\"http://169.254.169.254\") under `sigv4`, in the environment or in \
                 /nowhere/.aws/credentials and /nowhere/.aws/config r",
            ),
        ] {
            assert_eq!(signs(sigv4.clone(), &variables).as_deref(), Ok(expected), "{sigv4} {variables:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let files = "HOME/.aws/credentials and HOME/.aws/config";
        for (sigv4, variables, expected) in [
            (
                json!({ "region": "x", "access_key": "A" }),
                vec![],
                "`sigv4` has one of `access_key` and `secret_key`; it needs both".to_owned(),
            ),
            (
                json!({ "access_key": "A", "secret_key": "a" }),
                vec![("HOME", "/nowhere")],
                "there is no region: set `region` under `sigv4`, or AWS_REGION in the environment".to_owned(),
            ),
            (
                json!({ "region": "x", "profile": "gone" }),
                vec![],
                format!("the profile `gone` of {files} has no keys"),
            ),
            (
                json!({ "region": "x", "profile": "sso" }),
                vec![],
                format!(
                    "the profile `sso` of {files} has its keys from `sso_session` in a way that is not known here; give it \
                     keys, or name a role as `role_arn` under `sigv4`"
                ),
            ),
        ] {
            assert_eq!(signs(sigv4.clone(), &variables), Err(expected), "{sigv4}");
        }
    }

    #[test]
    fn what_files_and_variables_said_does_not_last() {
        let nothing = |_: &str| None;
        let lasts = |sigv4: Value| signing(&sigv4, &nothing).unwrap().1;
        assert!(lasts(json!({ "region": "x", "access_key": "A", "secret_key": "a" })));
        assert!(!lasts(json!({ "region": "x" })));
    }
}
