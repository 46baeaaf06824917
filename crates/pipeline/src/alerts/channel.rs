//! The channels, and one message to one of them. Their addresses are secrets: no error and no form for
//! debugging shows one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use sha2::Sha256;
use url::Url;
use warehouse::AlertRow;

use super::words;

/// Where alerts go.
#[derive(Clone)]
pub enum Channel {
    /// Slack's incoming webhook.
    Slack(Url),
    /// Discord's webhook.
    Discord(Url),
    /// Anybody's: JSON, signed where there is a key.
    Webhook(Url, Option<String>),
}

impl Channel {
    /// Its name in the outbox.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Slack(_) => "slack",
            Self::Discord(_) => "discord",
            Self::Webhook(..) => "webhook",
        }
    }

    fn url(&self) -> &Url {
        match self {
            Self::Slack(url) | Self::Discord(url) | Self::Webhook(url, _) => url,
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Alerts cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum SendersError {
    /// TLS cannot be set up.
    #[error("cannot set up TLS for alerts")]
    Tls(#[from] rustls::Error),
    /// The HTTP library refuses.
    #[error("cannot set up HTTP for alerts")]
    Http(#[from] reqwest::Error),
}

/// Sends to channels. Connects to nothing yet.
#[derive(Clone, Debug)]
pub struct Sender {
    http: reqwest::Client,
    channels: Arc<[Channel]>,
}

/// What a message came to.
#[derive(Debug)]
pub(crate) struct NotSent {
    /// What went wrong, without secrets.
    pub(crate) why: String,
    /// The other side asks to be left alone for so long.
    pub(crate) wait: Option<Duration>,
}

impl Sender {
    /// To these channels.
    pub fn new(channels: Vec<Channel>) -> Result<Self, SendersError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(crawl::tls_config()?)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tiki-data-pipeline/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .retry(reqwest::retry::never())
            .build()?;
        Ok(Self {
            http,
            channels: channels.into(),
        })
    }

    /// Its channels.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// Sends an alert to a channel, once; what went wrong is said without secrets.
    pub async fn send(
        &self,
        channel: &Channel,
        alert: &AlertRow,
        limit: Duration,
    ) -> Result<(), String> {
        self.post(channel, alert, limit)
            .await
            .map_err(|not| not.why)
    }

    pub(crate) async fn post(
        &self,
        channel: &Channel,
        alert: &AlertRow,
        limit: Duration,
    ) -> Result<(), NotSent> {
        let body = match channel {
            Channel::Slack(_) => words::slack(alert),
            Channel::Discord(_) => words::discord(alert),
            Channel::Webhook(..) => words::webhook(alert),
        }
        .to_string();
        let not = |why: String| NotSent { why, wait: None };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let id = HeaderValue::from_str(&alert.id);
        headers.insert(
            "idempotency-key",
            id.map_err(|_| not("its id is no header".into()))?,
        );
        if let Channel::Webhook(_, Some(key)) = channel {
            sign(&mut headers, key, &body).map_err(|()| not("it cannot be signed".into()))?;
        }
        let request = self
            .http
            .post(channel.url().clone())
            .headers(headers)
            .body(body);
        let answer = request.timeout(limit).send().await;
        let answer = answer.map_err(|error| not(said(error, channel)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let asked = answer.headers().get(RETRY_AFTER);
        let seconds = asked.and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
        Err(NotSent {
            // What the other side says in its body may repeat the address.
            why: format!("it answered {status}"),
            wait: seconds.map(|seconds| Duration::from_secs(seconds.into())),
        })
    }
}

/// HMAC-SHA256 of `<timestamp>.<body>`, and the timestamp, in seconds since 1970.
fn sign(headers: &mut HeaderMap, key: &str, body: &str) -> Result<(), ()> {
    let now = jiff::Timestamp::now().as_second().to_string();
    let signature = signature(key, &now, body);
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| ());
    headers.insert("x-tiki-timestamp", value(&now)?);
    headers.insert("x-tiki-signature", value(&format!("sha256={signature}"))?);
    Ok(())
}

/// The signature in hexadecimal digits.
pub(super) fn signature(key: &str, timestamp: &str, body: &str) -> String {
    // A key of any length is one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// An error and its causes without the address.
fn said(error: reqwest::Error, channel: &Channel) -> String {
    let what = if error.is_timeout() {
        return "it did not answer in time".to_owned();
    } else if error.is_connect() {
        "it cannot be reached"
    } else {
        "the request failed"
    };
    let text = format!("{what}: {}", crate::site::chain(&error.without_url()));
    let url = channel.url();
    let mut clean = words::plain(&text, words::LINE_CHARS);
    for secret in [url.as_str(), url.path(), url.query().unwrap_or("")] {
        if secret.len() > 1 {
            clean = clean.replace(secret, "***");
        }
    }
    clean
}
