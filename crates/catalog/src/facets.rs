//! What a listing says it could be narrowed to: its largest brands and sellers.
//!
//! Not here: which of them are listed on their own (`split`).

use serde::Deserialize;

use crate::json::{List, Object, Scalar};

/// A brand or a seller that a listing can be narrowed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facet {
    /// The site's id, positive.
    pub id: i64,
    /// Products of the listing that are of it, not negative; `None` where the site did not say.
    pub count: Option<i64>,
}

/// The brands and sellers of a listing, in the site's order: the largest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facets {
    /// At most [`FACETS_MAX`].
    pub brands: Vec<Facet>,
    /// At most [`FACETS_MAX`].
    pub sellers: Vec<Facet>,
}

/// Values of a filter that are read; the site sends 30.
pub const FACETS_MAX: usize = 200;

impl Facets {
    /// Adds what another slice showed and this does not have yet, up to [`FACETS_MAX`] each.
    pub fn merge(&mut self, other: &Self) {
        merge(&mut self.brands, &other.brands);
        merge(&mut self.sellers, &other.sellers);
    }
}

fn merge(into: &mut Vec<Facet>, from: &[Facet]) {
    for facet in from {
        if into.len() < FACETS_MAX && into.iter().all(|known| known.id != facet.id) {
            into.push(*facet);
        }
    }
}

/// `{"query_name": "brand", "values": [{"query_value": "165313", "count": 436}]}`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct RawFilter<'a> {
    #[serde(borrow)]
    code: Scalar<'a>,
    #[serde(borrow)]
    query_name: Scalar<'a>,
    #[serde(borrow)]
    values: List<Object<RawChoice<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawChoice<'a> {
    #[serde(borrow)]
    query_value: Scalar<'a>,
    #[serde(borrow)]
    count: Scalar<'a>,
}

/// The facets of an answer's `filters`; whatever is strange in them is left out.
pub(crate) fn facets(filters: &List<Object<RawFilter<'_>>>) -> Facets {
    let mut facets = Facets::default();
    for filter in filters.iter().filter_map(|filter| filter.0.as_ref()) {
        match filter.query_name.text().or_else(|| filter.code.text()) {
            Some("brand") => merge(&mut facets.brands, &choices(filter)),
            Some("seller") => merge(&mut facets.sellers, &choices(filter)),
            _ => {}
        }
    }
    facets
}

fn choices(filter: &RawFilter<'_>) -> Vec<Facet> {
    let choices = filter.values.iter().filter_map(|choice| choice.0.as_ref());
    choices
        .filter_map(|choice| {
            Some(Facet {
                id: choice.query_value.id()?,
                count: choice.count.count(),
            })
        })
        .take(FACETS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_listing;

    fn of(filters: &str) -> Facets {
        let body = format!(r#"{{"data":[],"filters":{filters}}}"#);
        parse_listing(body.as_bytes()).unwrap().facets
    }

    fn facet(id: i64, count: Option<i64>) -> Facet {
        Facet { id, count }
    }

    #[test]
    fn brands_and_sellers_are_read_whatever_their_types() {
        let facets = of(r#"[
            {"query_name":"category","code":"category","values":[{"query_value":6963,"count":26}]},
            {"query_name":"brand","values":[{"query_value":"165313","count":436},
                {"query_value":7,"count":"many"},{"query_value":"x","count":1},{"count":2},null,5,
                {"query_value":165313,"count":1}]},
            {"code":"seller","values":[{"query_value":159318,"count":1469},{"query_value":-1}]},
            {"code":"rating","values":[{"query_value":"5"}]},{"code":"seller"},null,"brand"]"#);
        assert_eq!(
            facets.brands,
            [facet(165_313, Some(436)), facet(7, None)],
            "in the site's order, once each"
        );
        assert_eq!(facets.sellers, [facet(159_318, Some(1469))]);
    }

    #[test]
    fn strange_filters_are_no_facets_and_no_rejection() {
        for filters in ["null", "{}", "5", "\"brand\"", "[]", "[[]]", "[{}]"] {
            assert_eq!(of(filters), Facets::default(), "{filters}");
        }
    }

    #[test]
    fn no_more_facets_are_kept_than_the_limit() {
        let choice = |id: usize| format!(r#"{{"query_value":{id}}}"#);
        let choices: Vec<String> = (1..=FACETS_MAX + 1).map(choice).collect();
        let filters = format!(r#"[{{"code":"brand","values":[{}]}}]"#, choices.join(","));
        let mut facets = of(&filters);
        assert_eq!(facets.brands.len(), FACETS_MAX);
        facets.merge(&Facets {
            brands: vec![facet(1_000, None)],
            sellers: vec![facet(3, None)],
        });
        assert_eq!(facets.brands.len(), FACETS_MAX);
        assert_eq!(facets.sellers, [facet(3, None)]);
    }
}
