//! `kill -9` at a hundred random moments while alerts flow: what was confirmed is told, and hardly ever twice.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::world::{Foghorn, Process, eventually, http};

const KILLS: usize = 100;
/// Ends of alerts.
const FIRING: &str = "2126-01-01T00:00:00Z";
const ENDED: &str = "2026-01-02T00:00:00Z";
/// Alerts are told one each: `n` makes groups.
const CONFIG: &str = r#"
route: { receiver: counter, group_by: [n], group_wait: 0s, group_interval: 1s, repeat_interval: 4h }
receivers:
  - name: counter
    webhook_configs: [{ url_file: webhook, send_resolved: true }]
"#;

/// A webhook receiver that counts: the messages by alert and status, each with its idempotency key.
struct Counter {
    url: String,
    told: Arc<Mutex<HashMap<(String, String), Vec<String>>>>,
}

impl Counter {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let told = Arc::new(Mutex::new(HashMap::new()));
        let shared = Arc::clone(&told);
        // Ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let told = Arc::clone(&shared);
                std::thread::spawn(move || Counter::serve(stream, &told));
            }
        });
        Counter { url, told }
    }

    /// One message. One that the sender could not finish does not count.
    fn serve(stream: TcpStream, told: &Mutex<HashMap<(String, String), Vec<String>>>) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let (mut length, mut key, mut line) = (0, String::new(), String::new());
        while reader.read_line(&mut line).ok()? > 2 {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok()?,
                "idempotency-key" => value.trim().clone_into(&mut key),
                _ => {}
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let message: Value = serde_json::from_slice(&body).ok()?;
        for alert in message["alerts"].as_array()? {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let what = (text(&alert["labels"]["n"]), text(&alert["status"]));
            told.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default().push(key.clone());
        }
        let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        reader.get_mut().write_all(answer.as_bytes()).ok()
    }

    /// How often each alert was told with this status.
    fn count(&self, n: &str, status: &str) -> usize {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(&(n.to_owned(), status.to_owned())).map_or(0, Vec::len)
    }
}

/// Sends alerts one after the other; each until a server confirms it, as Prometheus does, and never again then.
struct Sender {
    /// Of the server that lives now; 0 while none does.
    port: Arc<AtomicU16>,
    stop: Arc<AtomicBool>,
    counter: Arc<Counter>,
    random: StdRng,
}

/// What servers confirmed with 200.
#[derive(Default)]
struct Confirmed {
    fired: Vec<String>,
    ended: Vec<String>,
}

impl Sender {
    fn run(mut self) -> Confirmed {
        let mut confirmed = Confirmed::default();
        let mut open: Vec<String> = Vec::new();
        while !self.stop.load(Ordering::Acquire) {
            let n = format!("{}", confirmed.fired.len());
            self.post(&n, FIRING);
            confirmed.fired.push(n.clone());
            open.push(n);
            // Sometimes one ends that was told: what was never told need not be told to have ended.
            let chosen = self.random.random_range(0..open.len());
            if self.random.random_bool(0.4) && self.counter.count(&open[chosen], "firing") > 0 {
                let n = open.swap_remove(chosen);
                self.post(&n, ENDED);
                confirmed.ended.push(n);
            }
            std::thread::park_timeout(Duration::from_millis(self.random.random_range(0..30)));
        }
        confirmed
    }

    fn post(&self, n: &str, ends_at: &str) {
        post(&self.port, n, ends_at);
    }
}

/// Sends the alert until a server confirms it.
fn post(port: &AtomicU16, n: &str, ends_at: &str) {
    let alert = json!({
        "labels": {"alertname": "Flow", "n": n}, "startsAt": "2026-01-01T00:00:00Z", "endsAt": ends_at,
    });
    eventually("a server that confirms the alert", || {
        let port = port.load(Ordering::Acquire);
        let headers = [("content-type", "application/json")];
        let answer = http(port, "POST", "/api/v2/alerts", &headers, &json!([alert]).to_string())?;
        // While it starts it answers 503.
        assert!(matches!(answer.status, 200 | 503), "{answer:?}");
        (answer.status == 200).then_some(())
    });
}

#[test]
fn a_hundred_kills_lose_nothing_and_repeat_at_most_what_was_under_way() {
    let counter = Arc::new(Counter::start());
    let mut foghorn = Foghorn::start(&[("alertmanager.yml", CONFIG), ("webhook", &counter.url)]);
    let port = Arc::new(AtomicU16::new(foghorn.port));
    let stop = Arc::new(AtomicBool::new(false));
    let mut random = StdRng::seed_from_u64(4);
    let sender = Sender {
        port: Arc::clone(&port),
        stop: Arc::clone(&stop),
        counter: Arc::clone(&counter),
        random: StdRng::seed_from_u64(5),
    };
    let sender = std::thread::spawn(move || sender.run());

    let mut silences = Vec::new();
    for kill in 1..=KILLS {
        if kill % 10 == 0 {
            let held = format!("held-{kill}");
            silences.push(foghorn.silence("n", &held));
            post(&port, &held, FIRING);
        } else {
            std::thread::park_timeout(Duration::from_millis(random.random_range(0..300)));
        }
        foghorn.process.kill();
        if kill % 4 == 0 {
            // Once more, while it comes up.
            let mut starting = Process::start(&mut foghorn.command());
            std::thread::park_timeout(Duration::from_millis(random.random_range(0..500)));
            starting.kill();
        }
        foghorn = foghorn.restart();
        port.store(foghorn.port, Ordering::Release);
    }
    stop.store(true, Ordering::Release);
    let confirmed = sender.join().expect("the sender ends");

    let kills = KILLS + KILLS / 4;
    let (fired, ended) = (confirmed.fired.len(), confirmed.ended.len());
    for (status, alerts) in [("firing", &confirmed.fired), ("resolved", &confirmed.ended)] {
        for n in alerts {
            eventually(&format!("alert {n}, confirmed, told as {status}"), || {
                (counter.count(n, status) > 0).then_some(())
            });
        }
    }
    let told = counter.told.lock().unwrap_or_else(PoisonError::into_inner);
    let mut again = 0;
    for ((n, status), keys) in told.iter() {
        assert!(!n.starts_with("held"), "alert {n} was told as {status} though it is silenced");
        assert!(
            keys.iter().all(|key| *key == keys[0]),
            "alert {n}, {status}: not the same message again: {keys:?}"
        );
        again += keys.len() - 1;
    }
    eprintln!("{kills} kills, {fired} alerts and {ended} ends confirmed and told, {again} told again");
    assert!(fired > KILLS && ended > 0, "alerts flowed: {fired}, {ended} ends");
    assert!(again <= kills, "{again} messages were repeated after {kills} kills");
    let kept = foghorn.get("/api/v2/silences");
    let active = |id: &String| {
        kept.as_array()
            .into_iter()
            .flatten()
            .any(|s| s["id"] == id.as_str() && s["status"]["state"] == "active")
    };
    assert!(silences.iter().all(active), "a confirmed silence is gone: {silences:?}, {kept}");
}
