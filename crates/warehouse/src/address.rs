//! The address of a PostgreSQL server, and what is wrong with one that is none.
//!
//! Not here: what its words about TLS mean (`tls`).

use std::error::Error as _;

use tokio_postgres::Config;

use crate::error::{Error, Result};
use crate::tls::{self, Wish};

/// Of an address in which no name can be given for the fault: what the parser saw may be a part of the password.
const UNNAMED: &str =
    "it does not parse; write special characters of the password as %40 and so on";

/// Takes an address apart.
pub(crate) fn parse(url: &str) -> Result<(Config, Wish)> {
    let (address, wish) = tls::split(url);
    match address.parse() {
        Ok(config) => Ok((config, wish)),
        Err(error) => Err(Error::Address(without_password(url), fault(url, &error))),
    }
}

/// The parameter that the parser does not take, by its name, and the word of `sslmode`.
fn fault(url: &str, error: &tokio_postgres::Error) -> String {
    let said = error.source().map(ToString::to_string).unwrap_or_default();
    for (name, value) in parameters(url) {
        if !is_word(name) {
            continue;
        }
        if said == format!("unknown option `{name}`") {
            return format!("it has a parameter {name}, which is not known here");
        }
        if said == format!("invalid value for option `{name}`") {
            return match name {
                "sslmode" if is_word(value) => format!("sslmode={value} is none of {}", tls::MODES),
                "sslmode" => format!("its sslmode is none of {}", tls::MODES),
                _ => format!("its parameter {name} has a value that cannot be"),
            };
        }
    }
    UNNAMED.into()
}

/// The parameters of an address; none where the password may be what looks like them.
fn parameters(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let may_be_secret = query.contains('@') || query.contains("password");
    let query = if may_be_secret { "" } else { query };
    query.split('&').filter_map(|pair| pair.split_once('='))
}

fn is_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '-');
    !text.is_empty() && text.len() <= 24 && text.chars().all(fits)
}

/// The address as it may be shown: without user, password and parameters.
pub(crate) fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let host = match place.rsplit_once('@') {
        Some((_, host)) => host,
        // The question mark may stand in the password.
        None if parameters.contains('@') => "…",
        None => place,
    };
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (url, shown) in [
            (
                "postgres://u:p@w@h:5432/crawl_data?password=x",
                "postgres://h:5432/crawl_data",
            ),
            ("postgres://h/crawl_data", "postgres://h/crawl_data"),
            ("postgres://u:p?w@h/crawl_data", "postgres://…"),
            ("postgres://u:p/w@h/crawl_data", "postgres://h/crawl_data"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn a_fault_is_named_and_a_password_is_not() {
        for (rest, said) in [
            ("h/d?sslmode=allow", "sslmode=allow is none of disable, "),
            ("h/d?sslmode=S3cret!", "its sslmode is none of disable, "),
            ("h/d?sslmode=require&sslcert=/x.pem", "a parameter sslcert,"),
            ("h/d?connect_timeout=10s", "its parameter connect_timeout "),
            // What looks like a parameter may be a part of a password, or may come after one.
            ("u:p?secret=1@h:x/d", UNNAMED),
            ("u:p@w?secret=1@h/d", UNNAMED),
            ("h/d?password=a&secret=1", UNNAMED),
            ("u:secret@[h/d", UNNAMED),
            ("h/d?secret", UNNAMED),
        ] {
            let Err(Error::Address(shown, why)) = parse(&format!("postgres://{rest}")) else {
                panic!("{rest} parses")
            };
            assert!(why.contains(said), "{rest}: {why}");
            let told = format!("{shown} {why}").to_lowercase();
            assert!(!told.contains("s3cret"), "{rest}: {told}");
            assert!(
                !told.contains("secret=") && !told.contains("parameter secret"),
                "{told}"
            );
        }
    }
}
