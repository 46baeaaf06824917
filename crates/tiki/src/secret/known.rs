//! The secrets of the settings in force, in every form in which a text may hold one.
//!
//! Whoever quotes an address or a header, a library say, may do so in another form than it was set in.
//! Not here: what is hidden by its place in a text alone (`secret`).

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::Url;

use super::HIDDEN;
use crate::layers::Resolved;

/// A secret that is shorter is hidden by its place alone: it may be an ordinary word.
pub(super) const SHORTEST: usize = 8;

/// A part of an address that is as long is no word.
const LONGEST_WORD: usize = 16;

/// Percent-encoded is all but these.
const UNRESERVED: &[u8] = b"-._~";

/// Like the environment, of the whole process: whatever prints must know them, a panic too.
static KNOWN: OnceLock<Vec<String>> = OnceLock::new();

/// Remembers the secrets of the settings, once.
pub(crate) fn learn(resolved: &Resolved) {
    let set = resolved.all.iter().filter(|one| {
        let is_file = one.setting.name == "TIKI_DATABASE_URL" && is_file(&one.text);
        one.setting.secret && !is_file
    });
    let mut forms: Vec<String> = set
        .flat_map(|one| secrets(&one.text))
        .filter(|secret| secret.len() >= SHORTEST)
        .flat_map(|secret| forms(&secret))
        .collect();
    // The longest first: one may be a part of another.
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    // A second call would bring the same.
    drop(KNOWN.set(forms));
}

/// A text without them.
pub(super) fn hide(text: String) -> String {
    let known = KNOWN.get().into_iter().flatten();
    known.fold(text, |text, form| {
        if text.contains(form.as_str()) {
            text.replace(form.as_str(), HIDDEN)
        } else {
            text
        }
    })
}

/// Whether the address of a database is that of a file, without anything that may be a user or a password.
fn is_file(url: &str) -> bool {
    url.starts_with("sqlite:")
        && !url.contains('@')
        && !url.to_ascii_lowercase().contains("password=")
}

/// What of a setting is secret: of an address its password, of a webhook what comes after its host, else all.
fn secrets(text: &str) -> Vec<String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return vec![text.to_owned()];
    };
    // Not all that a database takes for an address is one: it may have several hosts.
    let user = rest
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'));
    let mut found: Vec<String> = user
        .iter()
        .map(|(_, password)| (*password).to_owned())
        .collect();
    let Ok(url) = Url::parse(text) else {
        return found;
    };
    found.extend(url.password().map(str::to_owned));
    let hook = scheme.starts_with("http");
    let parameters = url.query_pairs();
    let secret = parameters.filter(|(name, value)| name == "password" || (hook && !is_word(value)));
    found.extend(secret.map(|(_, value)| value.into_owned()));
    if hook {
        let path = url.path().trim_matches('/');
        found.extend(
            path.split('/')
                .filter(|part| !is_word(part))
                .map(str::to_owned),
        );
        found.push(path.to_owned());
    }
    found
}

/// A part of an address that everybody has, such as `services` and `webhooks`.
fn is_word(part: &str) -> bool {
    part.len() < LONGEST_WORD && part.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn forms(secret: &str) -> Vec<String> {
    let decoded = percent_decoded(secret);
    let encoded = percent_encoded(&decoded);
    let mut all = vec![encoded.to_lowercase()];
    for text in [secret, &decoded, &encoded] {
        let json = serde_json::Value::from(text).to_string();
        let json = json.trim_matches('"');
        all.extend([
            text.to_owned(),
            json.to_owned(),
            in_ascii(json),
            // As Rust's own debugging quotes it.
            format!("{text:?}").trim_matches('"').to_owned(),
        ]);
        all.extend((0..3).flat_map(|before| base64_within(text, before)));
    }
    all.retain(|form| form.len() >= SHORTEST);
    all
}

/// JSON of those who escape all that is not ASCII.
fn in_ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out += &format!("\\u{unit:04x}");
            }
        }
    }
    out
}

/// What base64 makes of a secret wherever it begins in what is encoded: without the characters that depend
/// on what stands before and after.
fn base64_within(secret: &str, before: usize) -> [String; 2] {
    let bytes = [&[0].repeat(before), secret.as_bytes()].concat();
    let skipped = [0, 2, 3][before];
    let whole = bytes.len() / 3 * 4;
    let inner = |text: String| text.get(skipped..whole).unwrap_or_default().to_owned();
    [
        inner(STANDARD_NO_PAD.encode(&bytes)),
        inner(URL_SAFE_NO_PAD.encode(&bytes)),
    ]
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |out, byte| {
        if byte.is_ascii_alphanumeric() || UNRESERVED.contains(&byte) {
            out + char::from(byte).encode_utf8(&mut [0; 4])
        } else {
            out + &format!("%{byte:02X}")
        }
    })
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_in_every_form() {
        let secret = r#"p@s/s%w"é"#;
        for setting in [
            "postgres://tiki:p%40s%2fs%25w%22%C3%A9@h/d".to_owned(),
            format!("redis://h/1?password={}", percent_encoded(secret)),
            secret.to_owned(),
        ] {
            let forms: Vec<String> = secrets(&setting)
                .iter()
                .flat_map(|one| forms(one))
                .collect();
            for text in [
                secret,
                "p%40s%2Fs%25w%22%C3%A9",
                "p%40s%2fs%25w%22%c3%a9",
                r#"p@s/s%w\"é"#,
                r#"p@s/s%w\"\u00e9"#,
                // Of the secret alone, of tiki:<secret>, and of <0>tiki<0><secret>.
                &STANDARD_NO_PAD.encode(secret),
                &STANDARD_NO_PAD.encode(format!("tiki:{secret}")),
                &STANDARD_NO_PAD.encode(format!("\0tiki\0{secret}")),
            ] {
                let is_known = forms.iter().any(|form| text.contains(form.as_str()));
                assert!(is_known, "{text} of {setting}: {forms:?}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_of_an_address_is_shown() {
        for (setting, secret) in [
            ("smtp://tiki:p%40ssw0rd@h?tls=required", Some("p%40ssw0rd")),
            (
                "postgres://tiki:p@ss@w0rd@h1:1,h2:2/d?sslmode=verify-full",
                Some("p@ss@w0rd"),
            ),
            ("sqlite:///data/warehouse.db", None),
            ("redis://127.0.0.1:6379/1", None),
        ] {
            let mut found = secrets(setting);
            found.dedup();
            assert_eq!(found, secret.as_slice(), "{setting}");
        }
    }

    #[test]
    fn a_file_is_no_secret_and_what_may_hold_a_password_is_none() {
        for url in ["sqlite:/data/warehouse.db", "sqlite:///data/warehouse.db"] {
            assert!(is_file(url), "{url}");
        }
        for url in [
            "postgres://h/d",
            "/data/warehouse.db",
            "tiki:S3cret@h/d",
            "sqlite:tiki:S3cret@h/d",
            "sqlite:/data/x.db?Password=S3cretS3cret",
            "S3cretS3cret",
        ] {
            assert!(!is_file(url), "{url}");
        }
    }

    #[test]
    fn of_a_webhook_all_after_its_host_is_secret() {
        let secrets = secrets(
            "https://hooks.slack.com/services/T0000/B0000/XXXXXXXXXXXX?thread_key=YYYYYYYY",
        );
        assert!(
            !secrets.iter().any(|secret| secret == "services"),
            "{secrets:?}"
        );
        for part in [
            "services/T0000/B0000/XXXXXXXXXXXX",
            "XXXXXXXXXXXX",
            "YYYYYYYY",
        ] {
            assert!(secrets.iter().any(|secret| secret == part), "{secrets:?}");
        }
    }
}
