//! The style sheet, from the same place as the pages.

use axum::http::StatusCode;
use axum::response::Response;

use crate::routes::of_kind;

const SHEET: &str = include_str!("style.css");

/// `GET /style.css`.
pub(crate) async fn sheet() -> Response {
    of_kind(StatusCode::OK, "text/css; charset=utf-8", SHEET)
}
