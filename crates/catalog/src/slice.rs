//! Parts of a category's listing. The site shows 2,000 products of a listing at most, so a larger
//! category is listed in slices: windows of its prices, and a crowded price by brand, by seller and
//! from other ends of the order.
//!
//! Not here: which slices a category needs (`split`), asking for one (`crawl`).

use std::fmt;
use std::str::FromStr;

/// The order of a listing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Order {
    /// Best sellers first; the order of everything that is not crowded.
    #[default]
    TopSeller,
    /// The youngest first.
    Newest,
    /// The site's own order.
    Popular,
    /// The cheapest first.
    Cheapest,
    /// The dearest first.
    Dearest,
}

impl Order {
    const ALL: [Self; 5] = [
        Self::TopSeller,
        Self::Newest,
        Self::Popular,
        Self::Cheapest,
        Self::Dearest,
    ];

    /// The site's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TopSeller => "top_seller",
            Self::Newest => "newest",
            Self::Popular => "default",
            Self::Cheapest => "price,asc",
            Self::Dearest => "price,desc",
        }
    }
}

/// A part of a category's listing; the default is the whole of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Slice {
    /// Lowest and highest price, both included, đồng.
    pub price: Option<(i64, i64)>,
    /// Only of this brand.
    pub brand: Option<i64>,
    /// Only of this seller.
    pub seller: Option<i64>,
    /// In this order.
    pub order: Order,
    /// A second look at what moved while it was listed.
    pub again: bool,
}

/// A text that names no slice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no slice of a listing")]
pub struct SliceError(String);

/// As it is stored: `price=0,99000;brand=5;seller=7;order=newest;again`, empty for the whole.
impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some((low, high)) = self.price {
            parts.push(format!("price={low},{high}"));
        }
        if let Some(brand) = self.brand {
            parts.push(format!("brand={brand}"));
        }
        if let Some(seller) = self.seller {
            parts.push(format!("seller={seller}"));
        }
        if self.order != Order::TopSeller {
            parts.push(format!("order={}", self.order.as_str()));
        }
        if self.again {
            parts.push("again".to_owned());
        }
        f.write_str(&parts.join(";"))
    }
}

impl FromStr for Slice {
    type Err = SliceError;

    fn from_str(text: &str) -> Result<Self, SliceError> {
        let mut slice = Self::default();
        for part in text.split(';').filter(|part| !part.is_empty()) {
            read_part(&mut slice, part).ok_or_else(|| SliceError(text.to_owned()))?;
        }
        Ok(slice)
    }
}

fn read_part(slice: &mut Slice, part: &str) -> Option<()> {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    match name {
        "price" => {
            let (low, high) = value.split_once(',')?;
            slice.price = Some((low.parse().ok()?, high.parse().ok()?));
        }
        "brand" => slice.brand = Some(value.parse().ok()?),
        "seller" => slice.seller = Some(value.parse().ok()?),
        "order" => {
            let mut known = Order::ALL.into_iter();
            slice.order = known.find(|order| order.as_str() == value)?;
        }
        "again" => slice.again = true,
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_found_by_its_text() {
        for (text, slice) in [
            ("", Slice::default()),
            (
                "price=0,99000;brand=5;seller=7;order=price,asc;again",
                Slice {
                    price: Some((0, 99_000)),
                    brand: Some(5),
                    seller: Some(7),
                    order: Order::Cheapest,
                    again: true,
                },
            ),
        ] {
            assert_eq!(slice.to_string(), text);
            assert_eq!(text.parse(), Ok(slice));
        }
        for nonsense in ["price=1", "brand=x", "order=rating", "size=3"] {
            assert!(nonsense.parse::<Slice>().is_err(), "{nonsense}");
        }
    }
}
