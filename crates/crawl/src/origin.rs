//! Where requests go. Which requests they are is in `ask`.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Scheme, host and port of the one site that is ever asked.
///
/// Always `https`, except for an address of this machine. Prints as `https://tiki.vn` or
/// `http://127.0.0.1:8080`: lower case, no default port, nothing behind it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    text: String,
    secure: bool,
    loopback: bool,
}

/// A text that is no origin which may be asked. The text is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not an absolute URL.
    #[error("an origin is a URL such as https://tiki.vn")]
    NotUrl(#[from] url::ParseError),
    /// Neither `https` nor `http`.
    #[error("an origin has the scheme https, not {0}")]
    Scheme(String),
    /// `http` and a host that is not this machine.
    #[error("{0} is asked over https only; http is for 127.0.0.1, ::1 and localhost")]
    Insecure(String),
    /// A user name or password before the host.
    #[error("an origin has no user name and no password")]
    Userinfo,
    /// A path, query or fragment behind the port.
    #[error("an origin ends after the host and its port: no path, query or fragment")]
    Beyond,
}

/// Whether a URL is one of this machine: its host is `localhost` or an address of the loopback network.
pub fn is_loopback(url: &Url) -> bool {
    url.host().is_some_and(|host| match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    })
}

impl Origin {
    /// Reads `scheme://host[:port]`; a single `/` may follow.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let url = Url::parse(text.trim())?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(OriginError::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OriginError::Userinfo);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(OriginError::Beyond);
        }
        let host = url.host().ok_or(url::ParseError::EmptyHost)?;
        let loopback = is_loopback(&url);
        let secure = url.scheme() == "https";
        if !secure && !loopback {
            return Err(OriginError::Insecure(host.to_string()));
        }
        let text = url.origin().ascii_serialization();
        Ok(Self {
            text,
            secure,
            loopback,
        })
    }

    /// Whether it is an address of this machine.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether it is asked over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_https_or_this_machine() {
        for (text, printed, loopback) in [
            ("https://tiki.vn", "https://tiki.vn", false),
            ("https://TIKI.vn:443/", "https://tiki.vn", false),
            (
                "https://example.com:8443",
                "https://example.com:8443",
                false,
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("http://127.9.9.9:1", "http://127.9.9.9:1", true),
            ("http://[::1]:8080/", "http://[::1]:8080", true),
            ("http://localhost:80", "http://localhost", true),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(
                (origin.to_string().as_str(), origin.is_loopback()),
                (printed, loopback)
            );
            assert_eq!(Origin::parse(printed), Ok(origin));
        }
        for refused in [
            "",
            "tiki.vn",
            "ftp://tiki.vn",
            "http://tiki.vn",
            "http://10.0.0.1",
            "http://0.0.0.0:1",
            "http://[::ffff:127.0.0.1]",
            "http://localhost.tiki.vn",
            "http://127.0.0.1.nip.io",
            "https://me@tiki.vn",
            "https://me:secret@tiki.vn",
            "http://127.0.0.1@evil.example",
            "https://tiki.vn/api",
            "https://tiki.vn/?a",
            "https://tiki.vn/#a",
            "data:text/plain,x",
        ] {
            let error = Origin::parse(refused).expect_err(refused);
            assert!(!error.to_string().contains("secret"));
        }
    }
}
