//! `/__storefront/…`: what another process needs to watch and move a storefront. Not part of
//! the site and not among its counts.

use axum::http::StatusCode;
use serde_json::json;

use crate::clock::Clock;
use crate::counts::Tally;
use crate::faults::Faults;
use crate::query::Parameters;
use crate::reply::{Kind, Reply};
use crate::verdict::FaultState;

/// Where the control routes begin.
pub(crate) const PREFIX: &str = "/__storefront/";
/// Largest body of a control request.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// What can be controlled.
pub(crate) struct Controls<'a> {
    pub(crate) tally: &'a Tally,
    pub(crate) clock: &'a Clock,
    pub(crate) faults: &'a FaultState,
    pub(crate) origin_id: &'a str,
}

impl Controls<'_> {
    /// `GET counts`, `POST counts` (begins to count anew), `GET seconds`, `GET clock`, `POST clock?day=N` or `?millis=N`, `GET faults`,
    /// `POST faults` with the JSON of [`Faults`], `GET origin`.
    pub(crate) fn answer(
        &self,
        method: &str,
        name: &str,
        parameters: &Parameters,
        body: &[u8],
    ) -> Reply {
        match (method, name) {
            ("GET", "counts") => json_of(&self.tally.read()),
            ("POST", "counts") => {
                self.tally.restart();
                json_of(&self.tally.read())
            }
            ("GET", "seconds") => json_of(&self.tally.seconds()),
            ("GET", "clock") => self.time(),
            ("POST", "clock") => self.move_clock(parameters),
            ("GET", "faults") => json_of(&self.faults.get()),
            ("POST", "faults") => self.set_faults(body),
            ("GET", "origin") => Reply::json(&json!({ "origin_id": self.origin_id })),
            _ => Reply::error(StatusCode::NOT_FOUND, "no such control"),
        }
    }

    fn time(&self) -> Reply {
        Reply::json(&json!({ "millis": self.clock.millis(), "day": self.clock.day() }))
    }

    fn move_clock(&self, parameters: &Parameters) -> Reply {
        match (parameters.number("day"), parameters.number("millis")) {
            (Some(day), _) => self.clock.set_day(day),
            (None, Some(millis)) => self.clock.set(millis),
            (None, None) => return Reply::error(StatusCode::BAD_REQUEST, "day or millis"),
        }
        self.time()
    }

    fn set_faults(&self, body: &[u8]) -> Reply {
        let faults: Faults = match serde_json::from_slice(body) {
            Ok(faults) => faults,
            Err(error) => return Reply::error(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        if let Err(why) = faults.check() {
            return Reply::error(StatusCode::BAD_REQUEST, why);
        }
        self.faults.set(&faults);
        json_of(&faults)
    }
}

fn json_of<T: serde::Serialize>(value: &T) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => Reply::new(StatusCode::OK, Kind::Json, body),
        Err(error) => Reply::error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
