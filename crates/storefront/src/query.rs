//! What a listing request asks for. Nothing here refuses: what cannot be read falls back to the
//! site's default, because how the real site refuses is not recorded.

use std::collections::BTreeMap;

/// The window: no listing shows more than this, whatever the category holds.
pub(crate) const WINDOW: usize = 2_000;
const DEFAULT_LIMIT: u64 = 40;
/// Largest `limit` that public crawlers were seen to use with success.
const MAX_LIMIT: u64 = 100;
/// Ids of brands or sellers in one filter.
const MAX_FILTER_IDS: usize = 50;
/// Parameters of one request that are kept.
const MAX_PARAMETERS: usize = 40;

/// The parameters of a request, decoded; the last of equal names wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(crate) fn of(query: Option<&str>) -> Self {
        let pairs = url::form_urlencoded::parse(query.unwrap_or("").as_bytes());
        Self(pairs.into_owned().take(MAX_PARAMETERS).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.trim().parse().ok()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }
}

/// The order of a listing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Sort {
    /// Best sellers of all time first; the site's own order ("popular") is not known.
    #[default]
    Default,
    /// Best sellers by pace of sale.
    TopSeller,
    Newest,
    PriceUp,
    PriceDown,
}

impl Sort {
    /// `(query_value, display_value)` in the site's order.
    pub(crate) const ALL: [(Sort, &'static str, &'static str); 5] = [
        (Sort::Default, "default", "Phổ biến"),
        (Sort::TopSeller, "top_seller", "Bán chạy"),
        (Sort::Newest, "newest", "Hàng mới"),
        (Sort::PriceUp, "price,asc", "Giá thấp đến cao"),
        (Sort::PriceDown, "price,desc", "Giá cao đến thấp"),
    ];

    fn of(value: Option<&str>) -> Self {
        let known = |(_, name, _): &&(Sort, &str, &str)| Some(*name) == value;
        Self::ALL
            .iter()
            .find(known)
            .map_or(Self::Default, |(sort, ..)| *sort)
    }
}

/// What a listing is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Filter {
    /// Lowest and highest price in VND, both included.
    pub(crate) price: Option<(i64, i64)>,
    pub(crate) brands: Vec<u64>,
    pub(crate) sellers: Vec<u64>,
    /// At least so many stars.
    pub(crate) stars: Option<u8>,
}

impl Filter {
    /// Whether a product with these values stays.
    pub(crate) fn keeps(&self, price: i64, brand: u64, seller: u64, rating_tenths: i64) -> bool {
        self.price
            .is_none_or(|(low, high)| (low..=high).contains(&price))
            && (self.brands.is_empty() || self.brands.contains(&brand))
            && (self.sellers.is_empty() || self.sellers.contains(&seller))
            && self
                .stars
                .is_none_or(|stars| rating_tenths >= i64::from(stars) * 10)
    }

    fn of(parameters: &Parameters) -> Self {
        let ids = |name: &str| {
            let list = parameters.get(name).unwrap_or("").split(',');
            list.filter_map(|id| id.trim().parse().ok())
                .take(MAX_FILTER_IDS)
                .collect()
        };
        let price = parameters.get("price").and_then(|range| {
            let (low, high) = range.split_once(',')?;
            Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
        });
        Self {
            price,
            brands: ids("brand"),
            sellers: ids("seller"),
            stars: parameters.number("rating"),
        }
    }
}

/// A listing request.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// From 1.
    pub(crate) page: u64,
    /// Items a page, 1 to 100.
    pub(crate) limit: u64,
    pub(crate) sort: Sort,
    pub(crate) filter: Filter,
    /// Whether advertised items are mixed in.
    pub(crate) ads: bool,
    /// How many items have gone from the front to the end; not for the client to say.
    pub(crate) moved: i64,
}

impl Listing {
    pub(crate) fn of(parameters: &Parameters) -> Self {
        let limit = parameters.number("limit").filter(|limit| *limit > 0);
        let mut include = parameters.get("include").unwrap_or("").split(',');
        Self {
            page: parameters
                .number("page")
                .filter(|page| *page > 0)
                .unwrap_or(1),
            limit: limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT),
            sort: Sort::of(parameters.get("sort")),
            filter: Filter::of(parameters),
            ads: include.any(|part| part.trim() == "advertisement"),
            moved: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_falls_back_to_the_default() {
        for (query, page, limit, sort) in [
            ("", 1, 40, Sort::Default),
            ("page=0&limit=0&sort=x", 1, 40, Sort::Default),
            ("page=7&limit=1000&sort=price%2Casc", 7, 100, Sort::PriceUp),
            ("page=-1&limit=abc&sort=newest", 1, 40, Sort::Newest),
        ] {
            let listing = Listing::of(&Parameters::of(Some(query)));
            assert_eq!(
                (listing.page, listing.limit, listing.sort),
                (page, limit, sort),
                "{query}"
            );
        }
    }

    #[test]
    fn a_filter_keeps_what_is_inside_it() {
        let filter = Filter::of(&Parameters::of(Some("price=10,20&seller=1,2&rating=4")));
        assert!(filter.keeps(10, 9, 2, 40));
        assert!(!filter.keeps(21, 9, 2, 40));
        assert!(!filter.keeps(20, 9, 3, 40));
        assert!(!filter.keeps(20, 9, 1, 39));
    }
}
