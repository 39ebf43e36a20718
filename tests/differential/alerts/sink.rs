//! Takes webhooks and notes when each came; refuses some of them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

/// A webhook that came.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) body: Value,
    /// Answered with 200, not with 400.
    pub(crate) taken: bool,
}

/// Listens until the process ends.
pub(crate) struct Sink {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    messages: Vec<Message>,
    /// How often each path refuses a group.
    refusals: BTreeMap<String, u32>,
    /// How often it did.
    refused: BTreeMap<(String, String), u32>,
}

impl Sink {
    pub(crate) fn start(refusals: BTreeMap<String, u32>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let state = Arc::new(Mutex::new(State { messages: Vec::new(), refusals, refused: BTreeMap::new() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || while_open(stream, &shared));
            }
        });
        Sink { port, state }
    }

    /// What came until now, in order.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).messages.clone()
    }
}

impl State {
    /// The status of the answer.
    fn take(&mut self, path: String, body: &[u8]) -> &'static str {
        let body: Value = serde_json::from_slice(body)
            .unwrap_or_else(|error| Value::String(format!("{error}: {}", String::from_utf8_lossy(body))));
        let refusals = self.refusals.get(&path).copied().unwrap_or_default();
        let group = body["groupKey"].as_str().unwrap_or_default().to_owned();
        let refused = self.refused.entry((path.clone(), group)).or_default();
        let taken = *refused >= refusals;
        *refused += u32::from(!taken);
        self.messages.push(Message { at: Instant::now(), path, body, taken });
        if taken { "200 OK" } else { "400 Bad Request" }
    }
}

/// Answers request after request; `None` when the other side is gone.
fn while_open(stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let path = line.split(' ').nth(1)?.to_owned();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            if header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let status = state.lock().unwrap_or_else(PoisonError::into_inner).take(path, &body);
        write!(writer, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}
