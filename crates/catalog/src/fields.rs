//! The fields of the site's objects that are read, and how far each may change.
//!
//! Not here: counting them (`shape`), judging a change (`drift`), reading their values (`listing`,
//! `detail`).

/// A field, or one within an object.
#[derive(Debug)]
pub(crate) struct Field {
    /// Such as `brand.name`.
    pub(crate) path: &'static str,
    /// The path of the object that it is in; empty at the top.
    pub(crate) within: &'static str,
    /// Its name there.
    pub(crate) key: &'static str,
    /// A record suffers where it is missing.
    pub(crate) needed: bool,
    /// How often it comes differs between leaf categories and between ages of products.
    pub(crate) varies: bool,
    pub(crate) numbers: Numbers,
}

/// What the numbers of a field are good for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Numbers {
    /// Ids and percents: their size says nothing.
    Plain,
    /// Their size is a fact about the site, such as the unit of a price.
    Sized,
    /// As `Sized`, but it goes by which products were seen: best sellers first, so the fewer the
    /// larger. A change is told, and stops nothing.
    Popular,
    /// As `Sized`, and written with and without a fraction: `5` and `4.8`.
    Mixed,
}

/// An item of a listing, in both schemas. What is within an object follows it. The tracking data are
/// left out: what is read of them stands three levels down.
pub(crate) const LISTING: &[Field] = &[
    needed("id"),
    needed("seller_product_id"),
    needed("seller_id"),
    needed("sku"),
    needed("name"),
    needed("url_key"),
    needed("url_path"),
    needed("thumbnail_url"),
    needed("brand_name").varying(),
    needed("primary_category_path"),
    needed("price").with(Numbers::Sized),
    needed("original_price").varying().with(Numbers::Sized),
    optional("discount_rate"),
    needed("rating_average").with(Numbers::Mixed),
    needed("review_count").with(Numbers::Popular),
    needed("quantity_sold").varying(),
    optional("quantity_sold.text"),
    needed("quantity_sold.value").with(Numbers::Popular),
    optional("is_from_official_store"),
    optional("advertisement"),
];

/// A product's own object. What is within an object follows it.
pub(crate) const DETAIL: &[Field] = &[
    needed("id"),
    needed("sku"),
    needed("name"),
    needed("url_key"),
    needed("url_path"),
    needed("thumbnail_url"),
    needed("price").with(Numbers::Sized),
    optional("list_price").with(Numbers::Sized),
    needed("original_price").varying().with(Numbers::Sized),
    optional("discount_rate"),
    needed("rating_average").with(Numbers::Mixed),
    needed("review_count").with(Numbers::Popular),
    optional("all_time_quantity_sold").with(Numbers::Popular),
    needed("quantity_sold").varying(),
    optional("quantity_sold.text"),
    needed("quantity_sold.value").with(Numbers::Popular),
    needed("inventory_status"),
    optional("stock_item"),
    optional("stock_item.qty"),
    needed("brand").varying(),
    needed("brand.id"),
    needed("brand.name"),
    needed("categories"),
    needed("categories.id"),
    needed("categories.name"),
    optional("categories.is_leaf"),
    needed("breadcrumbs"),
    // `null` where a product cannot be bought any more.
    needed("current_seller").varying(),
    needed("current_seller.id"),
    optional("current_seller.sku"),
    needed("current_seller.name"),
    needed("current_seller.product_id"),
    needed("specifications").varying(),
    needed("images"),
    needed("description"),
    optional("day_ago_created"),
];

/// The fields of an endpoint, `listing` or `detail`.
pub(crate) fn of(endpoint: &str) -> &'static [Field] {
    match endpoint {
        "listing" => LISTING,
        _ => DETAIL,
    }
}

/// The field of a path. Where both endpoints have it, it may change as far in both.
pub(crate) fn find(path: &str) -> Option<&'static Field> {
    LISTING
        .iter()
        .chain(DETAIL)
        .find(|field| field.path == path)
}

const fn needed(path: &'static str) -> Field {
    Field {
        needed: true,
        ..optional(path)
    }
}

const fn optional(path: &'static str) -> Field {
    let (within, key) = parted(path);
    Field {
        path,
        within,
        key,
        needed: false,
        varies: false,
        numbers: Numbers::Plain,
    }
}

impl Field {
    const fn varying(self) -> Self {
        Self {
            varies: true,
            ..self
        }
    }

    const fn with(self, numbers: Numbers) -> Self {
        Self { numbers, ..self }
    }
}

/// A path before and after its point.
const fn parted(path: &'static str) -> (&'static str, &'static str) {
    let mut at = 0;
    while at < path.len() {
        if path.as_bytes()[at] == b'.' {
            return (path.split_at(at).0, path.split_at(at + 1).1);
        }
        at += 1;
    }
    ("", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_within_an_object_follows_it() {
        for fields in [LISTING, DETAIL] {
            let mut object = "";
            for field in fields {
                if field.within.is_empty() {
                    object = field.path;
                    assert_eq!(field.key, field.path);
                } else {
                    assert_eq!(field.within, object);
                    assert_eq!(format!("{object}.{}", field.key), field.path);
                }
            }
        }
    }

    #[test]
    fn a_field_of_both_endpoints_may_change_as_far_in_both() {
        for of_listing in LISTING {
            for of_detail in DETAIL.iter().filter(|field| field.path == of_listing.path) {
                assert_eq!(format!("{of_listing:?}"), format!("{of_detail:?}"));
            }
        }
        assert_eq!(find("brand.name").map(|field| field.key), Some("name"));
        assert!(find("brand.slug").is_none());
    }
}
