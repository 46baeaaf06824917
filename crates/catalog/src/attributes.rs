//! A detail's lists that are stored as JSON text: specifications and images.
//!
//! Not here: the rest of a detail (`detail`).

use serde::{Deserialize, Serialize};

use crate::address::image_url;
use crate::description::inline_text;
use crate::json::{List, Object, Scalar};
use crate::text::{TEXT_MAX_CHARS, clean_some};

/// The most groups, attributes of a group, and images that are kept.
const ELEMENTS_MAX: usize = 200;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct RawGroup<'a> {
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    attributes: List<Object<RawAttribute<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAttribute<'a> {
    #[serde(borrow)]
    code: Scalar<'a>,
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    value: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct RawImage<'a> {
    #[serde(borrow)]
    base_url: Scalar<'a>,
    #[serde(borrow)]
    large_url: Scalar<'a>,
    #[serde(borrow)]
    medium_url: Scalar<'a>,
    #[serde(borrow)]
    small_url: Scalar<'a>,
    #[serde(borrow)]
    thumbnail_url: Scalar<'a>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    attributes: Vec<Attribute>,
}

#[derive(Serialize)]
struct Attribute {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    name: String,
    value: String,
}

/// `[{"name", "attributes": [{"code"?, "name", "value"}]}]`, clean, HTML made text; attributes
/// without a name or a value are left out, and groups that have no others. `None` where none is left.
pub(crate) fn specifications(raw: &List<Object<RawGroup<'_>>>) -> Option<String> {
    let groups: Vec<Group> = raw
        .iter()
        .take(ELEMENTS_MAX)
        .filter_map(|group| self::group(group.0.as_ref()?))
        .collect();
    if groups.is_empty() {
        None
    } else {
        serde_json::to_string(&groups).ok()
    }
}

fn group(raw: &RawGroup<'_>) -> Option<Group> {
    let attributes: Vec<Attribute> = raw
        .attributes
        .iter()
        .take(ELEMENTS_MAX)
        .filter_map(|attribute| self::attribute(attribute.0.as_ref()?))
        .collect();
    let name = clean_some(raw.name.text()).unwrap_or_default();
    (!attributes.is_empty()).then_some(Group { name, attributes })
}

fn attribute(raw: &RawAttribute<'_>) -> Option<Attribute> {
    let value = inline_text(&raw.value.printed()?, TEXT_MAX_CHARS);
    let name = clean_some(raw.name.text())?;
    (!value.is_empty()).then(|| Attribute {
        code: clean_some(raw.code.text()),
        name,
        value,
    })
}

/// The images' addresses: of each the largest one that the site names.
pub(crate) fn image_urls(raw: &List<Object<RawImage<'_>>>) -> Vec<String> {
    raw.iter()
        .take(ELEMENTS_MAX)
        .filter_map(|image| largest(image.0.as_ref()?))
        .collect()
}

fn largest(raw: &RawImage<'_>) -> Option<String> {
    [
        &raw.base_url,
        &raw.large_url,
        &raw.medium_url,
        &raw.small_url,
        &raw.thumbnail_url,
    ]
    .into_iter()
    .find_map(|url| image_url(url.text()?))
}
