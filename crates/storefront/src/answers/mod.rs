//! What each route answers when nothing is made to go wrong.

pub(crate) mod categories;
pub(crate) mod control;
pub(crate) mod listing;
pub(crate) mod page;
pub(crate) mod sitemap;

use axum::http::StatusCode;

use crate::query::Parameters;
use crate::reply::{Kind, Reply};
use crate::route::{DISALLOWED, DISALLOWED_REVIEWS, DISALLOWED_SEARCH, Route};
use crate::site::Site;

/// The host that the site's own links name, whatever port the storefront listens on.
pub(crate) const HOME: &str = "https://tiki.vn";

/// The good answer to `route` on `day`; of a listing, after `moved` items have gone from its
/// front to its end.
pub(crate) fn answer(
    site: &Site,
    route: &Route,
    parameters: &Parameters,
    moved: i64,
    day: i64,
) -> Reply {
    match route {
        Route::Robots => robots(),
        Route::Categories => categories::categories(site, parameters, day),
        Route::Menu => categories::menu(site),
        Route::Listing => listing::listing(site, parameters, moved, day),
        Route::Detail(id) => detail(site, *id, parameters, day),
        Route::CategoryPage(id) => page::category(site, *id, parameters, moved, day),
        Route::ProductPage(id) => page::product(site, *id, parameters, day),
        Route::Sitemap(part) => sitemap::sitemap(site, *part, day),
        Route::Reviews => Reply::error(StatusCode::FORBIDDEN, "reviews are personal data"),
        Route::Disallowed => Reply::error(StatusCode::FORBIDDEN, "disallowed by robots.txt"),
        Route::Unknown => Reply::error(StatusCode::NOT_FOUND, "no such path"),
        Route::WrongMethod => Reply::error(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD"),
    }
}

/// D1 and D2. The 404 body is invented: 4,915 of them were counted and none was kept.
fn detail(site: &Site, id: u64, parameters: &Parameters, day: i64) -> Reply {
    let spid = match parameters.get("spid") {
        None | Some("") => None,
        Some(text) => match text.parse() {
            Ok(spid) => Some(spid),
            Err(_) => return Reply::error(StatusCode::NOT_FOUND, "no such offer"),
        },
    };
    match site.detail(id, spid, day) {
        Some(body) => Reply::new(StatusCode::OK, Kind::Json, body.into_bytes()),
        None => Reply::error(StatusCode::NOT_FOUND, "no such product"),
    }
}

/// Which areas are disallowed was read by others in 2026; the wording is invented.
fn robots() -> Reply {
    let mut text = String::from("User-agent: *\n");
    for path in DISALLOWED
        .iter()
        .chain([&DISALLOWED_REVIEWS, &DISALLOWED_SEARCH])
    {
        text.push_str("Disallow: ");
        text.push_str(path);
        text.push('\n');
    }
    text.push_str("Sitemap: ");
    text.push_str(HOME);
    text.push_str("/clover/sitemap_categories_index.xml\n");
    Reply::new(StatusCode::OK, Kind::Text, text)
}
