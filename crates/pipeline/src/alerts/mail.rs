//! Mail: who sends it to whom over which server, and one message.
//!
//! The server's address may hold a password: no error and no form for debugging shows it.

use std::fmt;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes};
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use url::Url;
use warehouse::AlertRow;

use super::channel::NotSent;
use super::trust::Trust;
use super::words;

/// Characters of a subject at most.
const SUBJECT_CHARS: usize = 160;

/// Mail to some people over a server.
#[derive(Clone)]
pub struct Mail {
    server: Url,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mail")
    }
}

/// The addresses of a list with commas between them; `None`: one of them is none, or there is none.
pub fn mailboxes(text: &str) -> Option<Vec<Mailbox>> {
    let list: Mailboxes = text.parse().ok()?;
    let list: Vec<Mailbox> = list.into_iter().collect();
    (!list.is_empty()).then_some(list)
}

/// A server of mail: `smtps://`, `smtp://…?tls=required`, or `?tls=opportunistic` without a password. Without
/// any TLS, or with a password that is not sure of it, only on this machine.
pub fn smtp_server(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let mut pairs = url.query_pairs();
    let fits = match (url.scheme(), pairs.next(), pairs.next()) {
        ("smtps", None, None) => true,
        ("smtp", None, None) => here,
        ("smtp", Some((name, way)), None) if name == "tls" => match way.as_ref() {
            "required" => true,
            "opportunistic" => here || url.password().is_none(),
            _ => false,
        },
        _ => false,
    };
    fits.then_some(url)
}

impl Mail {
    /// Over a server that [`smtp_server`] has read; from the first of those it goes to, unless somebody is named.
    pub fn new(server: Url, from: Option<Mailbox>, to: Vec<Mailbox>) -> Option<Self> {
        let from = from.or_else(|| to.first().cloned())?;
        Some(Self { server, from, to })
    }

    /// What of it must not be shown.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let password = self.server.password().unwrap_or_default();
        vec![self.server.to_string(), password.to_owned()]
    }

    /// Sends an alert once.
    pub(crate) async fn send(
        &self,
        alert: &AlertRow,
        trust: &Trust,
        limit: Duration,
    ) -> Result<(), NotSent> {
        let message = self.message(alert);
        let message = message.map_err(|_| NotSent::new("it cannot be written as a mail"))?;
        let transport = self.transport(trust, limit);
        let transport = transport.map_err(|_| NotSent::new("TLS cannot be set up"))?;
        match tokio::time::timeout(limit, transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(NotSent::new(said(&error))),
            Err(_) => Err(NotSent::new("the server did not answer in time")),
        }
    }

    /// The same id for the same alert, whenever it is sent.
    pub(super) fn message(&self, alert: &AlertRow) -> Result<Message, lettre::error::Error> {
        let subject = format!("[{}] {}", alert.severity, alert.title);
        let id = format!("<{}@{}>", alert.id, self.from.email.domain());
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(catalog::one_line(&subject, SUBJECT_CHARS))
            .message_id(Some(id))
            .header(ContentType::TEXT_PLAIN)
            .date_now();
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let mut message = builder.body(words::lines(alert).join("\n") + "\n")?;
        // No machine answers that it is on holiday.
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        let value = HeaderValue::new(name, "auto-generated".to_owned());
        message.headers_mut().insert_raw(value);
        Ok(message)
    }

    fn transport(
        &self,
        trust: &Trust,
        limit: Duration,
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
        let host = self.server.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut tls = TlsParameters::builder(host.to_owned())
            .certificate_store(CertificateStore::WebpkiRoots);
        for certificate in trust.certificates() {
            tls = tls.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
        }
        let tls = tls.build()?;
        let asked = self.server.query().unwrap_or_default();
        let tls = match (self.server.scheme(), asked) {
            ("smtps", _) => Tls::Wrapper(tls),
            (_, "tls=required") => Tls::Required(tls),
            (_, "tls=opportunistic") => Tls::Opportunistic(tls),
            _ => Tls::None,
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(self.server.as_str())?;
        Ok(builder.tls(tls).timeout(Some(limit)).build())
    }
}

/// What a server's refusal is, without its own words, which may repeat who asked.
fn said(error: &lettre::transport::smtp::Error) -> String {
    if let Some(code) = error.status() {
        return format!("the server answered {code}");
    }
    let what = if error.is_timeout() {
        return "the server did not answer in time".to_owned();
    } else if error.is_tls() {
        "TLS failed"
    } else {
        "the server cannot be reached or does not speak as it should"
    };
    format!("{what}: {}", crate::site::chain(error))
}
