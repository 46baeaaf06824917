//! From an HTML page of the site to the one piece of JSON in it that is a product, a listing or a
//! category's children.
//!
//! Not here: reading that JSON (`detail`, `listing`, `category`). Everything else of the page, reviews and
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
    /// `{"data": […], "paging": {…}, "filters": […], "categoryData": {…}}`.
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
    #[serde(borrow)]
    catalogv2: Object<TreeState<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Catalog<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    paging: Option<&'a RawValue>,
    #[serde(borrow)]
    filters: Option<&'a RawValue>,
    #[serde(borrow)]
    category_data: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ProductState<'a> {
    #[serde(borrow)]
    product_data: Object<Request<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TreeState<'a> {
    #[serde(borrow)]
    categories: Object<Request<'a>>,
}

/// A request of the site's own to its API, with the answer.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Request<'a> {
    #[serde(borrow)]
    response: Object<Response<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Response<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The product or listing of a page's `<script id="__NEXT_DATA__">`. A page without one is
/// [`NotJson`](RejectionReason::NotJson), one that holds neither is
/// [`WrongShape`](RejectionReason::WrongShape).
pub fn reduce_html(html: &[u8]) -> Result<Reduced, Rejection> {
    read_state(html, |state| {
        product(state)
            .map(Reduced::Product)
            .or_else(|| listing(state).map(Reduced::Listing))
    })
}

/// The categories below the one whose page this is, as `{"data": […]}` for
/// [`parse_categories`](crate::parse_categories). Refuses as [`reduce_html`] does.
pub fn reduce_categories(html: &[u8]) -> Result<Vec<u8>, Rejection> {
    read_state(html, categories)
}

impl AsRef<[u8]> for Reduced {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Product(json) | Self::Listing(json) => json,
        }
    }
}

/// What `take` finds in the state of a page, if it is not too deep.
fn read_state<R: AsRef<[u8]>>(
    html: &[u8],
    take: impl Fn(&State<'_>) -> Option<R>,
) -> Result<R, Rejection> {
    let script = next_data(html);
    if script.trim().is_empty() {
        return Err(Rejection::of_body(
            RejectionReason::NotJson,
            Some("__NEXT_DATA__"),
            html,
        ));
    }
    json::read(script.as_bytes(), |script| {
        let page: Page<'_> = json::object(script)?;
        let state = page.props.0.as_ref();
        let state = state.and_then(|props| props.initial_state.0.as_ref());
        let taken = state.and_then(&take).ok_or_else(|| {
            Rejection::new(
                RejectionReason::WrongShape,
                Some("props.initialState"),
                &page.page,
            )
        })?;
        let json = taken.as_ref();
        if is_deeper_than(json, BodyLimits::default().max_depth) {
            return Err(Rejection::of_body(RejectionReason::TooDeep, None, json));
        }
        Ok(taken)
    })
}

/// `props.initialState.productv2.productData.response.data`.
fn product(state: &State<'_>) -> Option<Vec<u8>> {
    let product = state.productv2.0.as_ref()?;
    let data = answer(&product.product_data)?;
    // Where the page is none of a product, this is null or empty.
    let filled = data.starts_with('{') && data.contains(':');
    filled.then(|| data.as_bytes().to_vec())
}

/// `props.initialState.catalogv2.categories.response.data`.
fn categories(state: &State<'_>) -> Option<Vec<u8>> {
    let tree = state.catalogv2.0.as_ref()?;
    let data = answer(&tree.categories)?;
    let list = data.starts_with('[');
    list.then(|| format!("{{\"data\":{data}}}").into_bytes())
}

/// `response.data`.
fn answer<'a>(request: &Object<Request<'a>>) -> Option<&'a str> {
    let response = request.0.as_ref()?.response.0.as_ref()?;
    response.data.map(RawValue::get)
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
        ("filters", catalog.filters),
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
