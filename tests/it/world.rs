//! Servers for tests: Foghorn, its sink, a target whose page the test writes.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes, on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until `look` finds something; panics with `what` when patience ends.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, &mut look)
}

pub(crate) fn eventually_within<T>(patience: Duration, what: &str, look: &mut dyn FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < patience, "still waiting after {patience:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// One HTTP exchange with a server on this machine.
pub(crate) fn http(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &(impl AsRef<[u8]> + ?Sized),
) -> Option<Answer> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    exchange(stream, port, method, path, headers, body.as_ref())
}

/// The same over a connection that is there.
pub(crate) fn exchange(
    mut stream: impl std::io::Read + std::io::Write,
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<Answer> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    let _ = write!(request, "content-length: {}\r\n\r\n", body.len());
    stream.write_all(request.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(&bytes[end + 4..]) } else { bytes[end + 4..].to_owned() };
    Some(Answer { status, headers: head, body: String::from_utf8_lossy(&body).into_owned() })
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(String::from_utf8_lossy(&body[..end]).trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        let rest = &body[end + 2..];
        out.extend_from_slice(&rest[..size]);
        body = rest[size..].strip_prefix(b"\r\n").unwrap_or_default();
    }
    out
}

pub(crate) fn get(port: u16, path: &str) -> Answer {
    http(port, "GET", path, &[], "").unwrap_or_else(|| panic!("no answer to GET {path}"))
}

pub(crate) fn post_json(port: u16, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    http(port, "POST", path, &headers, &body.to_string())
        .unwrap_or_else(|| panic!("no answer to POST {path}"))
}

pub(crate) fn delete(port: u16, path: &str) -> Answer {
    http(port, "DELETE", path, &[], "").unwrap_or_else(|| panic!("no answer to DELETE {path}"))
}

/// A process whose output lines are kept.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let streams: [Option<Box<dyn std::io::Read + Send>>; 2] =
            [stdout.map(|s| Box::new(s) as _), stderr.map(|s| Box::new(s) as _)];
        for stream in streams.into_iter().flatten() {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            });
        }
        Process { child, lines }
    }

    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Waits for a line that holds `mark`, and returns what follows the mark, up to a space.
    pub(crate) fn after(&mut self, mark: &str) -> String {
        eventually(&format!("`{mark}` in the output"), || {
            let log = self.log();
            if let Some((_, rest)) = log.split_once(mark) {
                return Some(rest.split_whitespace().next().unwrap_or_default().to_owned());
            }
            if let Some(status) = self.child.try_wait().expect("the process can be asked") {
                panic!("it ended with {status}:\n{log}");
            }
            None
        })
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        eventually("the end of the process", || self.child.try_wait().ok().flatten()).code()
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        eventually("the end of the process", || self.child.try_wait().ok().flatten()).code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn foghorn() -> Command {
    Command::new(env!("CARGO_BIN_EXE_foghorn"))
}

pub(crate) fn port_of(url: &str) -> u16 {
    let rest = url.trim_end_matches('/').rsplit(':').next().unwrap_or_default();
    rest.parse().unwrap_or_else(|_| panic!("no port in `{url}`"))
}

/// `foghorn sink`.
pub(crate) struct Sink {
    pub(crate) port: u16,
    _process: Process,
}

impl Sink {
    pub(crate) fn start() -> Self {
        Sink::start_with(&[])
    }

    pub(crate) fn start_with(args: &[&str]) -> Self {
        let mut process = Process::start(foghorn().args(["sink", "--listen", "127.0.0.1:0"]).args(args));
        let url = process.after("listens on ");
        Sink { port: port_of(url.trim_end_matches(';')), _process: process }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/webhooks/1/canary-webhook-token", self.port)
    }

    pub(crate) fn messages(&self) -> Vec<Value> {
        get(self.port, "/messages").json().as_array().cloned().unwrap_or_default()
    }

    /// The first lines of all messages, oldest first.
    pub(crate) fn titles(&self) -> Vec<String> {
        let title =
            |message: &Value| message["body"]["embeds"][0]["title"].as_str().unwrap_or_default().to_owned();
        self.messages().iter().map(title).collect()
    }

    /// Waits until there are `count` messages; more than that are an error.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Value> {
        let messages = eventually(&format!("{count} messages"), || {
            let messages = self.messages();
            (messages.len() >= count).then_some(messages)
        });
        assert_eq!(messages.len(), count, "{messages:#?}");
        messages
    }
}

/// A target whose page the test writes.
pub(crate) struct Target {
    pub(crate) port: u16,
    page: Arc<Mutex<String>>,
    scrapes: Arc<Mutex<u64>>,
    stop: mpsc::Sender<()>,
}

impl Target {
    pub(crate) fn start(page: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let page = Arc::new(Mutex::new(page.to_owned()));
        let scrapes = Arc::new(Mutex::new(0));
        let (stop, stopped) = mpsc::channel();
        let (shared, counter) = (Arc::clone(&page), Arc::clone(&scrapes));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.try_recv() != Err(mpsc::TryRecvError::Empty) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer);
                let body = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                *counter.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            }
        });
        Target { port, page, scrapes, stop }
    }

    pub(crate) fn set(&self, page: &str) {
        page.clone_into(&mut self.page.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits for `count` more scrapes.
    pub(crate) fn wait_for_scrapes(&self, count: u64) {
        let seen = || *self.scrapes.lock().unwrap_or_else(PoisonError::into_inner);
        let goal = seen() + count;
        eventually("scrapes", || (seen() >= goal).then_some(()));
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        drop(std::mem::replace(&mut self.stop, mpsc::channel().0));
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// A Foghorn with a directory of its own, which survives restarts.
pub(crate) struct Foghorn {
    pub(crate) port: u16,
    pub(crate) alertmanager_port: u16,
    pub(crate) process: Process,
    pub(crate) directory: Arc<TempDir>,
    args: Vec<String>,
}

impl Foghorn {
    /// With `files` in its directory, the first of which is the configuration.
    pub(crate) fn start(files: &[(&str, &str)]) -> Self {
        let directory = Arc::new(TempDir::new().expect("a directory for the test"));
        for (name, text) in files {
            write(directory.path(), name, text);
        }
        let config = files.first().map(|(name, _)| format!("--config.file={name}"));
        Foghorn::start_in(directory, config.into_iter().collect())
    }

    pub(crate) fn start_in(directory: Arc<TempDir>, args: Vec<String>) -> Self {
        let started = Foghorn::start_unasked(directory, args);
        eventually("a server that is ready", || {
            http(started.port, "GET", "/-/ready", &[], "").filter(|answer| answer.status == 200)
        });
        started
    }

    /// Listening, and perhaps not ready yet: for one that does not answer everybody.
    pub(crate) fn start_unasked(directory: Arc<TempDir>, args: Vec<String>) -> Self {
        let mut process = Process::start(&mut Foghorn::command_in(directory.path(), &args));
        let port = port_of(&process.after("page: "));
        let alertmanager_port = port_of(&process.after("alertmanager api: "));
        Foghorn { port, alertmanager_port, process, directory, args }
    }

    fn command_in(directory: &Path, args: &[String]) -> Command {
        let mut command = foghorn();
        command
            .current_dir(directory)
            .args(["--web.listen-address=127.0.0.1:0", "--web.alertmanager-listen-address=127.0.0.1:0"])
            .args(["--web.enable-lifecycle", "--log.level=debug"])
            // Compiling components takes its time in a debug build: all servers share what one has compiled.
            .args([concat!("--plugins.cache-dir=", env!("CARGO_TARGET_TMPDIR"), "/plugins")])
            .args(args);
        command
    }

    /// What starts this server.
    pub(crate) fn command(&self) -> Command {
        Foghorn::command_in(self.directory.path(), &self.args)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        write(self.directory.path(), name, text);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        get(self.port, path).json()
    }

    /// `kill -9`, and a new process on the same directory.
    pub(crate) fn crash_and_restart(mut self) -> Self {
        self.process.kill();
        self.restart()
    }

    /// A new process on the directory of one that has ended.
    pub(crate) fn restart(self) -> Self {
        Foghorn::start_in(Arc::clone(&self.directory), self.args.clone())
    }

    /// The value of an instant query with one result.
    pub(crate) fn value(&self, query: &str) -> Option<f64> {
        let path = format!("/api/v1/query?query={}", escape(query));
        self.get(&path)["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// `alertname state` of each alert that rules see, sorted.
    pub(crate) fn alerts(&self) -> Vec<String> {
        let answer = self.get("/api/v1/alerts");
        let mut alerts: Vec<String> = answer["data"]["alerts"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|alert| {
                let name = alert["labels"]["alertname"].as_str().unwrap_or_default();
                format!("{name} {}", alert["state"].as_str().unwrap_or_default())
            })
            .collect();
        alerts.sort();
        alerts
    }

    pub(crate) fn wait_for_alert(&self, alert: &str) {
        eventually(alert, || self.alerts().iter().any(|a| a == alert).then_some(()));
    }

    pub(crate) fn wait_for_no_alert(&self, alert: &str) {
        eventually(&format!("no more {alert}"), || (!self.alerts().iter().any(|a| a == alert)).then_some(()));
    }

    /// Silences alerts with this label for an hour; the silence's id.
    pub(crate) fn silence(&self, name: &str, value: &str) -> String {
        let answer = post_json(
            self.port,
            "/api/v2/silences",
            &serde_json::json!({
                "matchers": [{"name": name, "value": value, "isRegex": false}],
                "startsAt": "2026-01-01T00:00:00Z",
                "endsAt": "2126-01-01T00:00:00Z",
                "createdBy": "test",
                "comment": "quiet",
            }),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["silenceID"].as_str().expect("an id").to_owned()
    }
}

pub(crate) fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).expect("a directory");
    }
    // Written beside and renamed, as editors do: a watcher never sees half a file.
    let part = path.with_extension("part");
    std::fs::write(&part, text).expect("the test's directory is writable");
    std::fs::rename(&part, &path).expect("the test's directory is writable");
}

pub(crate) fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
