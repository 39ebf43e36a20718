//! Plugins that ship: their pages for other servers, and the verbs that check and run them.

use crate::world::{Foghorn, eventually, foghorn, get};

#[test]
fn the_model_walks_and_shows_its_page() {
    let config = r#"
global: { scrape_interval: 100ms, scrape_timeout: 100ms }
scrape_configs: [{ job_name: model, plugin: mock_model, static_configs: [{ targets: [localhost] }] }]
"#;
    let foghorn = Foghorn::start(&[("foghorn.yml", config)]);
    let page = get(foghorn.port, "/plugins/mock_model/metrics");
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.headers.to_ascii_lowercase().contains("content-type: text/plain"), "{page:?}");
    assert!(page.body.contains("# TYPE model_result gauge\n"), "{page:?}");
    eventually("a walk", || (foghorn.value("changes(model_result[1m])") > Some(5.0)).then_some(()));
    let (low, high) =
        (foghorn.value("min_over_time(model_result[1m])"), foghorn.value("max_over_time(model_result[1m])"));
    assert!(low >= Some(0.0) && high <= Some(1.0), "{low:?} {high:?}");
    assert_eq!(get(foghorn.port, "/plugins/nonsuch/metrics").status, 404);
}

#[test]
fn plugins_can_be_checked_and_run_from_the_shell() {
    for (file, name) in
        [("mock_model", "mock_model"), ("host", "host"), ("discord", "discord"), ("drift", "ModelDrift")]
    {
        let output = foghorn()
            .args(["plugin", "check", &format!("bundled:{file}")])
            .output()
            .expect("the binary starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.contains(name),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let output = foghorn().args(["plugin", "run", "bundled:mock_model"]).output().expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("model_result "), "{text}");
}
