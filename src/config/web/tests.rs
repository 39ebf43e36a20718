use super::*;
use crate::MemoryFiles;

const HASH: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

fn load(text: &str) -> Result<(WebConfig, Vec<Problem>), Problems> {
    let text = text.replace("HASH", HASH).replace("TLS,", "cert_file: c.pem, key_file: k.pem,");
    let files = MemoryFiles::of("web/web.yml", text)
        .with("web/c.pem", "")
        .with("web/k.pem", "")
        .with("web/ca.pem", "");
    load_web(&files, FilePath::new("web/web.yml"))
}

/// What is expected of a file.
enum Verdict {
    /// It is taken in silence.
    Fine,
    /// It is taken, and this is said.
    Warned(&'static str),
    /// It is refused, and this is said.
    Refused(&'static str),
    /// The same, where Alertmanager 0.33.1 takes the file: what it asks for cannot be given, or would not be done.
    RefusedHere(&'static str),
}
use Verdict::{Fine, Refused, RefusedHere, Warned};

/// Fine, warned and refused are the verdicts of Alertmanager 0.33.1 and, for what it knows already, promtool 2.42.
#[test]
fn verdicts_are_those_of_the_originals() {
    for (text, verdict) in [
        ("", Fine),
        ("# nothing", Fine),
        ("tls_server_config: {TLS,}", Fine),
        ("tls_server_config: {min_version: TLS13}", Fine),
        ("tls_server_config: {min_version: TLS9}", Refused("`TLS9` is not a TLS version")),
        ("tls_server_config: {cert: x, key: y}", Fine),
        ("tls_server_config: {cert: x, cert_file: gone.pem, key: y}", Refused("this file does not exist")),
        ("tls_server_config: {cert_file: c.pem}", Refused("`key_file` is missing")),
        ("tls_server_config: {key_file: k.pem}", Refused("`cert_file` is missing")),
        ("tls_server_config: {cert_file: gone.pem, key_file: k.pem}", Refused("this file does not exist")),
        ("tls_server_config: {client_ca_file: ca.pem}", Refused("`cert_file` is missing")),
        ("tls_server_config: {client_auth_type: NoClientCert}", Refused("`cert_file` is missing")),
        ("tls_server_config: {TLS, cert_files: x}", Refused("did you mean `cert_file`?")),
        ("tls_config: {}", Refused("write `tls_server_config`")),
        ("tls_server_config: {TLS, client_auth_type: RequireAndVerifyClientCert}", Fine),
        (
            "tls_server_config: {TLS, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}",
            Fine,
        ),
        ("tls_server_config: {TLS, client_auth_type: RequireClientCert}", Fine),
        ("tls_server_config: {TLS, client_auth_type: Never}", Refused("not a value of `client_auth_type`")),
        ("tls_server_config: {TLS, client_ca_file: ca.pem}", Refused("none is asked for")),
        (
            "tls_server_config: {TLS, client_auth_type: VerifyClientCertIfGiven, client_ca_file: gone.pem}",
            Refused("this file does not exist"),
        ),
        ("tls_server_config: {TLS, client_auth_type: RequireAnyClientCert, client_allowed_sans: [a]}", Fine),
        ("tls_server_config: {TLS, min_version: TLS13, max_version: TLS13}", Fine),
        ("tls_server_config: {TLS, min_version: TLS14}", Refused("`TLS14` is not a TLS version")),
        ("tls_server_config: {TLS, min_version: ''}", Refused("`` is not a TLS version")),
        ("tls_server_config: {TLS, min_version: TLS10}", Warned("1.2 is the lowest version")),
        (
            "tls_server_config: {TLS, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]}",
            Fine,
        ),
        (
            "tls_server_config: {TLS, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]}",
            Warned("does not have the cipher suite `TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA`"),
        ),
        ("tls_server_config: {TLS, cipher_suites: [TLS_NONE]}", Refused("unknown cipher suite `TLS_NONE`")),
        (
            "tls_server_config: {TLS, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}",
            Refused("unknown cipher suite"),
        ),
        (
            "tls_server_config: {TLS, curve_preferences: [CurveP256, X25519, CurveP521]}",
            Warned("does not have the curve `CurveP521`"),
        ),
        ("tls_server_config: {TLS, curve_preferences: [X25519MLKEM768]}", Refused("unknown curve")),
        ("tls_server_config: {TLS, prefer_server_cipher_suites: false}", Fine),
        (
            "tls_server_config: {TLS, client_auth_type: RequireAnyClientCert, client_allowed_sans: a}",
            Refused("expected a list"),
        ),
        ("basic_auth_users: {a: HASH, b: HASH}", Fine),
        ("basic_auth_users: {'': HASH}", Fine),
        ("basic_auth_users:", Fine),
        ("basic_auth_users: {a: HASH, a: HASH}", Refused("set twice")),
        ("basic_auth_users: {a: hush}", Refused("it is too short")),
        ("basic_auth_users: {a: $2y$10$QOauhQNb}", Refused("it is too short")),
        (
            "basic_auth_users: {a: $2y$03$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}",
            Refused("its cost is not between 04 and 31"),
        ),
        (
            "basic_auth_users: {a: $2y$32$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}",
            Refused("its cost is not"),
        ),
        (
            "basic_auth_users: {a: $2y$1x$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}",
            Refused("its cost is not"),
        ),
        (
            "basic_auth_users: {a: $3y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}",
            Refused("does not begin"),
        ),
        (
            "basic_auth_users: {a: $2$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}",
            Warned("no password matches"),
        ),
        ("basic_auth_users: {a: HASHx}", Warned("no password matches")),
        (
            "basic_auth_users: {a: '$2y$10$!!auhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi'}",
            Warned("no password matches"),
        ),
        (
            "http_server_config: {http2: false, headers: {X-Frame-Options: deny, Strict-Transport-Security: max-age=5, X-XSS-Protection: '1', Content-Security-Policy: '', X-Content-Type-Options: nosniff}}",
            Fine,
        ),
        ("http_server_config: {http2: 'true'}", Refused("take the quotes away")),
        ("http_server_config: {headers: {X-Other: a}}", Refused("header `X-Other` cannot be set")),
        (
            "http_server_config: {headers: {X-Frame-Options: DENY}}",
            Refused("`DENY` is not a value of `X-Frame-Options`"),
        ),
        (
            "http_server_config: {headers: {x-frame-options: deny}}",
            Refused("did you mean `X-Frame-Options`?"),
        ),
        ("rate_limit: {burst: 5, interval: 1s}", Fine),
        ("- a", Refused("expected a mapping")),
        // Where we differ.
        (
            "tls_server_config: {TLS, min_version: TLS10, max_version: TLS11}",
            RefusedHere("no version is left"),
        ),
        (
            "tls_server_config: {TLS, min_version: TLS13, max_version: TLS12}",
            RefusedHere("no version is left"),
        ),
        (
            "tls_server_config: {TLS, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]}",
            RefusedHere("Foghorn has none of these cipher suites"),
        ),
        (
            "tls_server_config: {TLS, curve_preferences: [CurveP521]}",
            RefusedHere("Foghorn has none of these curves"),
        ),
        // Later releases refuse these, too.
        (
            "tls_server_config: {TLS, client_allowed_sans: [a]}",
            RefusedHere("only where certificates are demanded"),
        ),
        (
            "tls_server_config: {TLS, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem, client_allowed_sans: [a]}",
            RefusedHere("only where certificates are demanded"),
        ),
    ] {
        let said = match (load(text), &verdict) {
            (Ok((_, warnings)), Fine) if warnings.is_empty() => continue,
            (Ok((_, warnings)), Warned(wanted))
                if warnings.len() == 1 && warnings[0].to_string().contains(wanted) =>
            {
                continue;
            }
            (Err(problems), Refused(wanted) | RefusedHere(wanted))
                if problems.to_string().contains(wanted) =>
            {
                assert!(!problems.to_string().contains("hush"), "a secret is shown: {problems}");
                continue;
            }
            (Ok((_, warnings)), _) => Problems(warnings).to_string(),
            (Err(problems), _) => problems.to_string(),
        };
        panic!("{text}\n{said}");
    }
}

#[test]
fn everything_is_read() {
    let (config, _) = load(
        "tls_server_config:
  cert_file: c.pem
  key: y
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ../web/ca.pem
  client_allowed_sans: [a, 127.0.0.1]
  min_version: TLS13
  cipher_suites: [TLS_AES_128_GCM_SHA256]
  curve_preferences: [CurveP521, X25519]
http_server_config: { headers: { X-Frame-Options: sameorigin } }
basic_auth_users: { a: HASH }
rate_limit: { burst: 3, interval: 250000000 }
",
    )
    .unwrap();
    assert_eq!(
        config,
        WebConfig {
            tls: Some(ServerTls {
                cert: Pem::File("web/c.pem".into()),
                key: Pem::Inline(Secret::new("y".to_owned())),
                client_auth: ClientAuth::RequireAndVerify,
                client_ca: Some(Pem::File("web/../web/ca.pem".into())),
                client_allowed_sans: Some(vec!["a".to_owned(), "127.0.0.1".to_owned()]),
                min_version: TlsVersion::Tls13,
                max_version: TlsVersion::Tls13,
                cipher_suites: Some(vec!["TLS_AES_128_GCM_SHA256"]),
                curves: Some(vec!["X25519"]),
            }),
            headers: vec![("X-Frame-Options".to_owned(), "sameorigin".to_owned())],
            users: BTreeMap::from([("a".to_owned(), Secret::new(HASH.to_owned()))]),
            requests: Some(RequestLimit { burst: 3, interval: Duration::from_millis(250) }),
        }
    );
    assert_eq!(load("tls_server_config: {max_version: TLS12}").unwrap().0, WebConfig::default());
}

#[test]
fn a_problem_is_shown_with_its_place_and_without_what_is_secret() {
    let text = "basic_auth_users:\n  anna: hush-hush-hush\n  ben: HASH\n";
    assert_eq!(
        load(text).unwrap_err().to_string(),
        "error: this is not a bcrypt hash: it is too short\n  --> web/web.yml:2:9, basic_auth_users.anna\n   |\n 2 |   anna: <secret>\n   |         ^^^^^^^^\nhint: make one with `htpasswd -nBC 10 \"\"`\n\n1 error"
    );
    let missing = load_web(&MemoryFiles::default(), FilePath::new("web.yml")).unwrap_err().to_string();
    assert!(missing.contains("this file does not exist\n  --> web.yml"), "{missing}");
}

#[test]
fn of_a_salt_only_what_counts_is_kept() {
    // Some programs leave bits in the last letter of the salt that belong to nothing.
    let salt = |letter: char| HASH.replacen("QDKes6eFzPe", &format!("QDKes6eFzP{letter}"), 1);
    let read = |hash: &str| load(&format!("basic_auth_users: {{a: '{hash}'}}")).unwrap().0.users["a"].clone();
    for letter in ['e', 'f', 't'] {
        assert_eq!(read(&salt(letter)), Secret::new(HASH.to_owned()), "{letter}");
    }
    assert_ne!(read(&salt('u')), Secret::new(HASH.to_owned()));
}
