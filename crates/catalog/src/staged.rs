//! The JSON form of a [`Product`] in which it waits to be loaded.
//!
//! Reading it applies every rule again, so that it is no second way to make a product. Not here:
//! where it waits (`warehouse`).

use serde::{Deserialize, Serialize};

use crate::product::{Parts, is_common_day};
use crate::text::is_tidy;
use crate::{
    Details, Identity, Instant, Look, Product, Rejection, RejectionReason, Source, Values, columns,
    listing,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Staged {
    id: i64,
    looks: Vec<StagedLook>,
    identity: Identity,
    details: Option<StagedDetails>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StagedLook {
    at: String,
    source: String,
    price: Option<i64>,
    original_price: Option<i64>,
    discount_percent: Option<i64>,
    sales_count: Option<i64>,
    rating_average: Option<f64>,
    review_count: Option<i64>,
    seller_id: Option<i64>,
    spid: Option<i64>,
    stock_status: Option<String>,
    stock_quantity: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StagedDetails {
    at: String,
    sku: Option<String>,
    brand_id: Option<i64>,
    seller_id: Option<i64>,
    seller_name: Option<String>,
    description: Option<String>,
    specifications: Option<String>,
    images: Option<String>,
    stock_status: Option<String>,
    stock_quantity: Option<i64>,
    site_created_on: Option<String>,
}

impl Product {
    /// The staged form; [`from_json`](Self::from_json) reads it.
    pub fn to_json(&self) -> String {
        let staged = Staged {
            id: self.id(),
            looks: self.looks().iter().map(print_look).collect(),
            identity: self.identity().clone(),
            details: self.details().map(print_details),
        };
        // Maps with text keys, and JSON has a form for every number: this cannot fail.
        serde_json::to_string(&staged).unwrap_or_default()
    }

    /// The product of a staged form. A form that breaks a rule is rejected, whoever wrote it.
    pub fn from_json(text: &str) -> Result<Self, Rejection> {
        let staged: Staged = serde_json::from_str(text).map_err(|error| broken("json", error))?;
        let looks = staged
            .looks
            .into_iter()
            .map(read_look)
            .collect::<Result<Vec<_>, Rejection>>()?;
        let details = staged.details.map(read_details).transpose()?;
        check_looks(staged.id, &staged.identity, &looks, details.as_ref())?;
        check_identity(&staged.identity)?;
        let (id, identity) = (staged.id, staged.identity);
        Ok(Self::from_parts(Parts {
            id,
            looks,
            identity,
            details,
        }))
    }
}

fn broken(field: &str, seen: impl std::fmt::Display) -> Rejection {
    Rejection::new(RejectionReason::BadStaged, Some(field), seen)
}

fn require(holds: bool, field: &str, seen: impl std::fmt::Display) -> Result<(), Rejection> {
    if holds {
        Ok(())
    } else {
        Err(broken(field, seen))
    }
}

fn print_look(look: &Look) -> StagedLook {
    let values = look.values.clone();
    StagedLook {
        at: look.observed_at.to_string(),
        source: look.source.as_str().to_owned(),
        price: values.price,
        original_price: values.original_price,
        discount_percent: values.discount_percent,
        sales_count: values.sales_count,
        rating_average: values.rating_average,
        review_count: values.review_count,
        seller_id: values.seller_id,
        spid: values.spid,
        stock_status: values.stock_status,
        stock_quantity: values.stock_quantity,
    }
}

fn read_look(staged: StagedLook) -> Result<Look, Rejection> {
    let source =
        Source::parse(&staged.source).ok_or_else(|| broken("looks.source", &staged.source))?;
    Ok(Look {
        observed_at: instant(&staged.at)?,
        source,
        gone: false,
        values: Values {
            price: staged.price,
            original_price: staged.original_price,
            discount_percent: staged.discount_percent,
            sales_count: staged.sales_count,
            rating_average: staged.rating_average,
            review_count: staged.review_count,
            seller_id: staged.seller_id,
            spid: staged.spid,
            stock_status: staged.stock_status,
            stock_quantity: staged.stock_quantity,
        },
    })
}

fn instant(text: &str) -> Result<Instant, Rejection> {
    let at: Instant = text.parse().map_err(|error| broken("at", error))?;
    require(at.to_string() == text, "at", text)?;
    Ok(at)
}

fn print_details(details: &Details) -> StagedDetails {
    let details = details.clone();
    StagedDetails {
        at: details.observed_at.to_string(),
        sku: details.sku,
        brand_id: details.brand_id,
        seller_id: details.seller_id,
        seller_name: details.seller_name,
        description: details.description,
        specifications: details.specifications,
        images: details.images,
        stock_status: details.stock_status,
        stock_quantity: details.stock_quantity,
        site_created_on: details.site_created_on,
    }
}

fn read_details(staged: StagedDetails) -> Result<Details, Rejection> {
    for text in [&staged.sku, &staged.seller_name, &staged.stock_status]
        .into_iter()
        .flatten()
    {
        require(!text.is_empty() && is_tidy(text), "details", text)?;
    }
    for text in [&staged.description, &staged.specifications, &staged.images]
        .into_iter()
        .flatten()
    {
        require(!text.is_empty() && !text.contains('\0'), "details", text)?;
    }
    for id in [staged.brand_id, staged.seller_id].into_iter().flatten() {
        require(id > 0, "details", id)?;
    }
    if let Some(day) = &staged.site_created_on {
        require(is_common_day(day), "details.site_created_on", day)?;
    }
    Ok(Details {
        observed_at: instant(&staged.at)?,
        sku: staged.sku,
        brand_id: staged.brand_id,
        seller_id: staged.seller_id,
        seller_name: staged.seller_name,
        description: staged.description,
        specifications: staged.specifications,
        images: staged.images,
        stock_status: staged.stock_status,
        stock_quantity: staged.stock_quantity,
        site_created_on: staged.site_created_on,
    })
}

/// One look, or one of each kind in the order of their times; and the details of the detail.
fn check_looks(
    id: i64,
    identity: &Identity,
    looks: &[Look],
    details: Option<&Details>,
) -> Result<(), Rejection> {
    let is_detail = |look: &Look| matches!(look.source, Source::Detail | Source::DetailHtml);
    let shape = match looks {
        [_] => true,
        [a, b] => a.observed_at < b.observed_at && is_detail(a) != is_detail(b),
        _ => false,
    };
    require(shape, "looks", looks.len())?;
    let detailed_at = looks
        .iter()
        .find(|look| is_detail(look))
        .map(|look| look.observed_at);
    require(
        details.map(|details| details.observed_at) == detailed_at,
        "details",
        "another time",
    )?;
    for look in looks {
        columns::check(id, &identity.name, look.values.price)?;
        check_values(&look.values, is_detail(look))?;
    }
    Ok(())
}

fn check_values(values: &Values, of_detail: bool) -> Result<(), Rejection> {
    let percent = values.discount_percent;
    let (original, said) = columns::discount(values.price, values.original_price, percent);
    require(
        original == values.original_price,
        "original_price",
        "below the price",
    )?;
    require(
        percent.is_none() || said == percent,
        "discount_percent",
        "out of bounds",
    )?;
    let rating = columns::rating(values.rating_average, values.review_count);
    require(
        rating == values.rating_average,
        "rating_average",
        "not allowed",
    )?;
    for count in [
        values.sales_count,
        values.review_count,
        values.stock_quantity,
    ] {
        require(
            count.is_none_or(|count| count >= 0),
            "looks",
            "a negative count",
        )?;
    }
    for id in [values.seller_id, values.spid] {
        require(
            id.is_none_or(|id| id > 0),
            "looks",
            "an id that is not positive",
        )?;
    }
    let stock = values.stock_status.is_some() || values.stock_quantity.is_some();
    require(of_detail || !stock, "stock_status", "stock in a listing")?;
    let word = values.stock_status.as_deref();
    require(
        word.is_none_or(|word| !word.is_empty() && is_tidy(word)),
        "stock_status",
        "unclean",
    )
}

fn check_identity(identity: &Identity) -> Result<(), Rejection> {
    require(is_tidy(&identity.name), "identity.name", &identity.name)?;
    require(
        identity.url.starts_with(crate::address::SITE),
        "identity.url",
        &identity.url,
    )?;
    for text in [&identity.brand, &identity.seller_sku]
        .into_iter()
        .flatten()
    {
        require(!text.is_empty() && is_tidy(text), "identity", text)?;
    }
    if let Some(url) = &identity.image_url {
        let same = crate::address::image_url(url).as_ref() == Some(url);
        require(same, "identity.image_url", url)?;
    }
    if let Some(path) = &identity.category_path {
        let same = listing::category_path(path).as_ref() == Some(path);
        require(same, "identity.category_path", path)?;
    }
    require(
        identity.category_id.is_none_or(|id| id > 0),
        "identity.category_id",
        "not positive",
    )
}
