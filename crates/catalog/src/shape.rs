//! The shape of what the site sends: of each field that is read, how often it came and as which
//! type, and how large its numbers were.
//!
//! Not here: what a change of shape means (`drift`), the values themselves (`listing`, `detail`),
//! where shapes are kept (`warehouse`).

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::fields::{self, Field};
use crate::json::{self, Object, Scalar};
use crate::{Rejection, RejectionReason, Source};

/// How a field came in a number of objects; each object counts once. What is within an object, such
/// as `brand.name`, is counted only where that object is there.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct FieldShape {
    /// Objects without the field.
    pub absent: i64,
    /// Objects with `null`, an empty text, an empty list or an empty object in its place: it says
    /// as little.
    pub nulls: i64,
    /// `true` or `false`.
    pub flags: i64,
    /// Numbers written without a fraction.
    pub integers: i64,
    /// Numbers written with a fraction.
    pub reals: i64,
    /// Texts.
    pub texts: i64,
    /// Lists.
    pub lists: i64,
    /// Objects.
    pub objects: i64,
    /// Sum of ln(1 + |n|) over the numbers.
    pub log_sum: f64,
    /// Sum of the squares of ln(1 + |n|).
    pub log_squares: f64,
}

impl FieldShape {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (own, others) in [
            (&mut self.absent, other.absent),
            (&mut self.nulls, other.nulls),
            (&mut self.flags, other.flags),
            (&mut self.integers, other.integers),
            (&mut self.reals, other.reals),
            (&mut self.texts, other.texts),
            (&mut self.lists, other.lists),
            (&mut self.objects, other.objects),
        ] {
            *own = own.saturating_add(others);
        }
        self.log_sum += other.log_sum;
        self.log_squares += other.log_squares;
    }

    fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Unasked => {}
            Kind::Absent => self.absent += 1,
            Kind::Null => self.nulls += 1,
            Kind::Flag => self.flags += 1,
            Kind::Integer(value) => {
                self.integers += 1;
                self.measure(value);
            }
            Kind::Real(value) => {
                self.reals += 1;
                self.measure(value);
            }
            Kind::Text => self.texts += 1,
            Kind::List => self.lists += 1,
            Kind::Object => self.objects += 1,
        }
    }

    fn measure(&mut self, value: f64) {
        let log = value.abs().ln_1p();
        self.log_sum += log;
        self.log_squares += log * log;
    }
}

/// What a shape is the shape of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShapeKey {
    /// `api` or `html`.
    pub source: &'static str,
    /// `listing` or `detail`.
    pub endpoint: &'static str,
    /// The root category of the objects; 0 where they do not say it.
    pub root: i64,
}

/// Root categories that are told apart; the site has 26. The objects of any more count as 0.
pub const ROOTS_MAX: usize = 100;

/// The shapes of many objects, apart by source, endpoint and root category.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Shapes {
    /// In the order of the endpoint's fields.
    of: BTreeMap<ShapeKey, Vec<FieldShape>>,
}

impl Shapes {
    /// Counts the items of a listing, of either schema, advertisements included. A body that is no
    /// listing counts nothing.
    pub fn add_listing(&mut self, body: &[u8], source: Source) {
        let items = json::read(body, |body| parse(body, ListingSeed));
        for item in items.into_iter().flatten() {
            self.count("listing", source, &item);
        }
    }

    /// Counts a product of its own page. A body that is no object counts nothing.
    pub fn add_detail(&mut self, body: &[u8], source: Source) {
        let read = json::read(body, |body| {
            let mut detail = Seen::new(fields::DETAIL);
            let kind = parse(body, Value::top(&mut detail))?;
            Ok((kind, detail))
        });
        if let Ok((Kind::Object, detail)) = read {
            self.count("detail", source, &detail);
        }
    }

    /// Every shape with its key and the path of its field, such as `brand.name`, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (ShapeKey, &'static str, &FieldShape)> {
        self.of.iter().flat_map(|(key, shapes)| {
            let fields = fields::of(key.endpoint).iter();
            let paths = fields.map(|field| field.path);
            paths.zip(shapes).map(|(path, shape)| (*key, path, shape))
        })
    }

    /// Nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    fn count(&mut self, endpoint: &'static str, source: Source, seen: &Seen) {
        let source = match source {
            Source::Listing | Source::Detail => "api",
            Source::ListingHtml | Source::DetailHtml => "html",
        };
        let mut key = ShapeKey {
            source,
            endpoint,
            root: seen.root,
        };
        if self.of.len() >= ROOTS_MAX && !self.of.contains_key(&key) {
            key.root = 0;
        }
        let none = || vec![FieldShape::default(); seen.fields.len()];
        let shapes = self.of.entry(key).or_insert_with(none);
        for (shape, kind) in shapes.iter_mut().zip(&seen.kinds) {
            shape.count(*kind);
        }
    }
}

fn parse<'de, S: DeserializeSeed<'de>>(body: &'de [u8], seed: S) -> Result<S::Value, Rejection> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = seed.deserialize(&mut reader);
    value
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|_| Rejection::of_body(RejectionReason::NotJson, None, body))
}

/// The type of a JSON value.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// It was not looked for: the object that it would be in is not there.
    Unasked,
    Absent,
    Null,
    Flag,
    Integer(f64),
    Real(f64),
    Text,
    List,
    Object,
}

/// One object.
struct Seen {
    root: i64,
    fields: &'static [Field],
    /// In the order of `fields`.
    kinds: Vec<Kind>,
}

impl Seen {
    fn new(fields: &'static [Field]) -> Self {
        Self {
            root: 0,
            fields,
            kinds: vec![Kind::Unasked; fields.len()],
        }
    }

    fn set(&mut self, at: usize, kind: Kind) {
        if let Some(slot) = self.kinds.get_mut(at) {
            *slot = kind;
        }
    }

    /// The fields of `within` as the keys of a map. Whether there was any key.
    fn read<'de, A: MapAccess<'de>>(
        &mut self,
        within: &'static str,
        mut map: A,
    ) -> Result<bool, A::Error> {
        let fields = self.fields;
        for (slot, field) in self.kinds.iter_mut().zip(fields) {
            if field.within == within {
                *slot = Kind::Absent;
            }
        }
        let mut any = false;
        let at = |key: &[u8]| {
            let is_it = |field: &Field| field.key.as_bytes() == key && field.within == within;
            fields.iter().position(is_it)
        };
        while let Some(at) = map.next_key_seed(KeySeed(at))? {
            any = true;
            match at.and_then(|at| Some((at, fields.get(at)?))) {
                Some((at, field)) => {
                    let kind = map.next_value_seed(Value::of(self, field, at))?;
                    self.set(at, kind);
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(any)
    }
}

/// Reads the type of a value, and into `seen` what is wanted of its inside.
struct Value<'s> {
    seen: &'s mut Seen,
    /// The path of the object whose fields are wanted.
    within: Option<&'static str>,
    /// The root category is in it.
    has_root: bool,
}

impl<'s> Value<'s> {
    /// A whole object.
    fn top(seen: &'s mut Seen) -> Self {
        Self {
            seen,
            within: Some(""),
            has_root: false,
        }
    }

    fn of(seen: &'s mut Seen, field: &'static Field, at: usize) -> Self {
        let next = seen.fields.get(at + 1);
        let has_fields = next.is_some_and(|next| next.within == field.path);
        Self {
            seen,
            within: has_fields.then_some(field.path),
            has_root: matches!(field.path, "primary_category_path" | "breadcrumbs"),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Flag)
    }
    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Integer(value as f64))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Integer(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Real(value))
    }
    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        if self.has_root {
            self.seen.root = root_of_path(text);
        }
        Ok(if text.is_empty() {
            Kind::Null
        } else {
            Kind::Text
        })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
        let any = if self.has_root {
            let crumb = seq.next_element::<Object<Crumb<'_>>>()?;
            let first = crumb.as_ref().and_then(|crumb| crumb.0.as_ref());
            self.seen.root = first.and_then(|crumb| crumb.category_id.id()).unwrap_or(0);
            crumb.is_some()
        } else {
            seq.next_element::<IgnoredAny>()?.is_some()
        };
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(if any { Kind::List } else { Kind::Null })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let Some(within) = self.within else {
            let mut kind = Kind::Null;
            while map.next_key_seed(KeySeed(|_: &[u8]| ()))?.is_some() {
                map.next_value::<IgnoredAny>()?;
                kind = Kind::Object;
            }
            return Ok(kind);
        };
        let any = self.seen.read(within, map)?;
        Ok(if any { Kind::Object } else { Kind::Null })
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Crumb<'a> {
    #[serde(borrow)]
    category_id: Scalar<'a>,
}

/// The root category of a path such as `1/2/8322/316`, where 1 and 2 are above all roots.
fn root_of_path(path: &str) -> i64 {
    let root = path
        .strip_prefix("1/2/")
        .and_then(|rest| rest.split('/').next());
    let root = root.and_then(|root| root.parse().ok());
    root.filter(|root| *root > 0).unwrap_or(0)
}

/// `{"data": […]}`.
struct ListingSeed;

impl<'de> DeserializeSeed<'de> for ListingSeed {
    type Value = Vec<Seen>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Seen>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ListingSeed {
    type Value = Vec<Seen>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a listing")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Seen>, A::Error> {
        let mut items = Vec::new();
        while let Some(is_data) = map.next_key_seed(KeySeed(|key: &[u8]| key == b"data"))? {
            if is_data {
                items = map.next_value_seed(ItemsSeed)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(items)
    }
}

/// The elements of a list that are objects.
struct ItemsSeed;

impl<'de> DeserializeSeed<'de> for ItemsSeed {
    type Value = Vec<Seen>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Seen>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ItemsSeed {
    type Value = Vec<Seen>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Seen>, A::Error> {
        let mut items = Vec::new();
        let mut item = Seen::new(fields::LISTING);
        while let Some(kind) = seq.next_element_seed(Value::top(&mut item))? {
            let read = std::mem::replace(&mut item, Seen::new(fields::LISTING));
            if matches!(kind, Kind::Object) {
                items.push(read);
            }
        }
        Ok(items)
    }
}

/// Asks something of a key, as bytes: to check that it is UTF-8 would cost more than the rest.
struct KeySeed<F>(F);

impl<'de, R, F: FnOnce(&[u8]) -> R> DeserializeSeed<'de> for KeySeed<F> {
    type Value = R;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<R, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl<R, F: FnOnce(&[u8]) -> R> Visitor<'_> for KeySeed<F> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<R, E> {
        Ok((self.0)(key))
    }
}
