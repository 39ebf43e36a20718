use std::collections::BTreeMap;

use super::NOW;
use crate::{AlertFields, NotificationData, NotificationFields, Templates};

fn map(pairs: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

fn alert(status: &str, instance: &str) -> AlertFields {
    AlertFields {
        status: status.to_owned(),
        labels: map(&[("alertname", "Down"), ("instance", instance), ("severity", "page")]),
        annotations: map(&[("summary", "it is <down>")]),
        starts_at: Some(NOW),
        ends_at: (status == "resolved").then_some(NOW),
        generator_url: "http://g/graph".to_owned(),
        fingerprint: "0123456789abcdef".to_owned(),
    }
}

fn data() -> NotificationFields {
    NotificationFields {
        receiver: "ops".to_owned(),
        status: "firing".to_owned(),
        alerts: vec![alert("firing", "a"), alert("firing", "b"), alert("resolved", "c")],
        reason: "first notification".to_owned(),
        group_labels: map(&[("alertname", "Down")]),
        common_labels: map(&[("alertname", "Down"), ("severity", "page")]),
        common_annotations: map(&[("summary", "it is <down>")]),
        route_labels: map(&[
            ("team", "sre"),
            ("plain", "{{"),
            ("t", "for {{ .GroupLabels.alertname }} {{ routeLabels \"team\" }}"),
            ("loop", "{{ routeLabels \"loop\" }}"),
        ]),
        route_labels_rendered: false,
        external_url: "http://fog".to_owned(),
    }
}

fn expand(files: &[(&str, &str)], text: &str) -> Result<String, String> {
    let templates = Templates::parse(files).map_err(|error| error.to_string())?;
    templates.expand_text(text, &NotificationData::from(&data()), NOW).map_err(|error| error.to_string())
}

#[test]
fn data_has_fields_methods_and_elements_at_once() {
    for (text, wanted) in [
        (
            "{{ .Status }} {{ .Receiver }} {{ .ExternalURL }} {{ .NotificationReason }}",
            "firing ops http://fog first notification",
        ),
        ("{{ len .Alerts }} {{ len .Alerts.Firing }} {{ .Alerts.Resolved | len }}", "3 2 1"),
        ("{{ range .Alerts.Firing }}{{ .Labels.instance }} {{ end }}", "a b "),
        (
            "{{ (index .Alerts 2).Labels.instance }} {{ (index .Alerts 2).EndsAt.Format \"15:04\" }}",
            "c 07:08",
        ),
        ("{{ (index .Alerts 0).EndsAt.IsZero }}", "true"),
        ("{{ .CommonLabels.SortedPairs }}", "alertname=Down, severity=page"),
        ("{{ .CommonLabels }}", "alertname=Down, severity=page"),
        (
            "{{ range .CommonLabels.SortedPairs }}{{ .Name }}:{{ .Value }};{{ end }}",
            "alertname:Down;severity:page;",
        ),
        (
            "{{ .CommonLabels.Names | join \"+\" }} {{ .CommonLabels.Values }}",
            "alertname+severity [Down page]",
        ),
        ("{{ (.CommonLabels.Remove .GroupLabels.Names).Names }}", "[severity]"),
        (
            "{{ range $k, $v := .CommonLabels }}{{ $k }}{{ end }} {{ .CommonLabels.gone }}.",
            "alertnameseverity .",
        ),
        (
            "{{ (index .Alerts 0).Fingerprint }} {{ (index .Alerts 0).GeneratorURL }}",
            "0123456789abcdef http://g/graph",
        ),
        ("{{ .CommonLabels | toJson }}", "{\"alertname\":\"Down\",\"severity\":\"page\"}"),
        ("{{ toJson .CommonAnnotations }}", "{\"summary\":\"it is \\u003cdown\\u003e\"}"),
        (
            "{{ routeLabels \"team\" }} {{ routeLabels \"t\" }} {{ routeLabels \"none\" }}.",
            "sre for Down sre .",
        ),
        ("{{ title \"hELLO don't a_b o'neil\" }}", "Hello Don't A_b O'neil"),
        ("{{ base64encode \"a>?b\" }} {{ base64decode (base64encode \"ä\") }}", "YT4_Yg== ä"),
        ("{{ urlUnescape \"a+b%20c\" }} {{ trimSpace \" a \" }}", "a b c a"),
        (
            "{{ $l := list 1 \"a\" }}{{ $l = append $l 2.5 }}{{ $l }} {{ toJson $l }}",
            "[1 a 2.5] [1,\"a\",2.5]",
        ),
        (
            "{{ $d := dict \"b\" 1 \"a\" (list) }}{{ $d.b }} {{ toJson $d }} {{ $d.c }}",
            "1 {\"a\":[],\"b\":1} <no value>",
        ),
    ] {
        assert_eq!(expand(&[], text).unwrap_or_else(|e| e), wanted, "{text}");
    }
    for (text, part) in [
        ("{{ routeLabels \"loop\" }}", "does it use itself?"),
        ("{{ .Alerts.Fring }}", "it has Firing, Resolved"),
        ("{{ .CommonLables }}", "has no field or method `CommonLables`"),
        ("{{ urlUnescape \"%zz\" }}", "is not escaped as in a URL"),
        ("{{ dict \"a\" }}", "the last value is missing"),
        ("{{ query \"up\" }}", "there is no function `query`"),
    ] {
        let error = expand(&[], text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn the_defaults_say_what_is_wrong() {
    let subject = expand(&[], "{{ template \"__subject\" . }}").unwrap();
    assert_eq!(subject, "[FIRING:2] Down (page)");
    assert_eq!(
        expand(&[], "{{ template \"__alertmanagerURL\" . }}").unwrap(),
        "http://fog/#/alerts?receiver=ops"
    );
    let message = expand(&[], "{{ template \"discord.default.message\" . }}").unwrap();
    for part in [
        "Alerts Firing:",
        "Alerts Resolved:",
        " - instance = a",
        " - summary = it is <down>",
        "Source: http://g/graph",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn every_default_can_be_filled_in() {
    let names =
        crate::default_templates().split("define \"").skip(1).filter_map(|rest| rest.split('"').next());
    let templates = Templates::parse::<&str, &str>(&[]).unwrap();
    for name in names {
        let data = NotificationData::from(&data());
        let list = matches!(name, "__text_alert_list" | "__text_alert_list_markdown" | "__email_alerts")
            || name == "pagerduty.default.instances";
        let text = format!("{{{{ template {name:?} {} }}}}", if list { ".Alerts" } else { "." });
        templates.expand_text(&text, &data, NOW).unwrap_or_else(|error| panic!("{error}"));
        templates.expand_html(&text, &data, NOW).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn mails_are_escaped() {
    let templates = Templates::parse::<&str, &str>(&[]).unwrap();
    let mail = templates
        .expand_html("{{ template \"email.default.html\" . }}", &NotificationData::from(&data()), NOW)
        .unwrap();
    assert!(mail.contains("it is &lt;down&gt;"), "{mail}");
    assert!(mail.contains("href=\"http://fog/#/alerts?receiver=ops\""), "{mail}");
    assert!(mail.contains("[2] Firing") && mail.contains("[1] Resolved"), "{mail}");
}

#[test]
fn users_files_replace_the_defaults() {
    let files = [
        ("a.tmpl", "{{ define \"__subject\" }}mine{{ end }}"),
        ("dir/b.tmpl", "{{ define \"x\" }}{{ template \"__subject\" . }}!{{ end }}body"),
    ];
    assert_eq!(
        expand(
            &files,
            "{{ template \"discord.default.title\" . }} {{ template \"x\" . }} {{ template \"b.tmpl\" }}"
        )
        .unwrap(),
        "mine mine! body"
    );
    assert_eq!(
        expand(&[], "{{ define \"__subject\" }}now{{ end }}{{ template \"slack.default.title\" . }}")
            .unwrap(),
        "now"
    );
    let error = Templates::parse(&[("bad.tmpl", "line\n{{ define \"x\" }}{{ foo }}{{ end }}")]).unwrap_err();
    assert_eq!(error.to_string(), "template bad.tmpl:2:20: there is no function `foo`");
}

#[test]
fn rendered_route_labels_are_text() {
    let templates = Templates::parse::<&str, &str>(&[]).unwrap();
    let fields = NotificationFields { route_labels: map(&[("a", "{{ .Status }}")]), ..data() };
    let data = NotificationData::from(&fields);
    assert_eq!(templates.expand_text("{{ routeLabels \"a\" }}", &data, NOW).unwrap(), "firing");
    assert_eq!(templates.expand_route_labels(&data, NOW)["a"], "firing");
    let data = data.with_rendered_route_labels();
    assert_eq!(templates.expand_text("{{ routeLabels \"a\" }}", &data, NOW).unwrap(), "{{ .Status }}");
    assert_eq!(templates.expand_route_labels(&data, NOW)["a"], "{{ .Status }}");
}
