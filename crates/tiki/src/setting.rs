//! What a setting is.
//!
//! Not here: which there are (`table`), where a value comes from (`layers`), what is made of it (`config`).

mod alerts;
mod table;

pub(crate) use table::SETTINGS;

/// The variables of the environment that hold secrets.
pub(crate) fn secrets() -> Vec<&'static str> {
    let all = SETTINGS.iter().filter(|setting| setting.secret);
    all.map(|setting| setting.name).collect()
}

use crate::value::Kind;

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// The environment variable; the key in `tiki.toml` is the same in lower case without `TIKI_`.
    pub(crate) name: &'static str,
    /// What values it takes.
    pub(crate) kind: Kind,
    /// As it would be written; empty: none.
    pub(crate) default: &'static str,
    /// The flag that sets it, if there is one.
    pub(crate) flag: Option<&'static str>,
    /// Never shown whole; may also be given as a file (`<NAME>_FILE`).
    pub(crate) secret: bool,
    /// What it means.
    pub(crate) doc: &'static str,
}

impl Setting {
    /// The key in `tiki.toml`.
    pub(crate) fn key(&self) -> String {
        self.name.trim_start_matches("TIKI_").to_lowercase()
    }
}

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting {
        name,
        kind,
        default,
        flag: None,
        secret: false,
        doc,
    }
}

const fn flagged(flag: &'static str, setting: Setting) -> Setting {
    Setting {
        flag: Some(flag),
        ..setting
    }
}

const fn secret(setting: Setting) -> Setting {
    Setting {
        secret: true,
        ..setting
    }
}

#[cfg(test)]
mod tests {
    use super::SETTINGS;

    #[test]
    fn every_default_is_a_value_of_its_setting() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            assert!(setting.name.starts_with("TIKI_"), "{}", setting.name);
            if !setting.default.is_empty() {
                setting.kind.parse(setting.default).expect(setting.name);
            }
            assert!(
                SETTINGS[..index]
                    .iter()
                    .all(|other| other.name != setting.name)
            );
        }
    }
}
