//! From an HTML page of the site to the one piece of JSON in it that is a product or a listing.
//!
//! Not here: reading that JSON (`detail`, `listing`). Everything else of the page, reviews and
//! customers included, ends here.

use std::cell::RefCell;
use std::rc::Rc;

use lol_html::{HtmlRewriter, MemorySettings, Settings, text};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::body::{BodyLimits, is_deeper_than};
use crate::json::{self, Object, Scalar};
use crate::{Rejection, RejectionReason};

/// What is left of a page: JSON that [`parse_detail`](crate::parse_detail) or
/// [`parse_listing`](crate::parse_listing) reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reduced {
    /// The product object, as the JSON API sends it.
    Product(Vec<u8>),
    /// `{"data": […], "paging": {…}, "categoryData": {…}}`.
    Listing(Vec<u8>),
}

/// The memory that reading a page may take, in bytes.
const READER_MAX_BYTES: usize = 16 << 20;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Page<'a> {
    #[serde(borrow)]
    page: Scalar<'a>,
    #[serde(borrow)]
    props: Object<Props<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Props<'a> {
    #[serde(borrow)]
    initial_state: Object<State<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct State<'a> {
    #[serde(borrow)]
    catalog: Object<Catalog<'a>>,
    #[serde(borrow)]
    productv2: Object<ProductState<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Catalog<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    paging: Option<&'a RawValue>,
    #[serde(borrow)]
    category_data: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ProductState<'a> {
    #[serde(borrow)]
    product_data: Object<ProductData<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ProductData<'a> {
    #[serde(borrow)]
    response: Object<ProductResponse<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ProductResponse<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The product or listing of a page's `<script id="__NEXT_DATA__">`. A page without one is
/// [`NotJson`](RejectionReason::NotJson), one that holds neither is
/// [`WrongShape`](RejectionReason::WrongShape).
pub fn reduce_html(html: &[u8]) -> Result<Reduced, Rejection> {
    let state = next_data(html);
    if state.trim().is_empty() {
        return Err(Rejection::of_body(
            RejectionReason::NotJson,
            Some("__NEXT_DATA__"),
            html,
        ));
    }
    json::read(state.as_bytes(), |state| {
        let page: Page<'_> = json::object(state)?;
        let reduced = reduce(&page).ok_or_else(|| {
            Rejection::new(
                RejectionReason::WrongShape,
                Some("props.initialState"),
                &page.page,
            )
        })?;
        let (Reduced::Product(json) | Reduced::Listing(json)) = &reduced;
        if is_deeper_than(json, BodyLimits::default().max_depth) {
            return Err(Rejection::of_body(RejectionReason::TooDeep, None, json));
        }
        Ok(reduced)
    })
}

fn reduce(page: &Page<'_>) -> Option<Reduced> {
    let state = page.props.0.as_ref()?.initial_state.0.as_ref()?;
    product(state)
        .map(Reduced::Product)
        .or_else(|| listing(state).map(Reduced::Listing))
}

/// `props.initialState.productv2.productData.response.data`.
fn product(state: &State<'_>) -> Option<Vec<u8>> {
    let data = state
        .productv2
        .0
        .as_ref()?
        .product_data
        .0
        .as_ref()?
        .response
        .0
        .as_ref()?
        .data?;
    // Where the page is none of a product, this is null or empty.
    let data = data.get();
    let filled = data.starts_with('{') && data.contains(':');
    filled.then(|| data.as_bytes().to_vec())
}

/// `props.initialState.catalog`, without all that is not the listing.
fn listing(state: &State<'_>) -> Option<Vec<u8>> {
    let catalog = state.catalog.0.as_ref()?;
    let data = catalog
        .data
        .map(RawValue::get)
        .filter(|data| data.starts_with('['))?;
    let mut out = format!("{{\"data\":{data}");
    let rest = [
        ("paging", catalog.paging),
        ("categoryData", catalog.category_data),
    ];
    for (name, value) in rest {
        if let Some(value) = value {
            out.extend([",\"", name, "\":", value.get()]);
        }
    }
    out.push('}');
    Some(out.into_bytes())
}

/// The text of the page's `<script id="__NEXT_DATA__">`; empty where there is none.
fn next_data(html: &[u8]) -> String {
    let out = Rc::new(RefCell::new(String::new()));
    let of_script = Rc::clone(&out);
    let settings = Settings::new()
        .append_element_content_handler(text!("script#__NEXT_DATA__", |chunk| {
            of_script.borrow_mut().push_str(chunk.as_str());
            Ok(())
        }))
        .with_strict(false)
        .with_memory_settings(
            MemorySettings::new().with_max_allowed_memory_usage(READER_MAX_BYTES),
        );
    let mut reader = HtmlRewriter::new(settings, |_: &[u8]| {});
    // A page that takes too much memory is read as far as it goes.
    if reader.write(html).is_ok() {
        reader.end().ok();
    }
    out.take()
}
