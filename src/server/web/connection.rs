//! Connections with or without TLS.
//!
//! A handshake takes as long as the client likes. It happens while the connection is first read, which each connection
//! does for itself, and not while it is accepted, where a client that says nothing would hold up all others.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::Web;
use crate::request_target::ForgivingListener;

/// From the first byte that may come to the last of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The first byte of every TLS connection: a record of the kind "handshake".
const TLS_RECORD: u8 = 22;
/// What who speaks HTTP where TLS is spoken is told; programs that know the originals know it.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// A connection of a listener.
pub(crate) struct Connection {
    stage: Stage,
    proven: Arc<AtomicBool>,
}

enum Stage {
    Plain(TcpStream),
    Greeting(Box<Greeting>),
    Secure(Box<TlsStream<TcpStream>>),
    Ended,
}

/// A connection before anything can be read.
struct Greeting {
    web: Arc<Web>,
    time: Pin<Box<Sleep>>,
    step: Step,
}

enum Step {
    /// Nothing has come.
    Silent(TcpStream),
    Handshake {
        accept: Box<Accept<TcpStream>>,
        proves_client: bool,
    },
    /// It is not TLS; so much of the answer was written.
    Refusing {
        stream: TcpStream,
        written: usize,
    },
    /// Moved out.
    Over,
}

/// Who a connection comes from.
#[derive(Clone)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: SocketAddr,
    proven: Arc<AtomicBool>,
}

impl Peer {
    /// Whether it has shown a certificate that an authority of ours signed.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Acquire)
    }
}

impl Connected<IncomingStream<'_, ForgivingListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, ForgivingListener>) -> Self {
        let proven = Arc::clone(&stream.io().inner().proven);
        Peer { address: *stream.remote_addr(), proven }
    }
}

impl Connection {
    /// `stream`, with TLS if `web` says so.
    pub(crate) fn new(stream: TcpStream, web: Option<&Arc<Web>>) -> Self {
        // Answers that are made piece by piece must not wait for each other. It is slower without, and nothing else.
        let _ = stream.set_nodelay(true);
        let stage = match web {
            Some(web) if web.speaks_tls() => Stage::Greeting(Box::new(Greeting {
                web: Arc::clone(web),
                time: Box::pin(tokio::time::sleep(HANDSHAKE)),
                step: Step::Silent(stream),
            })),
            _ => Stage::Plain(stream),
        };
        Connection { stage, proven: Arc::default() }
    }

    /// Goes on with the handshake until there is something to read from and write to.
    fn poll_greeting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stage::Greeting(greeting) = &mut self.stage else { return Poll::Ready(Ok(())) };
        match ready!(greeting.poll(context)) {
            Ok((stream, proves_client)) => {
                self.proven.store(proves_client, Ordering::Release);
                self.stage = Stage::Secure(Box::new(stream));
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                tracing::debug!(%error, "A TLS handshake failed.");
                self.stage = Stage::Ended;
                Poll::Ready(Err(error))
            }
        }
    }
}

impl Greeting {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(TlsStream<TcpStream>, bool)>> {
        if self.time.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        loop {
            match &mut self.step {
                Step::Silent(stream) => {
                    let mut first = [0];
                    let count = ready!(stream.poll_peek(context, &mut ReadBuf::new(&mut first)))?;
                    if count == 0 {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    let Step::Silent(stream) = std::mem::replace(&mut self.step, Step::Over) else {
                        continue;
                    };
                    self.step = match (first[0], self.web.current().tls.clone()) {
                        (TLS_RECORD, Some(tls)) => Step::Handshake {
                            accept: Box::new(TlsAcceptor::from(tls.config).accept(stream)),
                            proves_client: tls.proves_client,
                        },
                        // Methods are written in capitals.
                        (b'A'..=b'Z', _) => Step::Refusing { stream, written: 0 },
                        _ => return Poll::Ready(Err(not_tls())),
                    };
                }
                Step::Handshake { accept, proves_client } => {
                    let proves_client = *proves_client;
                    return Pin::new(accept.as_mut()).poll(context).map_ok(|stream| (stream, proves_client));
                }
                Step::Refusing { stream, written } => {
                    while *written < NOT_TLS.len() {
                        *written += ready!(Pin::new(&mut *stream).poll_write(context, &NOT_TLS[*written..]))?;
                    }
                    ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
                    // What was sent and never read would end the connection before the answer has arrived.
                    let mut rest = [0; 4096];
                    let _ = stream.try_read(&mut rest);
                    return Poll::Ready(Err(not_tls()));
                }
                Step::Over => return Poll::Ready(Err(not_tls())),
            }
        }
    }
}

fn not_tls() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS")
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_greeting(context))?;
        match &mut self.stage {
            Stage::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stage::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
            Stage::Greeting(_) | Stage::Ended => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_greeting(context))?;
        match &mut self.stage {
            Stage::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stage::Secure(stream) => Pin::new(stream).poll_write(context, bytes),
            Stage::Greeting(_) | Stage::Ended => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stage {
            Stage::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stage::Secure(stream) => Pin::new(stream).poll_flush(context),
            // Nothing was written.
            Stage::Greeting(_) | Stage::Ended => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stage {
            Stage::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stage::Secure(stream) => Pin::new(stream).poll_shutdown(context),
            Stage::Greeting(_) | Stage::Ended => {
                self.stage = Stage::Ended;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_greeting(context))?;
        match &mut self.stage {
            Stage::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stage::Secure(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stage::Greeting(_) | Stage::Ended => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        // All streams below can.
        true
    }
}
