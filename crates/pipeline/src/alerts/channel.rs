//! The channels, and one message to one of them. Their addresses are secrets: no error and no form for
//! debugging shows one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crawl::Proxy;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Value;
use sha2::Sha256;
use url::Url;
use warehouse::AlertRow;

use super::mail::Mail;
use super::trust::Trust;
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
    /// People's.
    Mail(Mail),
}

impl Channel {
    /// Its name in the outbox.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Slack(_) => "slack",
            Self::Discord(_) => "discord",
            Self::Webhook(..) => "webhook",
            Self::Mail(_) => "mail",
        }
    }

    /// What of it must not be shown.
    fn secrets(&self) -> Vec<String> {
        match self {
            Self::Slack(url) | Self::Discord(url) | Self::Webhook(url, _) => {
                let query = url.query().unwrap_or_default().to_owned();
                vec![url.to_string(), url.path().to_owned(), query]
            }
            Self::Mail(mail) => mail.secrets(),
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
    /// For receivers that are not on this machine, if there is one.
    proxied: Option<(reqwest::Client, Proxy)>,
    trust: Trust,
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

impl NotSent {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            wait: None,
        }
    }
}

impl Sender {
    /// To these channels; those of HTTP that are not on this machine are told through the proxy, if there is
    /// one.
    pub fn new(
        channels: Vec<Channel>,
        trust: Trust,
        proxy: Option<Proxy>,
    ) -> Result<Self, SendersError> {
        let proxied = match proxy {
            Some(proxy) => Some((http_client(&trust, Some(&proxy))?, proxy)),
            None => None,
        };
        Ok(Self {
            http: http_client(&trust, None)?,
            proxied,
            trust,
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
        let sent = match channel {
            Channel::Slack(url) => {
                self.hook(url, None, words::slack(alert), alert, limit)
                    .await
            }
            Channel::Discord(url) => {
                self.hook(url, None, words::discord(alert), alert, limit)
                    .await
            }
            Channel::Webhook(url, key) => {
                let body = words::webhook(alert);
                self.hook(url, key.as_deref(), body, alert, limit).await
            }
            Channel::Mail(mail) => mail.send(alert, &self.trust, limit).await,
        };
        sent.map_err(|not| NotSent {
            why: without_secrets(&not.why, channel),
            wait: not.wait,
        })
    }

    async fn hook(
        &self,
        url: &Url,
        key: Option<&str>,
        body: Value,
        alert: &AlertRow,
        limit: Duration,
    ) -> Result<(), NotSent> {
        let body = body.to_string();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let id = HeaderValue::from_str(&alert.id);
        let id = id.map_err(|_| NotSent::new("its id is no header"))?;
        headers.insert("idempotency-key", id);
        if let Some(key) = key {
            let signed = sign(&mut headers, key, &body);
            signed.map_err(|()| NotSent::new("it cannot be signed"))?;
        }
        // One on this machine a proxy would look for on its own.
        let proxied = self.proxied.as_ref();
        let proxied = proxied.filter(|_| !crawl::is_loopback(url));
        let http = proxied.map_or(&self.http, |(http, _)| http);
        let request = http.post(url.clone()).headers(headers).body(body);
        let answer = request.timeout(limit).send().await;
        let by = proxied.map_or_else(String::new, |(_, proxy)| format!(" by the proxy {proxy}"));
        let answer = answer.map_err(|error| NotSent::new(said(error, &by)))?;
        let status = answer.status();
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED && proxied.is_some() {
            return Err(NotSent::new(format!(
                "it was not asked{by}, which answered {status}"
            )));
        }
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
fn said(error: reqwest::Error, by: &str) -> String {
    let what = if error.is_timeout() {
        return format!("it did not answer in time{by}");
    } else if error.is_connect() {
        "it cannot be reached"
    } else {
        "the request failed"
    };
    format!("{what}{by}: {}", crate::site::chain(&error.without_url()))
}

fn http_client(trust: &Trust, proxy: Option<&Proxy>) -> Result<reqwest::Client, SendersError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(crawl::tls_config(trust.certificates())?)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("tiki-data-pipeline/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .retry(reqwest::retry::never());
    if let Some(proxy) = proxy {
        builder = builder.proxy(proxy.for_everything()?);
    }
    Ok(builder.build()?)
}

fn without_secrets(text: &str, channel: &Channel) -> String {
    let mut clean = text.to_owned();
    for secret in channel.secrets() {
        if secret.len() > 1 {
            clean = clean.replace(&secret, "***");
        }
    }
    catalog::one_line(&clean, words::LINE_CHARS)
}
