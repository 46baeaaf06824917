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
    // Without an `@`: what stands before one is hidden from whoever reads this.
    #[error(
        "a proxy is an address such as http://proxy.example.com:3128; a user and a password stand before the \
         host, as in any address"
    )]
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
    /// A `%` that begins no encoded character.
    #[error(
        "two hexadecimal digits follow a % in the user or password of a proxy; a % that is one is written %25"
    )]
    Encoding,
}

/// What a proxy did instead of leading to the site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyTrouble {
    /// There is no connection to it; with the innermost cause.
    #[error("it cannot be reached: {0}")]
    Away(String),
    /// 407.
    #[error("it wants a user and a password, or others than these (status 407)")]
    Login,
    /// Another status than 200 and 407 (which one is not told), or something that is no HTTP.
    #[error("it opens no way: it answers with a status that refuses, or not in HTTP")]
    Refuses,
    /// It fell silent or ended the connection; with the innermost cause.
    #[error("it opens no way: {0}")]
    Broken(String),
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
    /// Reads `http://[user:password@]host[:port]`, or the same with `https`; a single `/` may follow. Without
    /// a port it is 80, of `https` 443.
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
        let password = url.password().unwrap_or_default();
        if !is_encoded(url.username()) || !is_encoded(password) {
            return Err(ProxyError::Encoding);
        }
        let host = url.host_str().ok_or(ProxyError::NotUrl)?;
        let port = url.port_or_known_default().ok_or(ProxyError::NotUrl)?;
        let shown = format!("{}://{host}:{port}", url.scheme());
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

    /// What an error of connecting through it says of itself; `None`: the way was open, and what failed was
    /// behind it. A site that is asked through a proxy has TLS, so there is a tunnel.
    pub(crate) fn trouble(error: &reqwest::Error) -> Option<ProxyTrouble> {
        use ProxyTrouble as T;
        let causes: Vec<String> =
            std::iter::successors(Some(error as &dyn Error), |error| (*error).source())
                .map(ToString::to_string)
                .collect();
        let innermost = causes.last().cloned().unwrap_or_default();
        // The type of these errors is not public, only their words are.
        let mut words = causes
            .iter()
            .map(|cause| cause.strip_prefix("tunnel error: "));
        match words.find_map(|words| words) {
            Some("proxy authorization required") => Some(T::Login),
            Some("unsuccessful") => Some(T::Refuses),
            Some("failed to create underlying connection") => Some(T::Away(innermost)),
            Some(words) if innermost.ends_with(words) => Some(T::Broken(words.to_owned())),
            Some(_) => Some(T::Broken(innermost)),
            None if error.is_timeout() => Some(T::Broken(innermost)),
            None => None,
        }
    }

    /// The same error, which says that the way led through it.
    pub fn named(&self, source: Box<dyn Error + Send + Sync>) -> Box<dyn Error + Send + Sync> {
        Box::new(Through {
            proxy: self.shown.clone(),
            source,
        })
    }
}

/// Whether two hexadecimal digits follow every `%`.
fn is_encoded(text: &str) -> bool {
    let is_hex = |byte: &u8| byte.is_ascii_hexdigit();
    let digits = |rest: &str| {
        rest.as_bytes()
            .get(..2)
            .is_some_and(|two| two.iter().all(is_hex))
    };
    text.split('%').skip(1).all(digits)
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
            ("http://localhost", "http://localhost:80", Some("localhost")),
            (
                "https://localhost",
                "https://localhost:443",
                Some("localhost"),
            ),
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
            ("http://me:s3cret%zz@h:1", ProxyError::Encoding),
            ("http://me:s3cret%4@h:1", ProxyError::Encoding),
            ("http://me%:s3cret@h:1", ProxyError::Encoding),
        ] {
            let refused = Proxy::parse(text).expect_err(text);
            assert_eq!(refused, error, "{text}");
            let said = refused.to_string();
            assert!(!said.contains("s3cret") && !said.contains('@'), "{said}");
        }
    }
}
