//! Answers that went wrong on request.
//!
//! Not in here: bodies that are sent piece by piece (`stream.rs`) and how a connection ends
//! (`listener.rs`).

use axum::http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use crate::answers::page;
use crate::draw::Draw;
use crate::faults::Misbehaviour;
use crate::reply::{Kind, Reply};

const OLD_DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
/// Only the markers are the site's.
const CHALLENGE: &str = "<!DOCTYPE html><html><head><title>Please wait...</title>\
    <meta name=\"waf-jschallenge\" content=\"storefront\"></head><body>Please wait...\
    <script>document.cookie=\"_wafchallengeid=storefront\";location.reload()</script>\
    </body></html>";
const CAPTCHA: &str = "<!DOCTYPE html><html><head><title>Verify</title></head>\
    <body><div id=\"captcha\"></div><script>window.TTGCaptcha={};</script></body></html>";

/// The answer of a fault that does not need the good one, to a request for `target` (path and
/// query).
pub(crate) fn instead(fault: &Misbehaviour, target: &str) -> Option<Reply> {
    Some(match fault {
        Misbehaviour::Status {
            code,
            retry_after_s,
        } => status(*code, *retry_after_s),
        Misbehaviour::Challenge => Reply::html(CHALLENGE.to_owned()),
        Misbehaviour::Captcha => Reply::html(CAPTCHA.to_owned()),
        Misbehaviour::ErrorPage => Reply::error_page(StatusCode::OK, "Internal error"),
        Misbehaviour::ErrorObject { code } => {
            Reply::json(&serde_json::json!({ "error": { "code": code, "message": "" } }))
        }
        Misbehaviour::EndlessTree => child(target),
        Misbehaviour::EmptyBody => Reply::new(StatusCode::OK, Kind::Json, ""),
        // Relative: a crawler that follows it must not leave this machine.
        Misbehaviour::RedirectHome => redirect("/"),
        Misbehaviour::RedirectLoop => redirect(target),
        Misbehaviour::RedirectTo { to } => redirect(to),
        Misbehaviour::DeepJson { depth } => Reply::new(StatusCode::OK, Kind::Json, deep(*depth)),
        _ => return None,
    })
}

/// The one child of the category that `target` asks for.
fn child(target: &str) -> Reply {
    let parent = target
        .split(['?', '&'])
        .find_map(|part| part.strip_prefix("parent_id="));
    let parent: u64 = parent.and_then(|id| id.parse().ok()).unwrap_or(2);
    let id = parent.saturating_add(1_000);
    Reply::json(&serde_json::json!({ "data": [{
        "id": id, "parent_id": parent, "name": "one more", "url_key": "one-more",
        "url_path": format!("one-more/c{id}"), "level": 2, "status": "active",
        "include_in_menu": true, "product_count": 10, "is_leaf": false,
    }] }))
}

fn redirect(to: &str) -> Reply {
    let mut reply = Reply::new(StatusCode::FOUND, Kind::Html, "");
    if let Ok(to) = HeaderValue::from_str(to) {
        reply.more.push((header::LOCATION, to));
    }
    reply
}

/// An object, then lists in lists.
fn deep(depth: u32) -> String {
    let lists = depth.saturating_sub(1) as usize;
    match lists {
        0 => "{}".to_owned(),
        _ => format!("{{\"data\":{}{}}}", "[".repeat(lists), "]".repeat(lists)),
    }
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
        Misbehaviour::OldDate => reply
            .more
            .push((header::DATE, HeaderValue::from_static(OLD_DATE))),
        Misbehaviour::WrongId => product(&mut reply, |product| {
            let id = product.get("id").and_then(Value::as_u64);
            if let Some(id) = id {
                product.insert("id".to_owned(), Value::from(id.wrapping_add(1)));
            }
        }),
        Misbehaviour::ChangePrice { percent } => product(&mut reply, |product| {
            change_price(product, *percent);
        }),
        Misbehaviour::DropField { field } => each(&mut reply, |product| {
            product.remove(field);
        }),
        Misbehaviour::DropShare { field, percent } => each(&mut reply, |product| {
            let id = product.get("id").and_then(Value::as_u64);
            if id.is_some_and(|id| Draw::new(id).chance(u64::from(*percent))) {
                product.remove(field);
            }
        }),
        Misbehaviour::RenameField { field, to } => each(&mut reply, |product| {
            if let Some(value) = product.remove(field) {
                product.insert(to.clone(), value);
            }
        }),
        Misbehaviour::RetypeField { field } => each(&mut reply, |product| {
            if let Some(value) = product.get_mut(field) {
                *value = match value.take() {
                    Value::String(text) => Value::from(vec![text]),
                    other => Value::from(other.to_string()),
                };
            }
        }),
        Misbehaviour::DropTop { field } => edit(&mut reply, |body| {
            body.remove(field);
        }),
        Misbehaviour::EmptyListing => edit(&mut reply, |body| {
            body.insert("data".to_owned(), Value::Array(Vec::new()));
            if let Some(Value::Object(paging)) = body.get_mut("paging") {
                paging.insert("total".to_owned(), Value::from(0));
                paging.insert("last_page".to_owned(), Value::from(0));
            }
        }),
        Misbehaviour::EmptyData => edit(&mut reply, |body| {
            if let Some(Value::Array(items)) = body.get_mut("data") {
                items.clear();
            }
        }),
        _ => {}
    }
    reply
}

/// A product says another price, and what follows from it.
fn change_price(product: &mut Map<String, Value>, percent: i32) {
    let number = |product: &Map<String, Value>, key: &str| product.get(key).and_then(Value::as_i64);
    let Some(before) = number(product, "price") else {
        return;
    };
    let mut price = before.saturating_mul(100 + i64::from(percent)) / 100;
    if price == before {
        price += 1;
    }
    let original = number(product, "original_price").unwrap_or(0).max(price);
    let discount = original - price;
    let mut set = |key: &str, value: i64| {
        if let Some(field) = product.get_mut(key) {
            *field = Value::from(value);
        }
    };
    set("price", price);
    set("original_price", original);
    set("list_price", original);
    set("discount", discount);
    let rate = (discount.saturating_mul(200) + original) / original.saturating_mul(2).max(1);
    set("discount_rate", rate);
    if let Some(seller) = product
        .get_mut("current_seller")
        .and_then(Value::as_object_mut)
    {
        seller.insert("price".to_owned(), Value::from(price));
    }
    let variants = product.get_mut("configurable_products");
    let variants = variants.and_then(Value::as_array_mut).into_iter().flatten();
    for variant in variants.filter(|variant| variant["selected"] == true) {
        variant["price"] = Value::from(price);
        variant["original_price"] = Value::from(original);
    }
}

/// Changes each item of a list, or the product where there is no list.
fn each(reply: &mut Reply, change: impl Fn(&mut Map<String, Value>)) {
    edit(reply, |body| match body.get_mut("data") {
        Some(Value::Array(items)) => {
            items
                .iter_mut()
                .filter_map(Value::as_object_mut)
                .for_each(change);
        }
        _ => change(body),
    });
}

/// Changes a product and no list.
fn product(reply: &mut Reply, change: impl FnOnce(&mut Map<String, Value>)) {
    edit(reply, |body| {
        if !body.contains_key("data") {
            change(body);
        }
    });
}

/// Changes a JSON answer, or what an HTML page holds instead of it.
fn edit(reply: &mut Reply, change: impl FnOnce(&mut Map<String, Value>)) {
    let changed = match reply.kind {
        Kind::Json => json_with(&reply.body, change),
        Kind::Html => page::with_state(&reply.body, change),
        Kind::Text | Kind::Xml => None,
    };
    if let Some(body) = changed {
        reply.body = body.into();
    }
}

fn json_with(body: &[u8], change: impl FnOnce(&mut Map<String, Value>)) -> Option<String> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    change(body.as_object_mut()?);
    Some(body.to_string())
}
