//! Reading the site's JSON without trusting its types: a field of the wrong type is an absent
//! field, unknown fields are skipped, and nothing recurses with the depth of the input.
//!
//! Not here: what a field means. Own code only for leniency; the parsing is serde_json's.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{Rejection, RejectionReason};

/// Runs `parse` on a body, and once more on a repaired copy where the body was not JSON only
/// because of a byte order mark, bytes that are not UTF-8, raw control characters or lone
/// surrogates.
pub(crate) fn read<R>(
    body: &[u8],
    parse: impl Fn(&[u8]) -> Result<R, Rejection>,
) -> Result<R, Rejection> {
    match parse(body) {
        Err(refused) if refused.reason == RejectionReason::NotJson => match repaired(body) {
            Some(text) => parse(text.as_bytes()),
            None => Err(refused),
        },
        other => other,
    }
}

/// One JSON object as `T`.
pub(crate) fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Rejection> {
    let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if !is_object {
        let reason = match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => RejectionReason::WrongShape,
            Err(_) => RejectionReason::NotJson,
        };
        return Err(Rejection::of_body(reason, None, body));
    }
    serde_json::from_slice(body).map_err(|error| {
        let reason = match error.classify() {
            serde_json::error::Category::Data => RejectionReason::WrongShape,
            _ => RejectionReason::NotJson,
        };
        Rejection::of_body(reason, None, body)
    })
}

/// An answer that lacks its main field: the site's error object, or another shape.
pub(crate) fn unexpected(error: Present, field: &str, body: &[u8]) -> Rejection {
    if error.0 {
        Rejection::of_body(RejectionReason::ErrorObject, Some("error"), body)
    } else {
        Rejection::of_body(RejectionReason::WrongShape, Some(field), body)
    }
}

/// The body as text that JSON allows; `None` where nothing was to repair.
fn repaired(body: &[u8]) -> Option<String> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find(|c: char| c == '\\' || c < ' ') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let taken = if from.starts_with('\\') {
            push_escape(from, &mut out)
        } else {
            1
        };
        if !from.starts_with('\\') {
            out.push(' ');
        }
        rest = from.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    (out.as_bytes() != body).then_some(out)
}

/// Copies the escape at the start of `from`, a lone surrogate as U+FFFD; says how many bytes it
/// read.
fn push_escape(from: &str, out: &mut String) -> usize {
    let (taken, keep) = match unit(from) {
        Some(0xD800..0xDC00) => match from.get(6..).and_then(unit) {
            Some(0xDC00..0xE000) => (12, true),
            _ => (6, false),
        },
        Some(0xDC00..0xE000) => (6, false),
        Some(_) => (6, true),
        None => (1 + from.chars().nth(1).map_or(0, char::len_utf8), true),
    };
    match from.get(..taken) {
        Some(escape) if keep => out.push_str(escape),
        _ => out.push_str("\\ufffd"),
    }
    taken
}

/// The UTF-16 unit of a `\uXXXX` at the start of a text.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits
        .bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then_some(())?;
    u32::from_str_radix(digits, 16).ok()
}

/// A JSON value as far as it is none of array and object.
#[derive(Debug, Default, Clone)]
pub(crate) enum Scalar<'a> {
    /// `null`, absent, an array or an object.
    #[default]
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

/// Whole numbers up to here are exact in a float.
const FLOAT_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

impl Scalar<'_> {
    /// A whole number, also when written as `147000.0`; no text.
    pub(crate) fn int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Float(value) if value.abs() <= FLOAT_WHOLE_MAX => {
                (value.fract() == 0.0).then_some(*value as i64)
            }
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub(crate) fn count(&self) -> Option<i64> {
        self.int().filter(|value| *value >= 0)
    }

    /// A whole number in đồng, not checked against its bounds; beyond `i64` the nearest end.
    pub(crate) fn money(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Float(value) => (value.fract() == 0.0).then_some(*value as i64),
            _ => None,
        }
    }

    /// A positive id: a whole number or the text of one.
    pub(crate) fn id(&self) -> Option<i64> {
        let id = match self {
            Self::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            other => other.int(),
        };
        id.filter(|value| *value > 0)
    }

    pub(crate) fn real(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// A bool, also when written as 0 or 1.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Int(0) => Some(false),
            Self::Int(1) => Some(true),
            _ => None,
        }
    }

    /// A text as it stands.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text, or a number or bool as JSON prints it.
    pub(crate) fn printed(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::None => None,
            Self::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            Self::Int(value) => Some(Cow::Owned(value.to_string())),
            Self::Float(value) => {
                serde_json::Number::from_f64(*value).map(|n| n.to_string().into())
            }
            Self::Text(text) => Some(Cow::Borrowed(text)),
        }
    }
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.printed().as_deref().unwrap_or("nothing"))
    }
}

/// Visits of the scalars that are not wanted.
macro_rules! no_scalars {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any JSON value")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for ScalarVisitor<'a> {
            type Value = Scalar<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            fn visit_unit<E>(self) -> Result<Scalar<'a>, E> {
                Ok(Scalar::None)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Scalar<'a>, E> {
                Ok(Scalar::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar<'a>, E> {
                Ok(Scalar::Int(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scalar<'a>, E> {
                Ok(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Int))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Scalar<'a>, E> {
                Ok(Scalar::Float(value))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'a>, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar<'a>, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Scalar<'a>, A::Error> {
                skip_seq(seq).map(|()| Scalar::None)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar<'a>, A::Error> {
                skip_map(map).map(|()| Scalar::None)
            }
        }

        deserializer.deserialize_any(ScalarVisitor(PhantomData))
    }
}

/// An object as `T`; `None` for anything else.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            no_scalars!();
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Object<T>, A::Error> {
                skip_seq(seq).map(|()| Object(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|value| Object(Some(value)))
            }
        }

        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// An array of `T`; `None` for anything else.
#[derive(Debug)]
pub(crate) struct List<T>(pub(crate) Option<Vec<T>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> List<T> {
    /// The elements; none where there was no array.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            no_scalars!();
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(List(Some(elements)))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<List<T>, A::Error> {
                skip_map(map).map(|()| List(None))
            }
        }

        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// Whether a field is there and not `null`.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Present(pub(crate) bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<IgnoredAny>::deserialize(deserializer).map(|value| Self(value.is_some()))
    }
}
