//! SMTP: one conversation that hands over one mail.
//!
//! In: a server, an envelope, the mail as bytes. Out: nothing, or why the mail was not taken.
//! Not here: what the mail says (`mail`), and whether it is tried again.
//! Invariant: until the last line of the mail is sent, a failure means that nobody took it; an error never holds a secret.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use md5::Md5;
use model::Secret;
use ports::{OutgoingError, SmtpServer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A line of an answer is no longer than this, and an answer has no more lines.
const LINE_BYTES_MAX: u64 = 4_096;
const LINES_MAX: usize = 128;
/// So much of an answer is shown.
const SHOWN_CHARS_MAX: usize = 200;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Who sends, and to whom.
pub(crate) struct Envelope {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
}

/// Hands over one mail, given as lines that end in CR LF. `tls` is needed where the settings ask for it.
pub(crate) async fn hand_over(
    server: &SmtpServer,
    tls: Option<&Arc<ClientConfig>>,
    envelope: &Envelope,
    mail: &[u8],
) -> Result<(), OutgoingError> {
    let (host, port) = host_and_port(&server.smarthost)?;
    let stream = TcpStream::connect((host, port)).await.map_err(|error| {
        OutgoingError::NoConnection(format!("mail server {}: no connection: {error}", server.smarthost))
    })?;
    let mut session = Session { server, host, encrypted: false, features: Vec::new(), stream: None };
    session.begin(Box::new(stream), tls).await?;
    session.authenticate().await?;
    session.send(envelope, mail).await?;
    // The mail is taken: how the other side says good-bye changes nothing.
    let _ = session.say("QUIT").await;
    Ok(())
}

fn host_and_port(smarthost: &str) -> Result<(&str, u16), OutgoingError> {
    smarthost
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host.trim_matches(['[', ']']), port.parse().ok()?)))
        .ok_or_else(|| OutgoingError::Invalid(format!("smarthost `{smarthost}` is not host:port")))
}

/// A reply: its code, and the text of its lines.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl Reply {
    fn is_good(&self) -> bool {
        (200..400).contains(&self.code)
    }

    fn text(&self) -> String {
        let text = self.lines.join(" ");
        text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect()
    }
}

struct Session<'a> {
    server: &'a SmtpServer,
    host: &'a str,
    encrypted: bool,
    /// What the server can do: lines of its answer to EHLO.
    features: Vec<String>,
    /// `None` only while TLS begins.
    stream: Option<BufReader<Box<dyn Stream>>>,
}

impl Session<'_> {
    /// Greets, and encrypts if the settings say so.
    async fn begin(
        &mut self,
        stream: Box<dyn Stream>,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<(), OutgoingError> {
        self.stream = Some(BufReader::new(stream));
        if self.server.implicit_tls {
            self.encrypt(tls).await?;
        }
        let greeting = self.reply().await?;
        self.good("the greeting", greeting)?;
        self.hello().await?;
        if self.server.require_tls && !self.encrypted {
            if !self.has("STARTTLS") {
                return Err(OutgoingError::Invalid(format!(
                    "mail server {}: it does not offer STARTTLS, and `require_tls` is true, which is the default; set \
                     `require_tls: false` to send in the clear, or `force_implicit_tls: true` if it speaks TLS from the first byte",
                    self.server.smarthost
                )));
            }
            let reply = self.ask("STARTTLS").await?;
            self.good("STARTTLS", reply)?;
            // What came before TLS began may be from anybody.
            if self.stream.as_ref().is_some_and(|stream| !stream.buffer().is_empty()) {
                return Err(self.gone("something was said between STARTTLS and TLS"));
            }
            self.encrypt(tls).await?;
            self.hello().await?;
        }
        Ok(())
    }

    async fn encrypt(&mut self, tls: Option<&Arc<ClientConfig>>) -> Result<(), OutgoingError> {
        let name = self.server.tls.server_name.clone().filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| self.host.to_owned());
        let name = ServerName::try_from(name.clone()).map_err(|_| {
            OutgoingError::Invalid(format!("`{name}` is not a name that a certificate can have"))
        })?;
        let (Some(tls), Some(stream)) = (tls, self.stream.take()) else {
            return Err(self.gone("there is nothing to encrypt with"));
        };
        let encrypted = TlsConnector::from(Arc::clone(tls)).connect(name, stream.into_inner()).await;
        let encrypted = encrypted.map_err(|error| self.gone(&format!("TLS failed: {error}")))?;
        self.stream = Some(BufReader::new(Box::new(encrypted)));
        self.encrypted = true;
        Ok(())
    }

    /// Says who we are, and hears what the server can do.
    async fn hello(&mut self) -> Result<(), OutgoingError> {
        let name = if self.server.hello.is_empty() { "localhost" } else { self.server.hello.as_str() };
        let reply = self.ask(&format!("EHLO {name}")).await?;
        if matches!(reply.code, 500..=504) {
            let reply = self.ask(&format!("HELO {name}")).await?;
            self.features.clear();
            return self.good("HELO", reply).map(drop);
        }
        let reply = self.good("EHLO", reply)?;
        self.features = reply.lines.into_iter().skip(1).collect();
        Ok(())
    }

    fn has(&self, feature: &str) -> bool {
        self.features
            .iter()
            .any(|line| line.split(' ').next().is_some_and(|word| word.eq_ignore_ascii_case(feature)))
    }

    /// The ways to authenticate that the server offers, in its order.
    fn mechanisms(&self) -> Vec<String> {
        let line = self.features.iter().find_map(|line| {
            let (word, rest) = line.split_at_checked(4)?;
            (word.eq_ignore_ascii_case("AUTH")).then(|| rest.strip_prefix([' ', '=']))?
        });
        line.into_iter().flat_map(str::split_whitespace).map(str::to_ascii_uppercase).collect()
    }

    /// By the first of the server's ways for which there is a secret. Without a user name, or where the server asks for
    /// none, nobody is authenticated.
    async fn authenticate(&mut self) -> Result<(), OutgoingError> {
        let (offered, server) = (self.mechanisms(), self.server);
        if server.username.is_empty() || offered.is_empty() {
            return Ok(());
        }
        for mechanism in &offered {
            let secret = if mechanism == "CRAM-MD5" { &server.secret } else { &server.password };
            if secret.expose().is_empty() {
                continue;
            }
            match mechanism.as_str() {
                "CRAM-MD5" => return self.by_challenge(secret).await,
                "PLAIN" => return self.plainly(secret).await,
                "LOGIN" => return self.by_prompts(secret).await,
                _ => {}
            }
        }
        Err(OutgoingError::Invalid(format!(
            "mail server {}: it offers {}, and there is a secret for none that is known here: CRAM-MD5 takes `auth_secret`, \
             PLAIN and LOGIN take `auth_password`",
            server.smarthost,
            offered.join(", ")
        )))
    }

    async fn by_challenge(&mut self, secret: &Secret<String>) -> Result<(), OutgoingError> {
        let challenge = self.challenge("AUTH CRAM-MD5").await?;
        let mut mac = Hmac::<Md5>::new_from_slice(secret.expose().as_bytes())
            .map_err(|_| OutgoingError::Invalid("`auth_secret` cannot be a key".to_owned()))?;
        mac.update(&challenge);
        let digest = mac.finalize().into_bytes();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = STANDARD.encode(format!("{} {hex}", self.server.username));
        let reply = self.ask(&answer).await?;
        self.authenticated("CRAM-MD5", reply)
    }

    async fn plainly(&mut self, password: &Secret<String>) -> Result<(), OutgoingError> {
        let local = matches!(self.host, "localhost" | "127.0.0.1" | "::1");
        if !self.encrypted && !local {
            return Err(OutgoingError::Invalid(format!(
                "mail server {}: it wants the password by PLAIN, and the connection is not encrypted; set `require_tls: true`",
                self.server.smarthost
            )));
        }
        let SmtpServer { identity, username, .. } = self.server;
        let answer = STANDARD.encode(format!("{identity}\0{username}\0{}", password.expose()));
        let reply = self.ask(&format!("AUTH PLAIN {answer}")).await?;
        self.authenticated("PLAIN", reply)
    }

    async fn by_prompts(&mut self, password: &Secret<String>) -> Result<(), OutgoingError> {
        self.challenge("AUTH LOGIN").await?;
        let username = STANDARD.encode(&self.server.username);
        self.challenge(&username).await?;
        let password = STANDARD.encode(password.expose());
        let reply = self.ask(&password).await?;
        self.authenticated("LOGIN", reply)
    }

    /// Says `line`; the answer asks for something.
    async fn challenge(&mut self, line: &str) -> Result<Vec<u8>, OutgoingError> {
        let reply = self.ask(line).await?;
        if reply.code != 334 {
            return Err(self.refused("authentication", &reply));
        }
        STANDARD
            .decode(reply.lines.first().map_or("", String::as_str).trim())
            .map_err(|_| self.gone("its challenge is no base64"))
    }

    fn authenticated(&self, mechanism: &str, reply: Reply) -> Result<(), OutgoingError> {
        match reply.code {
            235 => Ok(()),
            _ => Err(self.refused(&format!("authentication by {mechanism}"), &reply)),
        }
    }

    async fn send(&mut self, envelope: &Envelope, mail: &[u8]) -> Result<(), OutgoingError> {
        let mut line = format!("MAIL FROM:<{}>", envelope.from);
        if self.has("8BITMIME") {
            line.push_str(" BODY=8BITMIME");
        }
        let plain = envelope.to.iter().chain([&envelope.from]).all(|address| address.is_ascii());
        if !plain && self.has("SMTPUTF8") {
            line.push_str(" SMTPUTF8");
        }
        let reply = self.ask(&line).await?;
        self.good(&format!("the sender {}", envelope.from), reply)?;
        for to in &envelope.to {
            let reply = self.ask(&format!("RCPT TO:<{to}>")).await?;
            self.good(&format!("the recipient {to}"), reply)?;
        }
        let reply = self.ask("DATA").await?;
        self.good("the mail", reply)?;
        let mut body = stuffed(mail);
        self.write(&body).await?;
        body.clear();
        // From here on nobody knows, until there is an answer.
        let unknown = |error: OutgoingError| match error {
            OutgoingError::NoConnection(what) => OutgoingError::Unreachable(what),
            other => other,
        };
        self.write(b".\r\n").await.map_err(unknown)?;
        let reply = self.reply().await.map_err(unknown)?;
        self.good("the mail", reply).map(drop)
    }

    async fn ask(&mut self, line: &str) -> Result<Reply, OutgoingError> {
        self.say(line).await?;
        self.reply().await
    }

    async fn say(&mut self, line: &str) -> Result<(), OutgoingError> {
        // Addresses and names were checked; this is what nothing may get past.
        if line.contains(['\r', '\n', '\0']) {
            return Err(OutgoingError::Invalid("a line break in a command of SMTP".to_owned()));
        }
        self.write(format!("{line}\r\n").as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), OutgoingError> {
        let Some(stream) = self.stream.as_mut() else { return Err(self.gone("the connection is gone")) };
        let written = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        }
        .await;
        self.whole(written)
    }

    async fn reply(&mut self) -> Result<Reply, OutgoingError> {
        let mut lines = Vec::new();
        loop {
            let Some(stream) = self.stream.as_mut() else { return Err(self.gone("the connection is gone")) };
            let mut line = Vec::new();
            let read = stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await;
            self.whole(read)?;
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']);
            let code = text.get(..3).and_then(|code| code.parse::<u16>().ok());
            let Some(code) = code.filter(|_| line.ends_with(b"\n") && lines.len() < LINES_MAX) else {
                let what = if line.is_empty() { "it hung up" } else { "its answer is no SMTP" };
                return Err(self.gone(what));
            };
            let (sign, rest) = (text.as_bytes().get(3).copied(), text.get(4..).unwrap_or_default());
            lines.push(rest.to_owned());
            if sign != Some(b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    fn whole<T>(&self, outcome: std::io::Result<T>) -> Result<T, OutgoingError> {
        outcome.map_err(|error| self.gone(&format!("the connection broke: {error}")))
    }

    fn gone(&self, what: &str) -> OutgoingError {
        OutgoingError::NoConnection(format!("mail server {}: {what}", self.server.smarthost))
    }

    fn good(&self, what: &str, reply: Reply) -> Result<Reply, OutgoingError> {
        if reply.is_good() { Ok(reply) } else { Err(self.refused(what, &reply)) }
    }

    fn refused(&self, what: &str, reply: &Reply) -> OutgoingError {
        let said = self.without_secrets(reply.text());
        let message = format!("mail server {} refused {what}: {} {said}", self.server.smarthost, reply.code);
        OutgoingError::Refused { code: reply.code, message }
    }

    /// A server may say again what it was told.
    fn without_secrets(&self, said: String) -> String {
        let SmtpServer { identity, username, password, secret, .. } = self.server;
        let plain = format!("{identity}\0{username}\0{}", password.expose());
        let mut said = said;
        for hidden in [password.expose(), secret.expose()] {
            if !hidden.is_empty() {
                said =
                    said.replace(&STANDARD.encode(hidden), "<secret>").replace(hidden.as_str(), "<secret>");
            }
        }
        said.replace(&STANDARD.encode(plain), "<secret>")
    }
}

/// A line that begins with a dot gets another one, so that it does not end the mail; the last line is ended.
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len() + 64);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}
