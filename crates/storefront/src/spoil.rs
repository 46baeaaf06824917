//! Answers that went wrong on request.

use axum::http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use crate::faults::Misbehaviour;
use crate::reply::{Kind, Reply};

/// Only the markers are the site's.
const CHALLENGE: &str = "<!DOCTYPE html><html><head><title>Please wait...</title>\
    <meta name=\"waf-jschallenge\" content=\"storefront\"></head><body>Please wait...\
    <script>document.cookie=\"_wafchallengeid=storefront\";location.reload()</script>\
    </body></html>";
const CAPTCHA: &str = "<!DOCTYPE html><html><head><title>Verify</title></head>\
    <body><div id=\"captcha\"></div><script>window.TTGCaptcha={};</script></body></html>";

/// The answer of a fault that does not need the good one.
pub(crate) fn instead(fault: &Misbehaviour) -> Option<Reply> {
    Some(match fault {
        Misbehaviour::Status {
            code,
            retry_after_s,
        } => status(*code, *retry_after_s),
        Misbehaviour::Challenge => Reply::html(CHALLENGE.to_owned()),
        Misbehaviour::Captcha => Reply::html(CAPTCHA.to_owned()),
        Misbehaviour::ErrorObject { code } => {
            Reply::json(&serde_json::json!({ "error": { "code": code, "message": "" } }))
        }
        Misbehaviour::EmptyBody => Reply::new(StatusCode::OK, Kind::Json, ""),
        Misbehaviour::RedirectHome => {
            let mut reply = Reply::new(StatusCode::FOUND, Kind::Html, "");
            // Relative: a crawler that follows it must not leave this machine.
            reply
                .more
                .push((header::LOCATION, HeaderValue::from_static("/")));
            reply
        }
        _ => return None,
    })
}

/// A 403 was seen with an empty body; the other bodies are invented.
fn status(code: u16, retry_after_s: Option<u32>) -> Reply {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut reply = match status {
        StatusCode::FORBIDDEN => Reply::new(status, Kind::Html, ""),
        _ => Reply::error(status, "as asked for"),
    };
    if let Some(seconds) = retry_after_s {
        reply
            .more
            .push((header::RETRY_AFTER, HeaderValue::from(seconds)));
    }
    reply
}

/// The good answer with one thing wrong. What does not fit the body leaves it as it is.
pub(crate) fn spoilt(mut reply: Reply, fault: &Misbehaviour) -> Reply {
    match fault {
        Misbehaviour::WrongContentType => reply.kind = Kind::Html,
        Misbehaviour::WrongId => edit(&mut reply, false, |product| {
            let id = product.get("id").and_then(Value::as_u64);
            if let Some(id) = id {
                product.insert("id".to_owned(), Value::from(id.wrapping_add(1)));
            }
        }),
        Misbehaviour::DropField { field } => edit(&mut reply, true, |product| {
            product.remove(field);
        }),
        Misbehaviour::RenameField { field, to } => edit(&mut reply, true, |product| {
            if let Some(value) = product.remove(field) {
                product.insert(to.clone(), value);
            }
        }),
        Misbehaviour::RetypeField { field } => edit(&mut reply, true, |product| {
            if let Some(value) = product.get_mut(field) {
                *value = match value.take() {
                    Value::String(text) => Value::from(vec![text]),
                    other => Value::from(other.to_string()),
                };
            }
        }),
        _ => {}
    }
    reply
}

/// Changes a JSON answer: each item of its `data` if `lists`, or itself where there is none.
fn edit(reply: &mut Reply, lists: bool, change: impl Fn(&mut Map<String, Value>)) {
    if reply.kind != Kind::Json {
        return;
    }
    let Ok(Value::Object(mut body)) = serde_json::from_slice(&reply.body) else {
        return;
    };
    match body.get_mut("data") {
        Some(Value::Array(items)) if lists => {
            items
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(change);
        }
        _ => change(&mut body),
    }
    reply.body = Value::Object(body).to_string().into();
}
