//! Notifier: keeps a Jira issue for each group of alerts, as Alertmanager's `jira_configs` does.
//!
//! The issue is found again by a label with the group's key. It is opened when the group first fires, brought up to date
//! with each notification, and closed and opened again by the transitions that the settings name. Credentials are the
//! operator's `http_config`, which the host adds.

mod issue;
mod jql;

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct Jira;

impl Notifier for Jira {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let server = Server { address: text("api_url")? };
        let Some(known) = search(&server, notification)? else {
            if notification.status == Status::Resolved {
                return Ok(None);
            }
            let body = issue::body(notification, server.is_third_version(), None)?;
            let answer = server.ask("POST", "issue", Some(&body)).map_err(|e| e.at("opening an issue"))?;
            return Ok(key_in(&answer));
        };
        let place = format!("issue `{}`", known.key);
        let body = issue::body(notification, server.is_third_version(), Some(&known.key))?;
        let path = format!("issue/{}", known.key);
        server.ask("PUT", &path, Some(&body)).map_err(|error| error.at(&place))?;
        let transition = match (notification.status, known.done) {
            (Status::Firing, Some(true)) => text("reopen_transition")?,
            (Status::Resolved, Some(false)) => text("resolve_transition")?,
            _ => String::new(),
        };
        if !transition.is_empty() {
            move_on(&server, &known.key, &transition).map_err(|error| error.at(&place))?;
        }
        Ok(Some(known.key))
    }
}

export_notifier!(Jira);

/// Where the REST API is.
struct Server {
    address: String,
}

impl Server {
    /// The third version takes descriptions as documents.
    fn is_third_version(&self) -> bool {
        self.parts().0.ends_with("/3")
    }

    /// The address without its query and the `/` at its end, and its query with the `?`.
    fn parts(&self) -> (&str, &str) {
        let end = self.address.find(['?', '#']).unwrap_or(self.address.len());
        let (path, query) = self.address.split_at(end);
        (path.trim_end_matches('/'), query)
    }

    fn url(&self, path: &str) -> String {
        let (base, query) = self.parts();
        format!("{base}/{path}{query}")
    }

    /// Where issues are searched for. The cloud has it in its third version alone, and the others have not got that.
    fn search_url(&self) -> Result<String> {
        let host = self.address.split_once("://").map_or("", |(_, rest)| rest);
        let host = host.split(['/', '?', '#']).next().unwrap_or_default();
        let cloud = match text("api_type")?.as_str() {
            "cloud" => true,
            "datacenter" => false,
            _ => host.ends_with("atlassian.net"),
        };
        Ok(match cloud {
            true => self.url("search/jql").replacen("/rest/api/2/", "/rest/api/3/", 1),
            false => self.url("search"),
        })
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Vec<u8>> {
        ask(method, self.url(path), body)
    }
}

fn ask(method: &str, url: String, body: Option<&Value>) -> Result<Vec<u8>> {
    let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
    let request = Request::new(method, url)
        .header("Content-Type", "application/json")
        // Names of statuses are asked for in one language.
        .header("Accept-Language", "en")
        .body(bytes);
    Ok(request.send()?.check()?.body)
}

/// The issue of a group.
struct Known {
    key: String,
    /// Whether it is closed, if Jira said so.
    done: Option<bool>,
}

/// The group's issue, if there is one to go on with: an open one, or one that was closed a short while ago.
fn search(server: &Server, notification: &Notification) -> Result<Option<Known>> {
    let wanted = json!({ "jql": jql::of(notification)?, "maxResults": 2, "fields": ["status"] });
    let place = "looking for the group's issue";
    let answer = ask("POST", server.search_url()?, Some(&wanted)).map_err(|error| error.at(place))?;
    let answer = read(&answer).map_err(|error| error.at(place))?;
    let found = answer["issues"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let [first, _, ..] = found {
        let key = first["key"].as_str().unwrap_or_default();
        log::write(
            log::Level::Warn,
            "more than one issue has the group's label; the first is taken",
            &[("issue", key)],
        );
    }
    let Some(key) = found.first().and_then(|issue| issue["key"].as_str()).filter(|key| !key.is_empty())
    else {
        return Ok(None);
    };
    let status = &found[0]["fields"]["status"];
    let done = status.is_object().then(|| status["statusCategory"]["key"] == "done");
    Ok(Some(Known { key: key.to_owned(), done }))
}

/// Takes an issue through the transition of this name.
fn move_on(server: &Server, key: &str, name: &str) -> Result<()> {
    let path = format!("issue/{key}/transitions");
    let answer = read(&server.ask("GET", &path, None)?)?;
    let possible = answer["transitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(id) = possible.iter().find(|one| one["name"] == name).map(|one| &one["id"]) else {
        let names: Vec<&str> = possible.iter().filter_map(|one| one["name"].as_str()).collect();
        return Err(Error::permanent(format!(
            "there is no transition `{name}` from where it stands; possible: {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        )));
    };
    server.ask("POST", &path, Some(&json!({ "transition": { "id": id } })))?;
    Ok(())
}

/// An answer that was accepted; what is not JSON came from something in between.
fn read(answer: &[u8]) -> Result<Value> {
    serde_json::from_slice(answer).map_err(|error| {
        Error::retryable(format!("Jira's answer is not the JSON that it should be: {error}"))
    })
}

/// The key of an issue that was opened. It is there, whatever else the answer says.
fn key_in(answer: &[u8]) -> Option<String> {
    let answer: Map<String, Value> = serde_json::from_slice(answer).ok()?;
    answer.get("key")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        FakeHost::new()
            .manifest(Jira::MANIFEST)
            .param("api_url", "https://jira.test/rest/api/2/")
            .param("project", "OPS")
            .param("issue_type", "Bug")
            .param("resolve_transition", "Close")
            .param("reopen_transition", "Reopen")
            .param("summary", "it broke")
            .param("description", "")
    }

    fn group(status: Status) -> Notification {
        Notification { status, dedup_key: "k1".into(), ..Notification::default() }
    }

    fn found(category: &str) -> String {
        let status = json!({ "name": "x", "statusCategory": { "key": category } });
        json!({ "issues": [{ "key": "OPS-7", "fields": { "status": status } }] }).to_string()
    }

    const TRANSITIONS: &str =
        r#"{ "transitions": [{ "id": "11", "name": "Close" }, { "id": "12", "name": "Reopen" }] }"#;
    const NONE: &str = r#"{ "issues": [] }"#;

    /// Method and path of the requests so far, and the body of the last.
    fn asked(host: &FakeHost) -> (Vec<String>, Value) {
        let requests = host.requests();
        let line = |request: &Request| {
            let path = request.url.split_once("/rest/api/").expect("an address of the API").1;
            format!("{} {path}", request.method)
        };
        let last = requests.last().and_then(|request| serde_json::from_slice(&request.body).ok());
        (requests.iter().map(line).collect(), last.unwrap_or_default())
    }

    #[test]
    fn opens_an_issue() {
        let host = host().answer(200, NONE).answer(201, r#"{ "key": "OPS-8" }"#);
        assert_eq!(host.run(|| Jira::notify(&group(Status::Firing))), Ok(Some("OPS-8".to_owned())));
        let (lines, body) = asked(&host);
        assert_eq!(lines, ["POST 2/search", "POST 2/issue"]);
        assert_eq!(
            body,
            json!({ "fields": {
                "project": { "key": "OPS" },
                "issuetype": { "name": "Bug" },
                "summary": "it broke",
                "labels": ["ALERT{k1}"],
            } })
        );
        let search: Value = serde_json::from_slice(&host.requests()[0].body).expect("a JSON body");
        assert_eq!(search["maxResults"], 2);
        assert_eq!(search["fields"], json!(["status"]));
        let headers = [("Content-Type", "application/json"), ("Accept-Language", "en")];
        assert_eq!(host.requests()[1].headers, headers.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn goes_on_with_the_issue_that_is_there() {
        for (status, category, expected) in [
            (Status::Firing, "new", None),
            (Status::Firing, "done", Some("12")),
            (Status::Resolved, "new", Some("11")),
            (Status::Resolved, "indeterminate", Some("11")),
            (Status::Resolved, "done", None),
        ] {
            let mut host = host().answer(200, &found(category)).answer(204, "");
            if expected.is_some() {
                host = host.answer(200, TRANSITIONS).answer(204, "");
            }
            assert_eq!(host.run(|| Jira::notify(&group(status))), Ok(Some("OPS-7".to_owned())));
            let (lines, body) = asked(&host);
            assert_eq!(lines[..2], ["POST 2/search", "PUT 2/issue/OPS-7"]);
            let moved = ["GET 2/issue/OPS-7/transitions", "POST 2/issue/OPS-7/transitions"];
            match expected {
                None => assert_eq!(lines.len(), 2, "{status:?} {category}"),
                Some(id) => {
                    assert_eq!(lines[2..], moved);
                    assert_eq!(body, json!({ "transition": { "id": id } }), "{status:?} {category}");
                }
            }
        }
        // Without a transition it stays where it is; so it does if Jira does not say where that is.
        for (host, answer) in [
            (host().param("resolve_transition", ""), found("new")),
            (host(), json!({ "issues": [{ "key": "OPS-7" }] }).to_string()),
        ] {
            let host = host.answer(200, &answer).answer(204, "");
            host.run(|| Jira::notify(&group(Status::Resolved))).expect("accepted");
            assert_eq!(host.requests().len(), 2);
        }
    }

    #[test]
    fn nothing_is_opened_for_what_is_over() {
        let host = host().answer(200, NONE);
        assert_eq!(host.run(|| Jira::notify(&group(Status::Resolved))), Ok(None));
        assert_eq!(host.requests().len(), 1);
    }

    #[test]
    fn a_transition_that_is_not_there_is_named() {
        let host = host()
            .param("resolve_transition", "Done")
            .answer(200, &found("new"))
            .answer(204, "")
            .answer(200, TRANSITIONS);
        let error = host.run(|| Jira::notify(&group(Status::Resolved))).expect_err("there is none");
        assert_eq!(error.kind, ErrorKind::Permanent);
        let expected =
            "issue `OPS-7`: there is no transition `Done` from where it stands; possible: Close, Reopen";
        assert_eq!(error.message, expected);
    }

    #[test]
    fn searches_where_the_server_can() {
        for (kind, address, expected) in [
            ("auto", "https://jira.test/rest/api/2", "https://jira.test/rest/api/2/search"),
            ("auto", "https://x.atlassian.net/rest/api/2/", "https://x.atlassian.net/rest/api/3/search/jql"),
            ("auto", "https://x.atlassian.net/rest/api/3", "https://x.atlassian.net/rest/api/3/search/jql"),
            ("datacenter", "https://x.atlassian.net/rest/api/2", "https://x.atlassian.net/rest/api/2/search"),
            ("cloud", "https://jira.test/c/rest/api/2?a=b", "https://jira.test/c/rest/api/3/search/jql?a=b"),
        ] {
            let host = host().param("api_url", address).param("api_type", kind).answer(200, NONE);
            host.run(|| Jira::notify(&group(Status::Resolved))).expect("nothing to do");
            assert_eq!(host.requests()[0].url, expected, "{kind}");
        }
    }

    #[test]
    fn errors_say_where() {
        for (answers, kind, says) in [
            (&[(429, "")][..], ErrorKind::RateLimited, "looking for the group's issue: the server answered"),
            (&[(401, "")], ErrorKind::Unauthorized, "looking for the group's issue: "),
            (&[(200, "<html>")], ErrorKind::Retryable, "looking for the group's issue: Jira's answer is not"),
            (&[(200, NONE), (400, "no such type")], ErrorKind::Permanent, "opening an issue: "),
            (&[(200, NONE), (503, "")], ErrorKind::Retryable, "opening an issue: "),
        ] {
            let host = answers.iter().fold(host(), |host, (status, body)| host.answer(*status, body));
            let error = host.run(|| Jira::notify(&group(Status::Firing))).expect_err("refused");
            assert_eq!(error.kind, kind);
            assert!(error.message.starts_with(says), "{error}");
        }
    }
}
