//! The one way out: HTTP and SMTP to others.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::Secret;

use crate::{AwsSigning, BoxFuture};

/// Sends requests. One implementation, so that policy, limits and recording stand in one place.
pub trait Outgoing: Send + Sync {
    /// Sends one HTTP request and reads the whole answer. Any status is `Ok`.
    fn send<'a>(&'a self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, OutgoingError>>;
    /// Hands one mail to a server; the answer is its `Message-Id`.
    fn mail<'a>(&'a self, server: &'a SmtpServer, mail: Mail)
    -> BoxFuture<'a, Result<String, OutgoingError>>;
}

/// Which addresses a request may reach. Checked for the first address, every resolved one, and every redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Whatever the operator wrote into the configuration: scrape targets, remote servers.
    #[default]
    Operator,
    /// Only these hosts (`host`, `host:port`, `*.host`), and of those no private, loopback or link-local address unless
    /// written as an address or followed by ` private`.
    Hosts(Arc<[String]>),
}

/// A request body, and how to show it.
pub type Body = Bytes;

/// One request.
#[derive(Clone, Debug, Default)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// Absolute. May hold a credential: never logged whole.
    pub url: Secret<String>,
    /// Names and values; values may be secret.
    pub headers: Vec<(String, Secret<String>)>,
    /// The body.
    pub body: Body,
    /// For the whole exchange.
    pub timeout: Duration,
    /// A longer answer is an error, unless `partial_answer`.
    pub response_bytes_max: usize,
    /// Whether an answer is taken as far as it came when it is too long, breaks off, or does not end in time: for requests
    /// whose status says what became of them.
    pub partial_answer: bool,
    /// Whether gzip answers are asked for and unpacked. The limit counts unpacked bytes.
    pub decompress: bool,
    /// Where it may go.
    pub reach: Reach,
    /// TLS, credentials, proxy: the configuration's `http_config`.
    pub options: Arc<HttpOptions>,
}

/// One answer.
#[derive(Clone, Debug, Default)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Unpacked.
    pub body: Bytes,
    /// Bytes as they came over the wire.
    pub wire_bytes: usize,
}

impl HttpResponse {
    /// The first header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Why there was no answer. Never holds a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// The address is not granted, or resolves to one that is not.
    #[error("{0}")]
    Denied(String),
    /// Not sent: the request or its options are wrong.
    #[error("{0}")]
    Invalid(String),
    /// No connection: nothing was sent.
    #[error("{0}")]
    NoConnection(String),
    /// No answer, or half of one.
    #[error("{0}")]
    Unreachable(String),
    /// The mail server said no, with this code of SMTP: 4xx for now, 5xx for good.
    #[error("{message}")]
    Refused {
        /// The code.
        code: u16,
        /// What it said no to, and its words.
        message: String,
    },
    /// Out of time.
    #[error("no answer within {}", model::format_duration(*.0))]
    Timeout(Duration),
    /// The answer is longer than allowed.
    #[error("the answer is longer than {0} bytes")]
    TooLarge(usize),
}

/// The configuration's `http_config`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpOptions {
    /// Credentials.
    pub auth: HttpAuth,
    /// TLS.
    pub tls: TlsOptions,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// Whether HTTP/2 may be used.
    pub enable_http2: bool,
    /// Through which proxy.
    pub proxy_url: Option<Secret<String>>,
    /// Hosts that are reached without it, comma-separated.
    pub no_proxy: String,
    /// Whether the environment names the proxy.
    pub proxy_from_environment: bool,
    /// Added to each request.
    pub headers: Vec<(String, Secret<String>)>,
    /// Added to each request, read from a file each time.
    pub header_files: Vec<(String, String)>,
    /// Signs each request, in place of other credentials.
    pub aws: Option<AwsSigning>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        HttpOptions {
            auth: HttpAuth::None,
            tls: TlsOptions::default(),
            follow_redirects: true,
            enable_http2: true,
            proxy_url: None,
            no_proxy: String::new(),
            proxy_from_environment: false,
            headers: Vec::new(),
            header_files: Vec::new(),
            aws: None,
        }
    }
}

/// Credentials of a client. Files are read at each request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum HttpAuth {
    /// None.
    #[default]
    None,
    /// User name and password, each from the configuration or a file.
    Basic {
        /// The user name, unless a file holds it.
        username: String,
        /// A file that holds the user name.
        username_file: Option<String>,
        /// The password, unless a file holds it.
        password: Secret<String>,
        /// A file that holds the password.
        password_file: Option<String>,
    },
    /// `Authorization: KIND CREDENTIALS`.
    Authorization {
        /// `Bearer`, usually.
        kind: String,
        /// The credentials, unless a file holds them.
        credentials: Secret<String>,
        /// A file that holds them.
        credentials_file: Option<String>,
    },
    /// OAuth 2.0 client credentials.
    OAuth2 {
        /// Who we are.
        client_id: String,
        /// The secret, unless a file holds it.
        client_secret: Secret<String>,
        /// A file that holds it.
        client_secret_file: Option<String>,
        /// What for.
        scopes: Vec<String>,
        /// Where tokens are had.
        token_url: String,
        /// Further parameters of the token request.
        endpoint_params: Vec<(String, String)>,
        /// TLS and proxy of the token request, which has its own.
        client: Arc<HttpOptions>,
    },
}

/// TLS of a client. Files are read when the client is made and when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// Certificate authorities, PEM.
    pub ca: Option<String>,
    /// The same in a file.
    pub ca_file: Option<String>,
    /// Our certificate, PEM.
    pub cert: Option<String>,
    /// The same in a file.
    pub cert_file: Option<String>,
    /// Our key, PEM.
    pub key: Option<Secret<String>>,
    /// The same in a file.
    pub key_file: Option<String>,
    /// The name to check instead of the address.
    pub server_name: Option<String>,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
    /// `TLS10` … `TLS13`.
    pub min_version: Option<String>,
    /// `TLS10` … `TLS13`.
    pub max_version: Option<String>,
}

/// An SMTP server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SmtpServer {
    /// `host:port`.
    pub smarthost: String,
    /// What we call ourselves.
    pub hello: String,
    /// User name, if the server wants one.
    pub username: String,
    /// Whom to act as, if it is somebody else; for PLAIN.
    pub identity: String,
    /// The password, for PLAIN and LOGIN.
    pub password: Secret<String>,
    /// The key, for CRAM-MD5.
    pub secret: Secret<String>,
    /// Whether STARTTLS is required. Without it the conversation is in the clear, unless TLS is implicit.
    pub require_tls: bool,
    /// Whether the connection starts with TLS.
    pub implicit_tls: bool,
    /// TLS.
    pub tls: TlsOptions,
}

/// One mail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Further headers in order.
    pub headers: Vec<(String, String)>,
    /// Plain text part, or empty.
    pub text: String,
    /// HTML part, or empty.
    pub html: String,
    /// Names the mail: the same for each attempt, of which it becomes the `Message-Id`. Empty: each is a mail of its own.
    pub id: String,
}
