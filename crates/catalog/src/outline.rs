//! The outer fields of a JSON object in one pass over it, all of which is held against the grammar (RFC 8259).
//!
//! A short way for bodies of which few fields are wanted (what it saves: docs/adr/0018). It takes less
//! than serde_json does and never more: what it does not take is for serde_json to read, or to refuse
//! with a reason.
//!
//! Not here: what a field holds (`json`).

use crate::body::first_of_text;

/// Arrays and objects within each other; deeper ones are left to serde_json.
const MOST_DEPTH: u32 = u128::BITS;

/// The wanted fields of a body that is one object: the bytes of each value, `None` for a field that is
/// not there. Nothing at all where the body is not taken.
pub(crate) fn outline<'a, const N: usize>(
    body: &'a [u8],
    wanted: [&str; N],
) -> Option<[Option<&'a [u8]>; N]> {
    let mut walk = Walk {
        rest: body,
        objects: 0,
        depth: 0,
    };
    let mut found = [None; N];
    walk.space();
    walk.expect(b'{')?;
    walk.open(true)?;
    walk.space();
    if walk.skip(b'}') {
        walk.space();
        return walk.rest.is_empty().then_some(found);
    }
    loop {
        let name = walk.outer_name()?;
        walk.space();
        let begun = walk.rest;
        walk.value()?;
        if let Some(slot) = wanted.iter().position(|field| field.as_bytes() == name) {
            let length = begun.len() - walk.rest.len();
            let twice = found.get_mut(slot)?.replace(begun.get(..length)?);
            if twice.is_some() {
                return None;
            }
        }
        walk.space();
        if walk.skip(b',') {
            walk.space();
            continue;
        }
        walk.expect(b'}')?;
        walk.space();
        return walk.rest.is_empty().then_some(found);
    }
}

/// What is left of a body, and what the place is in. `None` anywhere: not taken.
struct Walk<'a> {
    rest: &'a [u8],
    /// A bit for each level, the innermost lowest: an object, else an array.
    objects: u128,
    depth: u32,
}

impl<'a> Walk<'a> {
    /// One value, with everything in it; the walk comes back to the depth that it began at.
    fn value(&mut self) -> Option<()> {
        let outside = self.depth;
        loop {
            if !self.begin_value()? {
                continue;
            }
            // A value has ended, and perhaps what it is in.
            loop {
                if self.depth == outside {
                    return Some(());
                }
                self.space();
                let in_object = self.objects & 1 == 1;
                if self.skip(b',') {
                    self.space();
                    if in_object {
                        self.name()?;
                        self.space();
                    }
                    break;
                }
                self.expect(if in_object { b'}' } else { b']' })?;
                self.close();
            }
        }
    }

    /// The beginning of a value up to the first value in it; whether that was all of it.
    fn begin_value(&mut self) -> Option<bool> {
        let (first, after) = self.rest.split_first()?;
        match first {
            b'"' => {
                self.rest = after;
                self.text()?;
            }
            b'{' | b'[' => {
                self.rest = after;
                let is_object = *first == b'{';
                self.space();
                if self.skip(if is_object { b'}' } else { b']' }) {
                    return Some(true);
                }
                self.open(is_object)?;
                if is_object {
                    self.name()?;
                    self.space();
                }
                return Some(false);
            }
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        Some(true)
    }

    fn open(&mut self, is_object: bool) -> Option<()> {
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        (self.depth <= MOST_DEPTH).then_some(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    /// The name of a field and its colon.
    fn name(&mut self) -> Option<()> {
        self.expect(b'"')?;
        self.text()?;
        self.space();
        self.expect(b':')
    }

    /// The same; only of ASCII without escapes.
    fn outer_name(&mut self) -> Option<&'a [u8]> {
        let begun = self.rest.get(1..)?;
        self.expect(b'"')?;
        self.text()?;
        let name = begun.get(..begun.len() - self.rest.len() - 1)?;
        self.space();
        self.expect(b':')?;
        let is_plain = name.is_ascii() && !name.contains(&b'\\');
        is_plain.then_some(name)
    }

    /// Up to and with the closing quote. As for serde_json, only what is wanted has to be UTF-8.
    fn text(&mut self) -> Option<()> {
        loop {
            let at = first_of_text(self.rest)?;
            let (found, after) = self.rest.get(at..)?.split_first()?;
            self.rest = after;
            match found {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let (kind, after) = self.rest.split_first()?;
        self.rest = after;
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let (digits, after) = self.rest.split_first_chunk::<4>()?;
                self.rest = after;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<()> {
        self.skip(b'-');
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _signed = self.skip(b'+') || self.skip(b'-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.rest = self.rest.get(count..)?;
        (count > 0).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn space(&mut self) {
        while let Some((b' ' | b'\n' | b'\r' | b'\t', after)) = self.rest.split_first() {
            self.rest = after;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip(byte).then_some(())
    }

    fn skip(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, after)) if *first == byte => {
                self.rest = after;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const WANTED: [&str; 3] = ["id", "name", "more"];

    fn is_json_object(body: &[u8]) -> bool {
        matches!(serde_json::from_slice(body), Ok(Value::Object(_)))
    }

    #[test]
    fn wanted_fields_are_found_at_the_top_only() {
        let body = br#" { "more" : {"id": [1, {"name": "x"}], "b": []} ,"id":-1.5e+3,"z":[true,false,null,0]} "#;
        let found = outline(body, WANTED).unwrap();
        let text = |at: usize| found[at].map(|bytes| std::str::from_utf8(bytes).unwrap());
        assert_eq!(text(0), Some("-1.5e+3"));
        assert_eq!(text(1), None);
        assert_eq!(text(2), Some(r#"{"id": [1, {"name": "x"}], "b": []}"#));
        assert_eq!(outline(b"{}", WANTED), Some([None; 3]));
    }

    #[test]
    fn what_is_not_json_is_not_taken() {
        for body in [
            "",
            " ",
            "1",
            "[]",
            "{",
            "{}}",
            "{} x",
            "{,}",
            r#"{"id"}"#,
            r#"{"id":}"#,
            r#"{"id":1,}"#,
            r#"{"id":1 "b":2}"#,
            r#"{"id":01}"#,
            r#"{"id":1.}"#,
            r#"{"id":.5}"#,
            r#"{"id":1e}"#,
            r#"{"id":+1}"#,
            r#"{"id":-}"#,
            r#"{"id":tru}"#,
            r#"{"id":nulll}"#,
            r#"{"id":[1,]}"#,
            r#"{"id":[1}}"#,
            r#"{"id":{"a":1]}"#,
            r#"{"id":"\x"}"#,
            r#"{"id":"\u12g4"}"#,
            "{\"id\":\"a\nb\"}",
            "{\"a long text of more than eight bytes\u{1}\":1}",
            r#"{"id":"no end}"#,
            "{id:1}",
        ] {
            assert!(!is_json_object(body.as_bytes()), "{body}");
            assert_eq!(outline(body.as_bytes(), WANTED), None, "{body}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_serde_json() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        for body in [
            r#"{"id":1,"id":2}"#,
            r#"{"\u0069d":1}"#,
            r#"{"têm":1}"#,
            &deep,
        ] {
            assert_eq!(outline(body.as_bytes(), WANTED), None, "{body}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,30}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\ê]{0,12}", inner, 0..6)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_object_is_taken_and_its_fields_are_its_fields(
            id in any_json(), name in any_json(), other in any_json(), pretty in any::<bool>()
        ) {
            let object = json!({"id": id, "other": other, "name": name});
            let body = if pretty {
                serde_json::to_vec_pretty(&object)
            } else {
                serde_json::to_vec(&object)
            }.unwrap();
            let found = outline(&body, WANTED).unwrap();
            let read = |at: usize| found[at].map(|bytes| serde_json::from_slice::<Value>(bytes).unwrap());
            let printed = |value: &Value| serde_json::from_str::<Value>(&value.to_string()).unwrap();
            prop_assert_eq!(read(0), Some(printed(&id)));
            prop_assert_eq!(read(1), Some(printed(&name)));
            prop_assert_eq!(read(2), None);
        }

        /// A byte changed, left out or doubled: what is taken is still JSON.
        #[test]
        fn nothing_is_taken_that_serde_json_refuses(
            value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..3
        ) {
            let mut body = serde_json::to_vec(&json!({"id": value, "b": [1.5e-7, "\\\"\u{7f}é"]})).unwrap();
            let at = at.index(body.len());
            match how {
                0 => body[at] = byte,
                1 => drop(body.remove(at)),
                _ => body.insert(at, byte),
            }
            if outline(&body, WANTED).is_some() {
                let read = serde_json::from_slice::<serde::de::IgnoredAny>(&body);
                prop_assert!(read.is_ok(), "{}", String::from_utf8_lossy(&body));
            }
        }
    }
}
