//! The form of a [`Product`] in which it waits to be loaded: its looks, a tab, and what it tells beside them,
//! both JSON in one line. So a reader may stop at the looks, where nothing else can be new.
//!
//! Reading it applies every rule again, so that it is no second way to make a product. Not here:
//! where it waits (`warehouse`).

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::product::{Parts, is_common_day};
use crate::text::is_tidy;
use crate::{
    Details, Identity, Instant, Look, Product, Rejection, RejectionReason, Source, Values, columns,
    listing,
};

/// `T`: a text, borrowed to be written and owned once read.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StagedLook<T> {
    at: StagedInstant,
    source: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_price: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount_percent: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sales_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rating_average: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    review_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seller_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spid: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stock_status: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stock_quantity: Option<i64>,
}

/// Written in milliseconds; read also as a text, as it was written before.
struct StagedInstant(Instant);

impl Serialize for StagedInstant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0.millis())
    }
}

impl<'de> Deserialize<'de> for StagedInstant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = StagedInstant;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an instant")
            }

            fn visit_i64<E: Error>(self, millis: i64) -> Result<StagedInstant, E> {
                let at = Instant::from_millis(millis);
                if at.millis() == millis {
                    Ok(StagedInstant(at))
                } else {
                    Err(E::custom("an instant outside the years 1 to 9999"))
                }
            }

            fn visit_u64<E: Error>(self, millis: u64) -> Result<StagedInstant, E> {
                self.visit_i64(i64::try_from(millis).unwrap_or(i64::MAX))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StagedInstant, E> {
                let at: Instant = text.parse().map_err(E::custom)?;
                if at.to_string() == text {
                    Ok(StagedInstant(at))
                } else {
                    Err(E::custom("an instant that is written otherwise"))
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The form in one part.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    id: i64,
    #[serde(borrow)]
    looks: &'a RawValue,
    #[serde(borrow)]
    identity: &'a RawValue,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
}

/// Identity and details.
#[derive(Serialize, Deserialize)]
struct Told<I, T>(I, Option<StagedDetails<T>>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StagedDetails<T> {
    at: StagedInstant,
    sku: Option<T>,
    brand_id: Option<i64>,
    seller_id: Option<i64>,
    seller_name: Option<T>,
    description: Option<T>,
    specifications: Option<T>,
    images: Option<T>,
    stock_status: Option<T>,
    stock_quantity: Option<i64>,
    site_created_on: Option<T>,
}

impl Product {
    /// The staged form; [`from_staged`](Self::from_staged) reads it.
    pub fn to_staged(&self) -> String {
        let mut out = Vec::new();
        let written = self.write_staged(&mut out);
        // Maps with text keys, and JSON has a form for every number: this cannot fail.
        written.map_or_else(
            |_| String::new(),
            |()| String::from_utf8(out).unwrap_or_default(),
        )
    }

    /// Writes the staged form. An error is the writer's.
    pub fn write_staged(&self, mut out: impl std::io::Write) -> std::io::Result<()> {
        let looks: Vec<_> = self.looks().iter().map(print_look).collect();
        let told = Told(self.identity(), self.details().map(print_details));
        serde_json::to_writer(&mut out, &looks)?;
        out.write_all(b"\t")?;
        serde_json::to_writer(out, &told)?;
        Ok(())
    }

    /// The product of the staged form in one part, as earlier programs wrote it.
    pub fn from_record(id: i64, text: &str) -> Result<Self, Rejection> {
        let record: Record<'_> =
            serde_json::from_str(text).map_err(|error| broken("json", error))?;
        require(record.id == id, "id", record.id)?;
        let details = record.details.map_or("null", RawValue::get);
        let parts = format!(
            "{}\t[{},{details}]",
            record.looks.get(),
            record.identity.get()
        );
        Self::from_staged(id, &parts)
    }

    /// The product of a staged form. A form that breaks a rule is rejected, whoever wrote it.
    pub fn from_staged(id: i64, text: &str) -> Result<Self, Rejection> {
        let looks = staged_looks(id, text)?;
        let told = text.split_once('\t').map_or("", |(_, told)| told);
        let Told(identity, details): Told<Identity, String> =
            serde_json::from_str(told).map_err(|error| broken("json", error))?;
        let details = details.map(read_details).transpose()?;
        columns::check(id, &identity.name, Some(0))?;
        check_identity(&identity)?;
        let detailed_at = looks.iter().find(|look| look.source.is_detail());
        require(
            details.as_ref().map(|details| details.observed_at)
                == detailed_at.map(|look| look.observed_at),
            "details",
            "another time",
        )?;
        Ok(Self::from_parts(Parts {
            id,
            looks,
            identity,
            details,
        }))
    }
}

/// The looks of a product's staged form, under every rule for looks; what it tells beside them is not read.
pub fn staged_looks(id: i64, text: &str) -> Result<Vec<Look>, Rejection> {
    let looks = text.split_once('\t').map_or(text, |(looks, _)| looks);
    let looks: Vec<StagedLook<String>> =
        serde_json::from_str(looks).map_err(|error| broken("json", error))?;
    let looks = looks
        .into_iter()
        .map(read_look)
        .collect::<Result<Vec<_>, Rejection>>()?;
    check_looks(id, &looks)?;
    Ok(looks)
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

fn print_look(look: &Look) -> StagedLook<&str> {
    let values = &look.values;
    StagedLook {
        at: StagedInstant(look.observed_at),
        source: look.source.as_str(),
        price: values.price,
        original_price: values.original_price,
        discount_percent: values.discount_percent,
        sales_count: values.sales_count,
        rating_average: values.rating_average,
        review_count: values.review_count,
        seller_id: values.seller_id,
        spid: values.spid,
        stock_status: values.stock_status.as_deref(),
        stock_quantity: values.stock_quantity,
    }
}

fn read_look(staged: StagedLook<String>) -> Result<Look, Rejection> {
    let source =
        Source::parse(&staged.source).ok_or_else(|| broken("looks.source", &staged.source))?;
    Ok(Look {
        observed_at: staged.at.0,
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

fn print_details(details: &Details) -> StagedDetails<&str> {
    StagedDetails {
        at: StagedInstant(details.observed_at),
        sku: details.sku.as_deref(),
        brand_id: details.brand_id,
        seller_id: details.seller_id,
        seller_name: details.seller_name.as_deref(),
        description: details.description.as_deref(),
        specifications: details.specifications.as_deref(),
        images: details.images.as_deref(),
        stock_status: details.stock_status.as_deref(),
        stock_quantity: details.stock_quantity,
        site_created_on: details.site_created_on.as_deref(),
    }
}

fn read_details(staged: StagedDetails<String>) -> Result<Details, Rejection> {
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
        observed_at: staged.at.0,
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

/// One look, or one of each kind in the order of their times.
fn check_looks(id: i64, looks: &[Look]) -> Result<(), Rejection> {
    let shape = match looks {
        [_] => true,
        [a, b] => a.observed_at < b.observed_at && a.source.is_detail() != b.source.is_detail(),
        _ => false,
    };
    require(shape, "looks", looks.len())?;
    for look in looks {
        // The name is told beside them.
        columns::check(id, "-", look.values.price)?;
        check_values(&look.values, look.source.is_detail())?;
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
