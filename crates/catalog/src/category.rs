//! The site's tree of categories, as two of its answers show it.
//!
//! Not here: the order in which the tree is walked and where a walk ends (`pipeline`).

use serde::Deserialize;

use crate::Rejection;
use crate::address::{canonical_url, category_id_from_url, category_url};
use crate::json::{self, List, Object, Present, Scalar};
use crate::text::clean_some;

/// A node of the site's tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Category {
    /// The site's id, positive.
    pub id: i64,
    /// The category above; roots name one of their own that no answer contains.
    pub parent_id: Option<i64>,
    /// Clean, never empty.
    pub name: String,
    /// `https://tiki.vn/<url_path>`.
    pub url: String,
    /// The slug in `url`; may be empty.
    pub url_key: String,
    /// The site's level, roots 2; 0 where it did not say.
    pub level: i64,
    /// No categories below it; `false` where the site did not say.
    pub is_leaf: bool,
    /// Products in it, as the site counts (it stops at 10,000); [`UNKNOWN_COUNT`] where it did not say.
    pub product_count: i64,
}

/// The `product_count` of a category of which the tree does not say how many products it has.
pub const UNKNOWN_COUNT: i64 = -1;

/// One answer of `GET /api/v2/categories?parent_id=`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CategoryAnswer {
    /// In the site's order; empty below a leaf.
    pub categories: Vec<Category>,
    /// Elements without a positive id or a name.
    pub malformed: u32,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawAnswer<'a> {
    #[serde(borrow)]
    data: List<Object<RawCategory<'a>>>,
    error: Present,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawCategory<'a> {
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    parent_id: Scalar<'a>,
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    url_key: Scalar<'a>,
    #[serde(borrow)]
    url_path: Scalar<'a>,
    #[serde(borrow)]
    level: Scalar<'a>,
    #[serde(borrow)]
    is_leaf: Scalar<'a>,
    #[serde(borrow)]
    product_count: Scalar<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawMenu<'a> {
    #[serde(borrow)]
    menu_block: Object<RawMenuBlock<'a>>,
    error: Present,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawMenuBlock<'a> {
    #[serde(borrow)]
    items: List<Object<RawMenuItem<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawMenuItem<'a> {
    #[serde(borrow)]
    text: Scalar<'a>,
    #[serde(borrow)]
    link: Scalar<'a>,
}

/// The categories of `{"data": […]}`. An element that is no category is counted, not an error.
pub fn parse_categories(body: &[u8]) -> Result<CategoryAnswer, Rejection> {
    json::read(body, |body| {
        let raw: RawAnswer<'_> = json::object(body)?;
        let Some(data) = raw.data.0 else {
            return Err(json::unexpected(raw.error, "data", body));
        };
        let mut answer = CategoryAnswer::default();
        for element in data {
            match element.0.as_ref().and_then(category) {
                Some(category) => answer.categories.push(category),
                None => answer.malformed = answer.malformed.saturating_add(1),
            }
        }
        Ok(answer)
    })
}

/// The roots of `{"menu_block": {"items": […]}}` as id, name and address. The id stands only in the
/// link; an item that links to no category is skipped.
pub fn parse_menu(body: &[u8]) -> Result<Vec<(i64, String, String)>, Rejection> {
    json::read(body, |body| {
        let raw: RawMenu<'_> = json::object(body)?;
        let Some(items) = raw.menu_block.0.and_then(|block| block.items.0) else {
            return Err(json::unexpected(raw.error, "menu_block.items", body));
        };
        Ok(items
            .iter()
            .filter_map(|item| menu_item(item.0.as_ref()?))
            .collect())
    })
}

fn category(raw: &RawCategory<'_>) -> Option<Category> {
    let id = raw.id.id()?;
    let url_key = clean_some(raw.url_key.text()).unwrap_or_default();
    Some(Category {
        id,
        parent_id: raw.parent_id.id(),
        name: clean_some(raw.name.text())?,
        url: category_url(raw.url_path.text(), Some(&url_key), id),
        url_key,
        level: raw.level.count().unwrap_or(0),
        is_leaf: raw.is_leaf.flag().unwrap_or(false),
        product_count: raw.product_count.count().unwrap_or(UNKNOWN_COUNT),
    })
}

fn menu_item(raw: &RawMenuItem<'_>) -> Option<(i64, String, String)> {
    let link = raw.link.text()?;
    Some((
        category_id_from_url(link)?,
        clean_some(raw.text.text())?,
        canonical_url(link)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RejectionReason;

    #[test]
    fn categories_keep_the_sites_order_and_malformed_ones_are_counted() {
        let body = br#"{"data":[
            {"id":20,"parent_id":2,"name":"\u0110\u1ed3 &amp; ch\u01a1i","type":null,"url_key":"do-choi","url_path":"do-choi/c20",
             "level":2,"status":"active","product_count":1234,"is_leaf":false,"meta_title":null,
             "children":[{"id":21,"name":"x","children":[]}]},
            {"id":10,"name":"B","level":"3","is_leaf":1,"product_count":null},
            {"id":0,"name":"zero"},{"name":"no id"},{"id":11,"name":" "},null,5]}"#;
        let answer = parse_categories(body).unwrap();
        assert_eq!(answer.malformed, 5);
        assert_eq!(
            answer.categories,
            [
                Category {
                    id: 20,
                    parent_id: Some(2),
                    name: "Đồ & chơi".into(),
                    url: "https://tiki.vn/do-choi/c20".into(),
                    url_key: "do-choi".into(),
                    level: 2,
                    is_leaf: false,
                    product_count: 1234,
                },
                Category {
                    id: 10,
                    parent_id: None,
                    name: "B".into(),
                    url: "https://tiki.vn/c10".into(),
                    url_key: String::new(),
                    level: 0,
                    is_leaf: true,
                    product_count: UNKNOWN_COUNT,
                },
            ]
        );
    }

    #[test]
    fn a_leaf_has_no_categories_and_another_shape_is_rejected() {
        assert_eq!(
            parse_categories(br#"{"data":[]}"#).unwrap(),
            CategoryAnswer::default()
        );
        for (body, reason) in [
            (
                &br#"{"error":{"code":404}}"#[..],
                RejectionReason::ErrorObject,
            ),
            (br#"{"data":null}"#, RejectionReason::WrongShape),
            (br"[]", RejectionReason::WrongShape),
            (b"<html>", RejectionReason::NotJson),
            (b"", RejectionReason::NotJson),
            (br#"{"data":["#, RejectionReason::NotJson),
        ] {
            assert_eq!(parse_categories(body).unwrap_err().reason, reason);
            assert!(parse_menu(body).is_err());
        }
    }

    #[test]
    fn the_ids_of_the_menu_stand_in_its_links() {
        let body = br#"{"menu_block":{"title":"x","items":[
            {"text":"A","icon_url":"i","link":"https://tiki.vn/a/c5"},
            {"text":"Sale","link":"https://tiki.vn/khuyen-mai/x"},
            {"text":"E","link":"https://example.com/a/c6"},{}]}}"#;
        assert_eq!(
            parse_menu(body).unwrap(),
            [(5, "A".to_owned(), "https://tiki.vn/a/c5".to_owned())]
        );
    }
}
