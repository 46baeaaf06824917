//! Texts without their secrets: what may be shown of an address or a message.

mod known;

pub(crate) use known::learn;

/// What stands in place of a secret.
pub(crate) const HIDDEN: &str = "***";

/// Every user and password in front of an `@` of a URL, and every `password=` in its parameters, is
/// hidden, and so is every secret of the settings in force, in whatever form; the rest stays as it is.
pub(crate) fn masked(text: &str) -> String {
    // First those that are known: what is known by its place alone may be a part of one.
    let text = known::hide(text.to_owned());
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        // A password may hold the very characters that end a URL in a sentence, so the last `@` before
        // the next URL or line counts; rather too much is hidden than too little.
        let limit = after.find("://").unwrap_or(after.len());
        let limit = after
            .find(['\n', '\r'])
            .map_or(limit, |line| limit.min(line));
        let last = after[..limit].rfind('@').map(|at| at + 1);
        match last {
            Some(last) => {
                shown.push_str(HIDDEN);
                rest = &after[last - 1..];
            }
            None => rest = after,
        }
    }
    shown.push_str(rest);
    hide_parameters(&hide_bare(&shown))
}

/// An address that lost its scheme, `user:password@host`, is one all the same.
fn hide_bare(text: &str) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    let Some(at) = text.rfind('@') else {
        return text.to_owned();
    };
    let begin = text[..at].rfind(['\n', '\r']).map_or(0, |line| line + 1);
    match text[begin..at].find(':') {
        Some(_) => format!("{}{HIDDEN}{}", &text[..begin], &text[at..]),
        None => text.to_owned(),
    }
}

fn hide_parameters(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = lower[from..].find("password=") {
        let begin = from + at + "password=".len();
        shown.push_str(&text[from..begin]);
        shown.push_str(HIDDEN);
        let value = &text[begin..];
        let end = value.find(|c: char| c.is_whitespace() || c == '&' || c == '"');
        from = begin + end.unwrap_or(value.len());
    }
    shown.push_str(&text[from..]);
    shown
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn no_password_is_shown() {
        for (text, shown) in [
            ("postgres://u:p@h:5432/d", "postgres://***@h:5432/d"),
            ("postgres://u:p@w,x@h/d", "postgres://***@h/d"),
            ("redis://:s3cret@h/0", "redis://***@h/0"),
            ("tiki:S3cret@127.0.0.1/x", "***@127.0.0.1/x"),
            ("somebody@example.com", "somebody@example.com"),
            (
                "postgres://h/d?password=x&sslmode=off",
                "postgres://h/d?password=***&sslmode=off",
            ),
            (
                "at https://tiki.vn/a and no more",
                "at https://tiki.vn/a and no more",
            ),
            (
                "a postgres://u:p@h/d b redis://:q@i",
                "a postgres://***@h/d b redis://***@i",
            ),
            ("sqlite:/data/tiki.db", "sqlite:/data/tiki.db"),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }
}
