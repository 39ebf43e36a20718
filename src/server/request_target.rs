//! Request targets as people write them: `curl 'localhost:9090/api/v1/query?query=up{job="x"}>0'`.
//!
//! The HTTP library refuses `"`, `<` and `>` in a query, and a few more characters in a path, before anybody is asked.
//! Servers in Go take them, so scripts that work there would fail here without a word. A [`Forgiving`] connection encodes
//! them while they are read; everything else passes as it is.
//! Heads are recognised while each request before them had no body, or one with a length. After anything else, such as a
//! chunked body, the rest of the connection passes untouched.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;

use crate::web::{Connection, Web};

/// So much of a header line is looked at.
const LINE_MAX: usize = 64;

/// A listener whose connections are [`Forgiving`], and speak TLS if its file says so.
pub(crate) struct ForgivingListener {
    listener: TcpListener,
    web: Option<Arc<Web>>,
}

impl ForgivingListener {
    pub(crate) fn new(listener: TcpListener, web: Option<Arc<Web>>) -> Self {
        ForgivingListener { listener, web }
    }
}

impl Listener for ForgivingListener {
    type Io = Forgiving<Connection>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (inner, address) = Listener::accept(&mut self.listener).await;
        (Forgiving::new(Connection::new(inner, self.web.as_ref())), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection whose requests may have targets that are not encoded.
pub(crate) struct Forgiving<S> {
    inner: S,
    place: Place,
    /// What was read and did not fit any more once it was encoded.
    rest: VecDeque<u8>,
}

/// Where in the stream of requests the next byte lies.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Before the target of a request.
    Method,
    /// In the target, before the first `?`, or after it.
    Target { query: bool },
    /// In what follows, with the beginning of the current line, and what lines before it said about the body.
    Head { line: Vec<u8>, length: u64 },
    /// In a body that has so many bytes left.
    Body(u64),
    /// Where it cannot be told.
    Anywhere,
}

impl Place {
    fn head() -> Place {
        Place::Head { line: Vec::new(), length: 0 }
    }

    /// Goes on after `byte`, and says whether it has to be encoded.
    fn pass(&mut self, byte: u8) -> bool {
        match self {
            Place::Method => {
                if byte == b' ' {
                    *self = Place::Target { query: false };
                }
            }
            Place::Target { query } => match byte {
                b' ' | b'\r' | b'\n' => *self = Place::head(),
                b'?' => *query = true,
                b'"' | b'<' | b'>' | 0x80.. => return true,
                b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => return !*query,
                _ => {}
            },
            Place::Head { line, length } => match (byte, &line[..]) {
                // The first line of the head is what follows the target, and is never empty.
                (b'\n', b"" | b"\r") => {
                    *self = if *length == 0 { Place::Method } else { Place::Body(*length) };
                }
                (b'\n', _) => match body_length(line) {
                    Said::Nothing => line.clear(),
                    Said::Length(said) if *length == 0 => {
                        *length = said;
                        line.clear();
                    }
                    Said::Length(_) | Said::Unclear => *self = Place::Anywhere,
                },
                (_, _) if line.len() < LINE_MAX => line.push(byte),
                _ => {}
            },
            Place::Body(_) | Place::Anywhere => {}
        }
        false
    }

    /// Goes on after `bytes`, and says what they are when encoded, if that differs.
    fn pass_all(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut encoded: Option<Vec<u8>> = None;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let left = (bytes.len() - at) as u64;
            let skipped = match self {
                Place::Anywhere => left,
                Place::Body(length) => left.min(*length),
                _ => 0,
            };
            if skipped > 0 {
                if let Place::Body(length) = self {
                    *length -= skipped;
                    if *length == 0 {
                        *self = Place::Method;
                    }
                }
                let end = at + skipped as usize;
                if let Some(out) = &mut encoded {
                    out.extend_from_slice(&bytes[at..end]);
                }
                at = end;
                continue;
            }
            if self.pass(*byte) {
                let out = encoded.get_or_insert_with(|| bytes[..at].to_vec());
                out.extend_from_slice(format!("%{byte:02X}").as_bytes());
            } else if let Some(out) = &mut encoded {
                out.push(*byte);
            }
            at += 1;
        }
        encoded
    }
}

/// What a header line says about the body.
enum Said {
    Nothing,
    Length(u64),
    Unclear,
}

fn body_length(line: &[u8]) -> Said {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Said::Nothing };
    let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
    if name.eq_ignore_ascii_case(b"content-length") {
        if line.len() == LINE_MAX {
            return Said::Unclear;
        }
        let number = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
        return number.map_or(Said::Unclear, Said::Length);
    }
    let changes = [&b"transfer-encoding"[..], b"upgrade"];
    match changes.iter().any(|other| name.eq_ignore_ascii_case(other)) {
        true => Said::Unclear,
        false => Said::Nothing,
    }
}

impl<S> Forgiving<S> {
    fn new(inner: S) -> Self {
        Forgiving { inner, place: Place::Method, rest: VecDeque::new() }
    }

    /// The connection as it is.
    pub(crate) fn inner(&self) -> &S {
        &self.inner
    }

    /// Hands out what did not fit before.
    fn hand_out(&mut self, buffer: &mut ReadBuf<'_>) {
        while buffer.remaining() > 0 && !self.rest.is_empty() {
            let (first, _) = self.rest.as_slices();
            let fits = first.len().min(buffer.remaining());
            buffer.put_slice(&first[..fits]);
            self.rest.drain(..fits);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Forgiving<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let connection = &mut *self;
        if !connection.rest.is_empty() {
            connection.hand_out(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut connection.inner).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = &read
            && let Some(encoded) = connection.place.pass_all(&buffer.filled()[before..])
        {
            buffer.set_filled(before);
            connection.rest = encoded.into();
            connection.hand_out(buffer);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Forgiving<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// What is read of `sent`, which arrives in pieces of `piece` bytes and is read `room` bytes at a time.
    async fn read(sent: &[u8], piece: usize, room: usize) -> String {
        let (mut client, server) = tokio::io::duplex(piece);
        let sent = sent.to_vec();
        let sender = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut client, &sent).await.unwrap();
        });
        let (mut connection, mut all) = (Forgiving::new(server), Vec::new());
        loop {
            let mut some = vec![0; room];
            match connection.read(&mut some).await.unwrap() {
                0 => break,
                count => all.extend_from_slice(&some[..count]),
            }
        }
        sender.await.unwrap();
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn targets_are_encoded_and_nothing_else_is() {
        for (sent, expected) in [
            (
                "GET /q?query=up{job=\"x\"}>0 HTTP/1.1\r\nA: \"<>\"\r\n\r\n",
                "GET /q?query=up{job=%22x%22}%3E0 HTTP/1.1\r\nA: \"<>\"\r\n\r\n",
            ),
            ("GET /a{b}|c?d|e HTTP/1.1\r\n\r\n", "GET /a%7Bb%7D%7Cc?d|e HTTP/1.1\r\n\r\n"),
            ("GET /ü?ü HTTP/1.1\r\n\r\n", "GET /%C3%BC?%C3%BC HTTP/1.1\r\n\r\n"),
            // The next request of the connection, after none and after a body.
            ("GET /?\" HTTP/1.1\n\nGET /?< HTTP/1.1\n\n", "GET /?%22 HTTP/1.1\n\nGET /?%3C HTTP/1.1\n\n"),
            (
                "POST /?> HTTP/1.1\r\ncontent-LENGTH:  17 \r\nB: c\r\n\r\nGET /?\" HTTP/1.1\nGET /?\" HTTP/1.1\r\n\r\n",
                "POST /?%3E HTTP/1.1\r\ncontent-LENGTH:  17 \r\nB: c\r\n\r\nGET /?\" HTTP/1.1\nGET /?%22 HTTP/1.1\r\n\r\n",
            ),
            // Where a body ends cannot be told: nothing is touched any more.
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /?\" HTTP/1.1\r\n\r\n",
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /?\" HTTP/1.1\r\n\r\n",
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\nGET /?\" HTTP/1.1\r\n\r\n",
                "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\nGET /?\" HTTP/1.1\r\n\r\n",
            ),
        ] {
            for (piece, room) in [(1, 1), (3, 2), (7, 64), (4096, 1), (4096, 4096)] {
                assert_eq!(read(sent.as_bytes(), piece, room).await, expected, "{piece} {room}");
            }
        }
    }

    #[tokio::test]
    async fn long_lines_and_long_bodies_pass() {
        let long = "x".repeat(10_000);
        let sent = format!(
            "POST /{long}?\" HTTP/1.1\r\nCookie: {long}\r\nContent-Length: 10000\r\n\r\n{long}GET /?\" HTTP/1.1\r\n\r\n"
        );
        assert_eq!(read(sent.as_bytes(), 1000, 333).await, sent.replace("?\"", "?%22"));
    }
}
