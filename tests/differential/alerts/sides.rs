//! Both programs, each with a sink of its own, and the timelines that both go through at the same time.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sink::{Message, Sink};
use crate::timeline::{Action, Timeline};
use crate::tree::{self, Tree};
use crate::world::{self, Foghorn, Process, eventually, http};

/// Senders of each side; each plays its share of the trees.
const SENDERS: usize = 4;
/// Time between "ready" and the first event.
const LEAD: Duration = Duration::from_millis(500);
/// Both say that they are found here.
const EXTERNAL_URL: &str = "http://alerts.example/at";

/// A tree with what happens to it, and when it begins.
pub(crate) struct Play {
    pub(crate) tree: Tree,
    pub(crate) timeline: Timeline,
    /// Milliseconds since the beginning of the run.
    pub(crate) offset: u64,
}

/// A moment on the clock of waits and on the wall.
#[derive(Clone, Copy)]
struct Beginning {
    instant: Instant,
    wall: Timestamp,
}

/// What both did with a play.
pub(crate) struct Run {
    pub(crate) ours: Vec<Message>,
    pub(crate) theirs: Vec<Message>,
    /// What each showed at the end: by question.
    pub(crate) our_end: Value,
    pub(crate) their_end: Value,
    /// When the play began.
    pub(crate) began: Instant,
    /// How much too late the slowest event was.
    pub(crate) late: Duration,
}

/// Lets both go through all plays; the answers are in their order.
pub(crate) fn run(alertmanager: &Path, plays: &[Play]) -> Vec<Run> {
    let trees: Vec<&Tree> = plays.iter().map(|play| &play.tree).collect();
    let sinks = [(); 2].map(|()| Sink::start(tree::refusals(&trees)));
    let foghorn = start_foghorn(&tree::configuration(&trees, sinks[0].port));
    let (port, _alertmanager, _directory) =
        start_alertmanager(alertmanager, &tree::configuration(&trees, sinks[1].port));
    let (instant, now) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let beginning =
        Beginning { instant: instant + LEAD, wall: Timestamp::from_millis((now + LEAD).as_millis() as i64) };
    let (late, mut looks) = std::thread::scope(|scope| {
        let sides = [foghorn.alertmanager_port, port];
        let sends = sides.map(|port| {
            let share = |share| move || Sender::new(port, beginning).play(plays, share);
            (0..SENDERS).map(|at| scope.spawn(share(at))).collect::<Vec<_>>()
        });
        let mut late = vec![Duration::ZERO; plays.len()];
        let looks = sends.map(|senders| {
            let mut looks = vec![Value::Null; plays.len()];
            for (at, lateness, seen) in senders.into_iter().flat_map(|sender| sender.join().unwrap()) {
                late[at] = late[at].max(lateness);
                if !seen.is_null() {
                    looks[at] = seen;
                }
            }
            looks
        });
        (late, looks)
    });
    let end = plays.iter().map(|play| play.offset + play.timeline.until).max().unwrap_or_default();
    wait_until(beginning.instant + Duration::from_millis(end));
    let [ours, theirs] = sinks.map(|sink| sink.messages());
    let of = |messages: &[Message], tree: &Tree, until: Instant| -> Vec<Message> {
        let prefix = format!("/{}/", tree.label);
        let its = messages.iter().filter(|m| m.path.starts_with(&prefix) && m.at < until);
        its.cloned().collect()
    };
    let runs = plays.iter().zip(late).enumerate().map(|(at, (play, late))| {
        let [our_end, their_end] = [0, 1].map(|side: usize| std::mem::take(&mut looks[side][at]));
        let began = beginning.instant + Duration::from_millis(play.offset);
        let until = began + Duration::from_millis(play.timeline.until);
        let (ours, theirs) = (of(&ours, &play.tree, until), of(&theirs, &play.tree, until));
        Run { ours, theirs, our_end, their_end, began, late }
    });
    runs.collect()
}

fn start_foghorn(config: &str) -> Foghorn {
    // Foghorn writes down what it is going to tell, and waits for the disk; Alertmanager does not. Memory keeps a busy disk
    // out of the comparison.
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    let directory = Arc::new(directory.expect("a directory"));
    world::write(directory.path(), "alertmanager.yml", config);
    let args = [
        "--config.file=alertmanager.yml",
        &format!("--web.external-url={EXTERNAL_URL}"),
        "--web.route-prefix=/",
    ];
    Foghorn::start_in(directory, args.map(str::to_owned).into())
}

fn start_alertmanager(program: &Path, config: &str) -> (u16, Process, TempDir) {
    let directory = TempDir::new().expect("a directory");
    world::write(directory.path(), "alertmanager.yml", config);
    let mut process = Process::start(
        Command::new(program)
            // Where this copy looks for its templates.
            .current_dir(program.parent().expect("a program is in a directory"))
            .arg(format!("--config.file={}", directory.path().join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", directory.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
            .args([&format!("--web.external-url={EXTERNAL_URL}"), "--web.route-prefix=/"])
            // A group whose last alert left is gone at once, and not within half a minute.
            .arg("--dispatch.maintenance-interval=20ms"),
    );
    let listens = process.after("Listening on\" address=");
    let port = listens.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    eventually("an Alertmanager that is ready", || {
        http(port, "GET", "/-/ready", &[], "").filter(|answer| answer.status == 200)
    });
    (port, process, directory)
}

/// Sends events to one side.
struct Sender {
    port: u16,
    beginning: Beginning,
    /// Silences by tree and place.
    silences: HashMap<(u64, usize), String>,
}

impl Sender {
    fn new(port: u16, beginning: Beginning) -> Self {
        Sender { port, beginning, silences: HashMap::new() }
    }

    /// Plays its share, and says how late each event was, and what was seen.
    fn play(mut self, plays: &[Play], share: usize) -> Vec<(usize, Duration, Value)> {
        let mine = plays.iter().enumerate().filter(|(at, _)| at % SENDERS == share);
        let mut events: Vec<(u64, usize, &Action)> = mine
            .flat_map(|(at, play)| {
                play.timeline.events.iter().map(move |event| (play.offset + event.at, at, &event.action))
            })
            .collect();
        events.sort_by_key(|(time, at, _)| (*time, *at));
        let mut late = Vec::new();
        for (time, at, action) in events {
            let due = self.beginning.instant + Duration::from_millis(time);
            wait_until(due);
            let seen = self.send(&plays[at], action);
            late.push((at, due.elapsed(), seen));
        }
        late
    }

    fn send(&mut self, play: &Play, action: &Action) -> Value {
        let start = self.beginning.wall.plus_millis(play.offset as i64);
        let key = |place: usize| (play.tree.number, place);
        match action {
            Action::Post(posts) => {
                let posts: Vec<Value> = posts.iter().map(|post| post.json(start)).collect();
                self.post("/api/v2/alerts", &json!(posts));
            }
            Action::Silence { place, matchers, from, to } => {
                let mut conditions =
                    vec![json!({ "name": "tree", "value": play.tree.label, "isRegex": false })];
                conditions.extend(matchers.iter().map(|condition| {
                    let (regex, equal) = (condition.operator.contains('~'), !condition.operator.contains('!'));
                    json!({ "name": condition.name, "value": condition.value, "isRegex": regex, "isEqual": equal })
                }));
                let silence = json!({
                    "matchers": conditions,
                    "startsAt": start.plus_millis(*from).to_string(),
                    "endsAt": start.plus_millis(*to).to_string(),
                    "createdBy": "differential",
                    "comment": "quiet",
                });
                let id = self.post("/api/v2/silences", &silence);
                self.silences.insert(key(*place), id);
            }
            Action::Prolong { place, to } => {
                let id = self.silences[&key(*place)].clone();
                let mut silence = self.call("GET", &format!("/api/v2/silence/{id}"), None);
                silence["endsAt"] = json!(start.plus_millis(*to).to_string());
                let id = self.post("/api/v2/silences", &silence);
                self.silences.insert(key(*place), id);
            }
            Action::Expire { place } => {
                let id = &self.silences[&key(*place)];
                self.call("DELETE", &format!("/api/v2/silence/{id}"), None);
            }
            Action::Look => {
                let filter = world::escape(&format!("tree={:?}", play.tree.label));
                let ask = |what: &str| self.call("GET", &format!("/api/v2/{what}?filter={filter}"), None);
                return json!({
                    "alerts": ask("alerts"), "groups": ask("alerts/groups"), "silences": ask("silences"),
                });
            }
        }
        Value::Null
    }

    /// The id of a silence, if that is what the answer is.
    fn post(&self, path: &str, body: &Value) -> String {
        self.call("POST", path, Some(body))["silenceID"].as_str().unwrap_or_default().to_owned()
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string).unwrap_or_default();
        let answer = http(self.port, method, path, &[("content-type", "application/json")], &body)
            .unwrap_or_else(|| panic!("no answer to {method} {path}"));
        assert_eq!(answer.status, 200, "{method} {path} {body}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap_or_default()
    }
}

fn wait_until(due: Instant) {
    while let Some(wait) = due.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(wait);
    }
}
