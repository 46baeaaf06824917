//! A proxy that the settings name, and how an error says that the way led through it. Never with the password.
//!
//! Not here: who goes through it (`client`; alerts, in `pipeline`), proxies of the environment, which nobody
//! uses.

use std::error::Error;
use std::fmt;

use url::Url;

/// A proxy of HTTP, with who one is there.
///
/// What is asked over https goes through a tunnel (`CONNECT`), so the proxy sees the host's name and no more.
/// It looks that name up itself. Prints as `http://proxy.example:3128`, without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    url: Url,
    shown: String,
}

/// A text that is no proxy. The text is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not an absolute URL.
    #[error("a proxy is an address such as http://user:password@proxy.example.com:3128")]
    NotUrl,
    /// Neither `http` nor `https`.
    #[error("a proxy is spoken to over http or https, over nothing else")]
    Scheme,
    /// A path, query or fragment behind the port.
    #[error(
        "a proxy's address ends after its port: no path, query or fragment; what is no letter or digit in \
         a user or password is percent-encoded"
    )]
    Beyond,
    /// A user without a password, or the other way round.
    #[error("a proxy has a user and a password, or neither")]
    Half,
}

/// What failed on the way through a proxy.
#[derive(Debug, thiserror::Error)]
#[error("through the proxy {proxy}")]
struct Through {
    proxy: String,
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`, or the same with `https`; a single `/` may follow.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let url = Url::parse(text.trim()).map_err(|_| ProxyError::NotUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ProxyError::Scheme);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Beyond);
        }
        if url.username().is_empty() != url.password().is_none() {
            return Err(ProxyError::Half);
        }
        let shown = url.origin().ascii_serialization();
        Ok(Self { url, shown })
    }

    /// The rule for a client of HTTP: everything goes through it.
    pub fn for_everything(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        reqwest::Proxy::all(self.url.clone())
    }

    /// Its name; `None` where it is an address.
    pub(crate) fn name(&self) -> Option<&str> {
        self.url.domain()
    }

    /// The same error, which says that the way led through it.
    pub fn named(&self, source: Box<dyn Error + Send + Sync>) -> Box<dyn Error + Send + Sync> {
        Box::new(Through {
            proxy: self.shown.clone(),
            source,
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_who_one_is_there() {
        for (text, shown, name) in [
            ("http://10.0.0.1:3128", "http://10.0.0.1:3128", None),
            (
                "http://me:s3cret%40@Proxy.example:3128/",
                "http://proxy.example:3128",
                Some("proxy.example"),
            ),
            ("https://[::1]:8443", "https://[::1]:8443", None),
            ("http://localhost", "http://localhost", Some("localhost")),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!(
                (proxy.to_string().as_str(), proxy.name()),
                (shown, name),
                "{text}"
            );
            assert_eq!(format!("{proxy:?}"), shown);
            proxy.for_everything().unwrap();
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_repeated() {
        for (text, error) in [
            ("", ProxyError::NotUrl),
            ("proxy.example:3128", ProxyError::Scheme),
            ("me:s3cret@h:1", ProxyError::Scheme),
            ("socks5://me:s3cret@h:1080", ProxyError::Scheme),
            ("http://", ProxyError::NotUrl),
            ("http://me:s3cret@h:port", ProxyError::NotUrl),
            ("http://h:1/s3cret", ProxyError::Beyond),
            ("http://me:s3/cret@h:1", ProxyError::NotUrl),
            ("http://h:1/?s3cret", ProxyError::Beyond),
            ("http://h:1#s3cret", ProxyError::Beyond),
            ("http://s3cret@h:1", ProxyError::Half),
            ("http://:s3cret@h:1", ProxyError::Half),
        ] {
            let refused = Proxy::parse(text).expect_err(text);
            assert_eq!(refused, error, "{text}");
            assert!(!refused.to_string().contains("s3cret"), "{text}");
        }
    }
}
