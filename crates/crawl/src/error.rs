//! Why a request brought nothing, and what that means for a second try. Trying again is not done here.

use std::error::Error;
use std::time::Duration;

use catalog::{BodyError, Rejection};

use crate::judge::retry_body;
use crate::{PermitError, ProxyTrouble};

/// A request that brought nothing to believe.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch {url}{}", consequence(url))]
pub struct FetchError {
    /// What was asked. It holds no secret: requests have none.
    pub url: String,
    /// Why nothing came of it.
    #[source]
    pub kind: FetchErrorKind,
}

/// Why a request brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum FetchErrorKind {
    /// The site does not want us: 401, 403, a challenge or CAPTCHA page under any status, or robots.txt
    /// (then nothing was sent and there is no status).
    #[error("the site refuses ({marker})")]
    Refused {
        /// The status of the answer, if there was one.
        status: Option<u16>,
        /// What was seen, for people.
        marker: String,
        /// Whether it was a challenge or a CAPTCHA: that is meant for us, whatever we ask for. A bare 401
        /// or 403 of the API is not: the HTML may still be open.
        challenge: bool,
    },
    /// 429.
    #[error("the site asks for fewer requests (429)")]
    Throttled {
        /// How long it wants to be left alone, an hour at most.
        retry_after: Option<Duration>,
    },
    /// 5xx.
    #[error("the site is in trouble (status {status})")]
    Server {
        /// 500 to 599.
        status: u16,
        /// How long it wants to be left alone, an hour at most.
        retry_after: Option<Duration>,
    },
    /// 3xx; never followed.
    #[error("the site sends us elsewhere, to {to}, and no redirect is followed")]
    Redirect {
        /// Where to, without query and without user name, cut at 200 characters.
        to: String,
    },
    /// Another status that is no answer.
    #[error("the site answers with status {0}")]
    Status(u16),
    /// No whole answer within the request time-out.
    #[error("no whole answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// There is no connection: name, address, TLS.
    #[error("cannot connect")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The proxy of the settings leads nowhere; the site was not reached.
    #[error("the proxy {proxy} does not lead to the site")]
    Proxy {
        /// The proxy, without user and password.
        proxy: String,
        /// What it did instead.
        #[source]
        trouble: ProxyTrouble,
    },
    /// The connection ended before the answer did.
    #[error("the answer broke off")]
    Interrupted(#[source] Box<dyn Error + Send + Sync>),
    /// A body beyond its limits or damaged.
    #[error("the body cannot be read")]
    Body(#[source] BodyError),
    /// A `Content-Encoding` that was not asked for.
    #[error("the body is encoded as {0}, which was not asked for")]
    Encoding(String),
    /// 200 with something that is no JSON, a page of HTML for one, or is not called so.
    #[error("the answer is no JSON (content type {})", .content_type.as_deref().unwrap_or("not told"))]
    NotJson {
        /// What it is called.
        content_type: Option<String>,
    },
    /// HTML with 200, but without the JSON that was asked for.
    #[error("the page does not hold what was asked for")]
    NoState(#[source] Rejection),
    /// robots.txt came, and cannot be understood; so nothing may be asked.
    #[error("nothing may be asked")]
    Robots(#[source] crate::RobotsError),
    /// There was no permit, so nothing was sent. Not the fault of what was asked: it should not cost a
    /// try. With [`PermitError::Pause`] nobody may ask for a time.
    #[error("there is no leave to ask")]
    Permit(#[source] PermitError),
}

/// What to do about a failed request. Who counts tries is the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// The same request will fail again.
    Never,
    /// Later, see [`crate::Backoff`].
    Backoff,
    /// Not before this time has passed.
    After(Duration),
    /// The site refuses: no further request in this step (exit code 20).
    Stop,
}

impl FetchErrorKind {
    /// Whether and when it makes sense to ask again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Refused { .. } => Retry::Stop,
            Self::Throttled { retry_after } | Self::Server { retry_after, .. } => {
                // No time at all is no wish.
                let wait = retry_after.filter(|wait| !wait.is_zero());
                wait.map_or(Retry::Backoff, Retry::After)
            }
            Self::Body(error) => retry_body(error),
            Self::Permit(PermitError::Pause(left)) => Retry::After(*left),
            Self::Status(408 | 425)
            | Self::Timeout(_)
            | Self::Connect(_)
            | Self::Proxy { .. }
            | Self::Interrupted(_)
            | Self::NotJson { .. }
            | Self::NoState(_)
            | Self::Robots(_)
            | Self::Permit(_) => Retry::Backoff,
            Self::Redirect { .. } | Self::Status(_) | Self::Encoding(_) => Retry::Never,
        }
    }
}

/// A robots.txt that is not there is one thing, one that cannot be read another.
fn consequence(url: &str) -> &'static str {
    if url.ends_with("/robots.txt") {
        ", and until it can be read nothing may be asked"
    } else {
        ""
    }
}
