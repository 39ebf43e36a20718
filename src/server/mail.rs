//! Mail: the host's side of e-mail notifiers.

use std::time::Duration;

use lettre::message::{Mailbox, MultiPart, SinglePart, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use ports::{Mail, OutgoingError, SmtpServer};

/// For the whole conversation with the server.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Hands one mail to `server`. The answer is its `Message-Id`.
pub(crate) async fn send(server: &SmtpServer, mail: Mail) -> Result<String, OutgoingError> {
    crate::outgoing::install_provider();
    let invalid = |what: String| OutgoingError::Invalid(what);
    let (host, port) = server
        .smarthost
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
        .ok_or_else(|| invalid(format!("smarthost `{}` is not host:port", server.smarthost)))?;
    let (message, id) = compose(mail, host)?;
    let mut tls = TlsParameters::builder(server.tls.server_name.clone().unwrap_or_else(|| host.to_owned()))
        .dangerous_accept_invalid_certs(server.tls.insecure_skip_verify);
    if let Some(file) = &server.tls.ca_file {
        let pem = std::fs::read(file).map_err(|e| invalid(format!("`{file}` cannot be read: {e}")))?;
        let certificate = Certificate::from_pem(&pem)
            .map_err(|e| invalid(format!("`{file}` is no certificate authority: {e}")))?;
        tls = tls.add_root_certificate(certificate);
    }
    let tls = tls.build_rustls().map_err(|e| invalid(format!("TLS: {e}")))?;
    let tls = match (server.implicit_tls || port == 465, server.require_tls) {
        (true, _) => Tls::Wrapper(tls),
        (false, true) => Tls::Required(tls),
        (false, false) => Tls::Opportunistic(tls),
    };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(port)
        .tls(tls)
        .timeout(Some(TIMEOUT));
    if !server.hello.is_empty() {
        transport = transport.hello_name(ClientId::Domain(server.hello.clone()));
    }
    if !server.username.is_empty() {
        transport = transport
            .credentials(Credentials::new(server.username.clone(), server.password.expose().clone()));
    }
    match transport.build().send(message).await {
        Ok(_) => Ok(id),
        Err(error) if error.is_permanent() => {
            Err(OutgoingError::Denied(format!("the mail server refused: {error}")))
        }
        Err(error) => Err(OutgoingError::Unreachable(format!("mail server {host}:{port}: {error}"))),
    }
}

fn compose(mail: Mail, host: &str) -> Result<(Message, String), OutgoingError> {
    let address = |text: &str| {
        text.trim()
            .parse::<Mailbox>()
            .map_err(|e| OutgoingError::Invalid(format!("`{text}` is not a mail address: {e}")))
    };
    let id = format!("<{:032x}@{host}>", rand::random::<u128>());
    let mut builder = Message::builder().message_id(Some(id.clone())).from(address(&mail.from)?);
    for to in &mail.to {
        builder = builder.to(address(to)?);
    }
    for (name, value) in &mail.headers {
        if name.eq_ignore_ascii_case("subject") {
            builder = builder.subject(value.clone());
            continue;
        }
        if ["from", "to", "date", "message-id"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            continue;
        }
        let parsed = header::HeaderName::new_from_ascii(name.clone())
            .map_err(|_| OutgoingError::Invalid(format!("`{name}` is not a mail header")))?;
        builder = builder.raw_header(header::HeaderValue::new(parsed, value.clone()));
    }
    let plain = |text: String| SinglePart::plain(text);
    let message = match (mail.text.is_empty(), mail.html.is_empty()) {
        (false, false) => builder.multipart(MultiPart::alternative_plain_html(mail.text, mail.html)),
        (true, false) => builder.singlepart(SinglePart::html(mail.html)),
        _ => builder.singlepart(plain(mail.text)),
    };
    let message = message.map_err(|e| OutgoingError::Invalid(format!("the mail cannot be composed: {e}")))?;
    Ok((message, id))
}
