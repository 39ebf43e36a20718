//! amtool, unmodified: Debian's, and the one that belongs to the Alertmanager of today.

use std::path::Path;

use serde_json::Value;

use crate::peers::{newer, program, run};
use crate::world::{Foghorn, Sink, eventually};

/// What both versions can read.
const CONFIG: &str = r#"
route:
  receiver: ops
  group_wait: 0s
  routes:
    - { receiver: audit, matchers: ['team=~"db|web"'], continue: true }
    - { receiver: db, matchers: ['team="db"'], group_by: [host] }
receivers:
  - name: ops
    webhook_configs: [{ url: "URL/ops" }]
  - name: audit
  - name: db
    webhook_configs: [{ url: "URL/db" }]
time_intervals: [{ name: nights, time_intervals: [{ times: [{ start_time: "22:00", end_time: "24:00" }] }] }]
"#;

#[test]
fn amtool_works_as_against_alertmanager() {
    // To the older one a webhook's address is no secret, so that it cannot read what the server shows.
    let amtools = [(program("amtool"), false), (newer("amtool"), true)];
    for (amtool, knows_secrets) in amtools {
        let Some(amtool) = amtool else { continue };
        println!("{}:", amtool.display());
        let sink = Sink::start();
        let config = CONFIG.replace("URL", &format!("http://127.0.0.1:{}", sink.port));
        let foghorn = Foghorn::start(&[("alertmanager.yml", &config)]);
        let amtool = Amtool { program: &amtool, foghorn: &foghorn };
        amtool.alerts(&sink);
        amtool.silences();
        amtool.routes(knows_secrets);
    }
}

struct Amtool<'a> {
    program: &'a Path,
    foghorn: &'a Foghorn,
}

impl Amtool<'_> {
    fn ask(&self, args: &[&str]) -> (String, bool) {
        let url = format!("--alertmanager.url=http://127.0.0.1:{}", self.foghorn.alertmanager_port);
        run(self.program, &[&[url.as_str()], args].concat())
    }

    fn does(&self, args: &[&str]) -> String {
        let (text, ok) = self.ask(args);
        assert!(ok, "{args:?}: {text}");
        text
    }

    fn alerts(&self, sink: &Sink) {
        self.does(&[
            "alert",
            "add",
            "ByHand",
            "team=db",
            "--annotation=summary=hello",
            "--generator-url=http://g.test/",
        ]);
        let both = eventually("both receivers", || {
            let messages = sink.messages();
            let paths: Vec<String> =
                messages.iter().filter_map(|message| Some(message["path"].as_str()?.to_owned())).collect();
            (paths.len() == 1).then_some((messages, paths))
        });
        assert_eq!(both.1, ["/db"]);
        let alert = &both.0[0]["body"]["alerts"][0];
        assert_eq!(alert["annotations"]["summary"], "hello");
        assert_eq!(alert["generatorURL"], "http://g.test/");
        assert!(self.does(&["alert", "query"]).contains("ByHand"));
        assert!(self.does(&["alert", "query", "alertname=ByHand", "-o", "json"]).contains("hello"));
        assert!(
            self.does(&["alert", "query", "-o", "extended", "team=~d.", "alertname!=Other"])
                .contains("ByHand")
        );
        assert!(!self.does(&["alert", "query", "--receiver=ops"]).contains("ByHand"));
        assert!(self.does(&["alert", "query", "--receiver=d.*"]).contains("ByHand"));
        let (text, ok) =
            self.ask(&["alert", "add", "Odd", "--start=2030-01-02T00:00:00Z", "--end=2030-01-01T00:00:00Z"]);
        assert!(!ok && text.contains("start time must be before end time"), "{text}");
    }

    fn silences(&self) {
        let add = ["silence", "add", "ByHand", "--author=test", "--comment=quiet", "--duration=1h"];
        let id = self.does(&add).trim().to_owned();
        assert!(self.does(&["silence", "query", "alertname=ByHand"]).contains(&id));
        eventually("amtool sees the silenced alert", || {
            (!self.does(&["alert", "query"]).contains("ByHand")
                && self.does(&["alert", "query", "--silenced"]).contains("ByHand"))
            .then_some(())
        });
        let updated = self.does(&["silence", "update", "--duration=2h", "--comment=longer", &id]);
        assert!(updated.contains(&id) && updated.contains("longer"), "{updated}");
        assert!(!self.does(&["silence", "query", "--within=90m"]).contains(&id));
        assert!(self.does(&["silence", "query", "--within=3h", "--quiet"]).contains(&id));

        let exported = self.does(&["silence", "query", "-o", "json"]);
        let file = self.foghorn.path("silences.json");
        std::fs::write(&file, &exported).unwrap();
        self.does(&["silence", "expire", &id]);
        assert!(!self.does(&["silence", "query"]).contains(&id));
        assert!(self.does(&["silence", "query", "--expired", "--quiet"]).contains(&id));
        // With its id an ended silence comes back as another one.
        self.does(&["silence", "import", &file.to_string_lossy()]);
        self.does(&["silence", "import", "--force", &file.to_string_lossy()]);
        let silences: Value = serde_json::from_str(&self.does(&["silence", "query", "-o", "json"])).unwrap();
        let silences = silences.as_array().unwrap();
        assert_eq!(silences.len(), 2, "{silences:?}");
        for silence in silences {
            assert!(silence["id"] != id.as_str() && silence["comment"] == "longer", "{silence}");
            self.does(&["silence", "expire", silence["id"].as_str().unwrap()]);
        }
        assert_eq!(self.does(&["silence", "query", "--quiet"]), "");
        let (text, ok) = self.ask(&["silence", "expire", "00000000-0000-4000-8000-000000000000"]);
        assert!(!ok, "{text}");
    }

    fn routes(&self, from_server: bool) {
        assert!(self.does(&["config", "show"]).contains("group_wait"));
        assert!(self.does(&["cluster", "show"]).contains("disabled"));
        let file = self.foghorn.path("alertmanager.yml");
        let file = format!("--config.file={}", file.display());
        for from in [&[file.as_str()][..], &[]].into_iter().take(1 + usize::from(from_server)) {
            let of = |args: &[&str]| self.does(&[&["config", "routes"], args, from].concat());
            let shown = of(&["show"]);
            assert!(shown.contains("receiver: audit") && shown.contains("receiver: db"), "{shown}");
            assert_eq!(of(&["test", "team=db"]).trim(), "audit,db");
            assert_eq!(of(&["test", "--verify.receivers=audit", "team=web"]).trim(), "audit");
            assert_eq!(of(&["test", "team=other"]).trim(), "ops");
        }
        let (text, ok) =
            run(self.program, &["check-config", &self.foghorn.path("alertmanager.yml").to_string_lossy()]);
        assert!(ok && text.contains("SUCCESS"), "{text}");
    }
}
