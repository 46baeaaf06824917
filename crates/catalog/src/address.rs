//! Addresses of the site: their one canonical form, and the ids that stand in them.
//!
//! Not here: which address is asked (`crawl`).

use url::Url;

/// What every stored address begins with.
pub const SITE: &str = "https://tiki.vn/";

/// The longest address that is believed, bytes.
const ADDRESS_MAX_BYTES: usize = 2_048;

/// The one form of an address of the site: `https://tiki.vn/<path>`, without user, port, fragment
/// and tracking parameters, the other parameters (such as `spid`) sorted. Takes a path with or
/// without a leading slash, or a whole address; `None` for another host and for the bare home page.
pub fn canonical_url(url_path: &str) -> Option<String> {
    let mut url = on_site(url_path)?;
    if url.path() == "/" {
        return None;
    }
    let mut pairs: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !is_tracking(name))
        .map(own)
        .collect();
    pairs.sort();
    url.set_query(None);
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    let text: String = url.into();
    (text.len() <= ADDRESS_MAX_BYTES).then_some(text)
}

/// The product id of an address: the last `-p<digits>.html`, or `/p/<digits>`.
pub fn product_id_from_url(url: &str) -> Option<i64> {
    let url = on_site(url)?;
    let mut segments = url.path_segments()?.rev();
    let last = segments.next()?;
    if let Some(stem) = last.strip_suffix(".html") {
        let (_, digits) = stem.rsplit_once("-p")?;
        return id(digits);
    }
    let is_short = segments.next() == Some("p") && segments.next().is_none();
    if is_short { id(last) } else { None }
}

/// The category id of an address: the last segment of its path, `c<digits>`.
pub fn category_id_from_url(url: &str) -> Option<i64> {
    let url = on_site(url)?;
    let last = url.path_segments()?.next_back()?;
    id(last.strip_prefix('c')?)
}

/// The address of an image: absolute, `https:` where the site left the scheme out.
pub(crate) fn image_url(text: &str) -> Option<String> {
    let text = text.trim();
    let known = text.starts_with("https://") || text.starts_with("http://");
    let text = match text.strip_prefix("//") {
        Some(rest) => format!("https://{rest}"),
        None if known => text.to_owned(),
        None => return None,
    };
    let clean = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    (clean && text.len() <= ADDRESS_MAX_BYTES).then_some(text)
}

/// The canonical address of a record: of its path, else of its key, else the site's short form.
pub(crate) fn product_url(path: Option<&str>, key: Option<&str>, product_id: i64) -> String {
    let by_path = path
        .filter(|path| !path.trim().is_empty())
        .and_then(canonical_url);
    let by_key = || {
        key.filter(|key| is_key(key))
            .and_then(|key| canonical_url(&format!("{key}.html")))
    };
    by_path
        .or_else(by_key)
        .unwrap_or_else(|| format!("{SITE}product-p{product_id}.html"))
}

/// The canonical address of a category: of its path, else of its key, else of its id alone.
pub(crate) fn category_url(path: Option<&str>, key: Option<&str>, category_id: i64) -> String {
    let by_path = path
        .filter(|path| !path.trim().is_empty())
        .and_then(canonical_url);
    let by_key = || {
        key.filter(|key| is_key(key))
            .and_then(|key| canonical_url(&format!("{key}/c{category_id}")))
    };
    by_path
        .or_else(by_key)
        .unwrap_or_else(|| format!("{SITE}c{category_id}"))
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn own(pair: (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)) -> (String, String) {
    (pair.0.into_owned(), pair.1.into_owned())
}

/// The address, resolved and moved to `https://tiki.vn`; `None` for another host.
fn on_site(text: &str) -> Option<Url> {
    let text = text.trim();
    if text.is_empty() || text.len() > ADDRESS_MAX_BYTES || text.contains('\0') {
        return None;
    }
    let mut url = Url::parse(SITE).ok()?.join(text).ok()?;
    if !matches!(url.scheme(), "https" | "http") || url.port().is_some() {
        return None;
    }
    if !matches!(url.host_str(), Some("tiki.vn" | "www.tiki.vn")) {
        return None;
    }
    url.set_scheme("https").ok()?;
    url.set_host(Some("tiki.vn")).ok()?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_fragment(None);
    Some(url)
}

fn is_tracking(name: &str) -> bool {
    let prefixed = ["utm_", "itm_", "trackity"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    prefixed
        || matches!(
            name,
            "waypoint" | "src" | "ref" | "reqid" | "gclid" | "fbclid" | "msclkid" | "_lc" | "2hi"
        )
}

fn id(digits: &str) -> Option<i64> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain
        .then(|| digits.parse().ok())
        .flatten()
        .filter(|id| *id > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_id_is_anchored() {
        for (url, expected) in [
            ("ao-p2-p998.html", Some(998)),
            ("/abc/p12/def-p777.html?spid=5", Some(777)),
            (
                "https://tiki.vn/product-p120552065.html?spid=120552067",
                Some(120_552_065),
            ),
            ("http://www.tiki.vn/binh-p5.html#x", Some(5)),
            ("https://tiki.vn/p/277063012", Some(277_063_012)),
            ("https://tiki.vn/x/p/277063012", None),
            ("binh-p5", None),
            ("binh-p0.html", None),
            ("binh-p5x.html", None),
            ("binh-p99999999999999999999.html", None),
            ("https://example.com/binh-p5.html", None),
            ("https://tiki.vn.example.com/binh-p5.html", None),
            ("https://tiki.vn:8443/binh-p5.html", None),
            ("balo/c22", None),
            ("", None),
        ] {
            assert_eq!(product_id_from_url(url), expected, "{url}");
        }
    }

    #[test]
    fn a_category_id_is_the_last_segment() {
        for (url, expected) in [
            ("balo-15-inch/c22", Some(22)),
            ("https://tiki.vn/phong-an/c1954?page=2", Some(1954)),
            ("/c8/x", None),
            ("c8a", None),
            ("https://example.com/x/c8", None),
        ] {
            assert_eq!(category_id_from_url(url), expected, "{url}");
        }
    }

    #[test]
    fn an_address_has_one_form() {
        for (raw, expected) in [
            ("a-p1.html?spid=2", Some("https://tiki.vn/a-p1.html?spid=2")),
            (
                "http://www.tiki.vn/a-p1.html?utm_source=x&spid=2&itm_medium=CPC&b=1#c",
                Some("https://tiki.vn/a-p1.html?b=1&spid=2"),
            ),
            ("//tiki.vn/a/c5", Some("https://tiki.vn/a/c5")),
            ("https://u:p@tiki.vn/a/c5", Some("https://tiki.vn/a/c5")),
            ("//evil.example/a", None),
            ("javascript:alert(1)", None),
            ("/", None),
            ("  ", None),
        ] {
            assert_eq!(canonical_url(raw).as_deref(), expected, "{raw}");
            if let Some(once) = canonical_url(raw) {
                assert_eq!(canonical_url(&once), Some(once));
            }
        }
        assert_eq!(
            product_url(None, Some("a-p7"), 7),
            "https://tiki.vn/a-p7.html"
        );
        assert_eq!(
            product_url(Some(""), Some("../x"), 7),
            "https://tiki.vn/product-p7.html"
        );
        assert_eq!(category_url(None, Some("a"), 7), "https://tiki.vn/a/c7");
    }
}
