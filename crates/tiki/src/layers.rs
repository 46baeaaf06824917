//! Where each setting's value comes from: flag > environment > `tiki.toml` > default.
//!
//! Not here: which settings there are (`setting`), what is made of them (`config`).

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::secret::{HIDDEN, masked};
use crate::setting::{SETTINGS, Setting};
use crate::value::Kind;

/// The largest `tiki.toml` and the largest file of a secret.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Settings of Airflow's DAGs alone (`airflow/dags/tiki_pipeline/steps.py`), which may stand in the same
/// environment.
const OF_THE_DAGS: [&str; 1] = ["TIKI_CRAWL_SHARDS"];

/// Where values may come from, as given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    /// Names of settings and what flags said.
    pub(crate) flags: Vec<(&'static str, String)>,
    /// The environment's variables that begin with `TIKI_`.
    pub(crate) environment: Vec<(String, String)>,
    /// `--config`.
    pub(crate) file: Option<PathBuf>,
    /// The current folder.
    pub(crate) folder: PathBuf,
}

/// Where a value came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// A flag.
    Flag,
    /// The environment.
    Environment,
    /// `tiki.toml`.
    File,
    /// Nowhere.
    Default,
}

impl Origin {
    /// The word that people see.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "tiki.toml",
            Self::Default => "default",
        }
    }
}

/// A setting in force.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    /// Which.
    pub(crate) setting: &'static Setting,
    /// Its value as text; empty: none.
    pub(crate) text: String,
    /// Where it came from.
    pub(crate) origin: Origin,
}

impl Effective {
    /// The value as it may be shown.
    pub(crate) fn shown(&self) -> String {
        let hidden = matches!(
            self.setting.kind,
            Kind::Secret | Kind::Hook { .. } | Kind::Smtp
        );
        if hidden && !self.text.is_empty() {
            return HIDDEN.into();
        }
        match masked(&self.text) {
            shown if self.setting.secret && !shown.contains("://") && !self.text.is_empty() => {
                // A path of SQLite is no secret; anything else that is no URL may be one.
                if shown.starts_with("sqlite:") {
                    shown
                } else {
                    HIDDEN.into()
                }
            }
            shown => shown,
        }
    }
}

/// The settings in force, and the folder at which relative paths begin.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// In the order of the table.
    pub(crate) all: Vec<Effective>,
    /// The folder of `tiki.toml`, else the current one.
    pub(crate) anchor: PathBuf,
    /// The `tiki.toml` that was read.
    pub(crate) file: Option<PathBuf>,
}

impl Layers {
    /// Decides every setting. An unknown key or variable is an error.
    pub(crate) fn resolve(&self) -> Result<Resolved, Failure> {
        let (file, anchor) = self.find_file();
        let keys = file
            .as_deref()
            .map(read_file)
            .transpose()?
            .unwrap_or_default();
        let environment = self.read_environment()?;
        let mut all = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let flags: Vec<&str> = of(&self.flags, setting.name).collect();
            let said = |list: &[(String, String)], name: &str| {
                list.iter()
                    .find(|(key, _)| key == name)
                    .map(|(_, text)| text.clone())
            };
            let (text, origin) = if !flags.is_empty() {
                (flags.join(","), Origin::Flag)
            } else if let Some(text) = said(&environment, setting.name) {
                (text, Origin::Environment)
            } else if let Some(text) = said(&keys, &setting.key()) {
                (text, Origin::File)
            } else {
                (setting.default.to_owned(), Origin::Default)
            };
            if !text.is_empty() {
                setting
                    .kind
                    .parse(&text)
                    .map_err(|why| wrong(setting, &text, origin, &why))?;
            }
            all.push(Effective {
                setting,
                text,
                origin,
            });
        }
        Ok(Resolved { all, anchor, file })
    }

    fn find_file(&self) -> (Option<PathBuf>, PathBuf) {
        let file = match &self.file {
            Some(file) => Some(self.folder.join(file)),
            None => Some(self.folder.join("tiki.toml")).filter(|file| file.exists()),
        };
        let folder = file
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(&self.folder)
            .to_owned();
        (file, folder)
    }

    /// The variables that are set, those given as files read. An empty one counts as not set.
    fn read_environment(&self) -> Result<Vec<(String, String)>, Failure> {
        let mut known: Vec<(String, String)> = Vec::new();
        for (name, text) in &self.environment {
            let of_others = OF_THE_DAGS.contains(&name.as_str()) || name.starts_with("TIKI_TEST_");
            if of_others || text.is_empty() {
                continue;
            }
            if SETTINGS.iter().any(|setting| setting.name == name) {
                known.push((name.clone(), text.clone()));
                continue;
            }
            let secret = name.strip_suffix("_FILE").and_then(|name| {
                SETTINGS
                    .iter()
                    .find(|setting| setting.secret && setting.name == name)
            });
            let Some(secret) = secret else {
                let names = SETTINGS.iter().map(|setting| setting.name.to_owned());
                let guess = closest(name, names);
                return Err(Failure::usage(format!("there is no setting {name}"))
                    .why("it is set in the environment")
                    .help(guess));
            };
            if self
                .environment
                .iter()
                .any(|(other, text)| other == secret.name && !text.is_empty())
            {
                return Err(
                    Failure::usage(format!("{} and {name} are both set", secret.name))
                        .help("set one of them only"),
                );
            }
            known.push((
                secret.name.to_owned(),
                read_text(Path::new(text))?.trim().to_owned(),
            ));
        }
        Ok(known)
    }
}

fn of<'a>(
    flags: &'a [(&'static str, String)],
    name: &'a str,
) -> impl Iterator<Item = &'a str> + 'a {
    flags
        .iter()
        .filter(move |(flag, _)| *flag == name)
        .map(|(_, text)| text.as_str())
}

fn wrong(setting: &Setting, text: &str, origin: Origin, why: &str) -> Failure {
    let shown = if setting.secret {
        HIDDEN.to_owned()
    } else {
        masked(text)
    };
    let place = match origin {
        Origin::Flag => setting.flag.unwrap_or("a flag").to_owned(),
        Origin::Environment => setting.name.to_owned(),
        Origin::File | Origin::Default => format!("{} in tiki.toml", setting.key()),
    };
    Failure::usage(format!("{place} = {shown:?} {why}")).help(format!(
        "{}: {}; it takes {}",
        place,
        setting.doc,
        setting.kind.describe()
    ))
}

/// The keys of a file, as text.
fn read_file(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let text = read_text(path)?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start].lines().count().max(1));
        Failure::usage(format!("{} cannot be read", path.display()))
            .why(format!("line {line}: {}", error.message()))
            .help("it is a list of `key = value` lines; `tiki config show` names the keys")
    })?;
    let mut keys = Vec::new();
    for (key, value) in table {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key() == key) else {
            let guess = closest(&key, SETTINGS.iter().map(Setting::key));
            return Err(Failure::usage(format!("there is no setting {key:?}"))
                .why(format!("it stands in {}", path.display()))
                .help(guess));
        };
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Array(items) => {
                let words = items.iter().map(|item| match item {
                    toml::Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                words.collect::<Vec<_>>().join(",")
            }
            toml::Value::Table(_) => {
                return Err(
                    Failure::usage(format!("{key} in {} is a table", path.display()))
                        .help(format!("write it as {key} = <{}>", setting.kind.describe())),
                );
            }
            other => other.to_string(),
        };
        if !text.is_empty() {
            keys.push((key, text));
        }
    }
    Ok(keys)
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let size = std::fs::metadata(path).map(|metadata| metadata.len());
    let text = match size {
        Ok(size) if size > MAX_FILE_BYTES => Err(std::io::Error::other(format!(
            "it has {size} bytes, at most 1 MB is read"
        ))),
        Ok(_) => std::fs::read_to_string(path),
        Err(error) => Err(error),
    };
    text.map_err(|error| {
        Failure::usage(format!("cannot read {}", path.display()))
            .why(error.to_string())
            .help("give the path of a file that this user may read")
    })
}

/// What was probably meant, as a sentence.
pub(crate) fn closest(word: &str, among: impl Iterator<Item = String>) -> String {
    let best = among
        .map(|name| (strsim::jaro_winkler(word, &name), name))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match best {
        Some((alike, name)) if alike > 0.8 => format!("did you mean {name}?"),
        _ => "`tiki config show` lists all settings".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(folder: &Path) -> Layers {
        Layers {
            folder: folder.to_owned(),
            ..Layers::default()
        }
    }

    fn value(resolved: &Resolved, name: &str) -> (String, &'static str) {
        let found = resolved
            .all
            .iter()
            .find(|effective| effective.setting.name == name)
            .unwrap();
        (found.shown(), found.origin.as_str())
    }

    #[test]
    fn settings_of_the_dags_are_none_of_the_programs_and_no_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let mut layers = layers(folder.path());
        let text = include_str!("../../../airflow/dags/tiki_pipeline/steps.py");
        for name in OF_THE_DAGS {
            assert!(text.contains(&format!("{name:?}: ")), "{name}");
            layers.environment.push((name.into(), "4".into()));
        }
        layers.resolve().unwrap();
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
        let folder = tempfile::tempdir().unwrap();
        let name = "TIKI_DATA_DIR";
        let mut layers = layers(folder.path());
        let is = |layers: &Layers, text: &str, origin: &'static str| {
            assert_eq!(
                value(&layers.resolve().unwrap(), name),
                (text.to_owned(), origin)
            );
        };
        is(&layers, "./data", "default");
        std::fs::write(folder.path().join("tiki.toml"), "data_dir = \"a\"\n").unwrap();
        is(&layers, "a", "tiki.toml");
        layers.environment.push((name.into(), String::new()));
        is(&layers, "a", "tiki.toml");
        layers.environment.push((name.into(), "b".into()));
        is(&layers, "b", "environment");
        layers.flags.push((name, "c".into()));
        is(&layers, "c", "flag");
    }

    #[test]
    fn an_unknown_or_wrong_setting_is_an_error_that_helps() {
        let folder = tempfile::tempdir().unwrap();
        for (variable, text, file, said) in [
            ("TIKI_RATE_LIMT", "1", "", "did you mean TIKI_RATE_LIMIT?"),
            (
                "TIKI_RATE_LIMIT",
                "fast",
                "",
                "TIKI_RATE_LIMIT = \"fast\" is not a number",
            ),
            (
                "TIKI_RATE_LIMIT",
                "1",
                "rate_limt = 1",
                "did you mean rate_limit?",
            ),
            ("TIKI_RATE_LIMIT", "1", "[rate_limit]", "is a table"),
            ("TIKI_RATE_LIMIT", "1", "\nrate_limit =", "line 2"),
            (
                "TIKI_RATE_LIMIT",
                "1",
                "details = 'all'",
                "one of auto, always, never",
            ),
            (
                "TIKI_REDIS_URL_FILE",
                "/nonexistent",
                "",
                "cannot read /nonexistent",
            ),
            (
                "TIKI_RATE_LIMIT_FILE",
                "/nonexistent",
                "",
                "there is no setting",
            ),
        ] {
            std::fs::write(folder.path().join("tiki.toml"), file).unwrap();
            let mut layers = layers(folder.path());
            layers.environment.push((variable.into(), text.into()));
            let failure = layers.resolve().expect_err(said);
            assert_eq!(failure.exit.code(), 2);
            assert!(failure.to_string().contains(said), "{failure}");
        }
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_is_masked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "postgres://u:s3cret@h/d\n").unwrap();
        let mut layers = layers(folder.path());
        layers.environment.push((
            "TIKI_DATABASE_URL_FILE".into(),
            file.to_string_lossy().into_owned(),
        ));
        let resolved = layers.resolve().unwrap();
        let shown = value(&resolved, "TIKI_DATABASE_URL");
        assert_eq!(shown, ("postgres://***@h/d".into(), "environment"));
        layers
            .environment
            .push(("TIKI_DATABASE_URL".into(), "sqlite:x".into()));
        assert!(
            layers
                .resolve()
                .unwrap_err()
                .to_string()
                .contains("both set")
        );
    }
}
