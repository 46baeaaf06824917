//! `tiki config show`: every setting in force and where it comes from.
//!
//! Not here: deciding that (`layers`).

use pipeline::Exit;
use serde_json::{Value, json};

use crate::failure::Outcome;
use crate::secret::masked;
use crate::setting::SETTINGS;
use crate::{Context, print};

/// `tiki config show`.
pub(crate) fn show(context: &Context, as_json: bool, markdown: bool) -> Outcome {
    if markdown {
        print::text(&table_of_settings())?;
        return Ok(Exit::Done);
    }
    if as_json {
        let all: Vec<Value> = context
            .resolved
            .all
            .iter()
            .map(|effective| {
                json!({
                    "name": effective.setting.name,
                    "key": effective.setting.key(),
                    "value": shown(context, effective),
                    "source": effective.origin.as_str(),
                    "default": effective.setting.default,
                    "means": effective.setting.doc,
                })
            })
            .collect();
        print::json(&all)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = context
        .resolved
        .all
        .iter()
        .map(|effective| {
            let value = shown(context, effective);
            vec![
                effective.setting.name.into(),
                value,
                effective.origin.as_str().into(),
            ]
        })
        .collect();
    print::text(&print::table(&["setting", "value", "source"], &rows))?;
    let file = context.resolved.file.as_ref();
    context.screen.say(&match file {
        Some(file) => format!("settings file: {}", file.display()),
        None => "settings file: none (tiki.toml of the current folder would be read)".into(),
    });
    Ok(Exit::Done)
}

/// A value in force as it may be shown; paths are absolute.
fn shown(context: &Context, effective: &crate::layers::Effective) -> String {
    match effective.setting.name {
        "TIKI_DATA_DIR" => context.config.data_dir.display().to_string(),
        "TIKI_DATABASE_URL" => masked(&context.config.database_url),
        // Its default follows the other two schedules.
        "TIKI_CLEANUP_SCHEDULE" if context.config.cleanup_schedule.is_none() => "off".into(),
        _ => effective.shown(),
    }
}

/// The table of docs/PARAMETERS.md.
fn table_of_settings() -> String {
    let mut text = String::from(
        "| environment | `tiki.toml` | flag | default | takes | means |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for setting in SETTINGS {
        let code = |text: &str| {
            if text.is_empty() {
                "–".to_owned()
            } else {
                format!("`{text}`")
            }
        };
        let secret = if setting.secret {
            format!(" (secret; also as a file: `{}_FILE`)", setting.name)
        } else {
            String::new()
        };
        text += &format!(
            "| `{}` | `{}` | {} | {} | {} | {}{secret} |\n",
            setting.name,
            setting.key(),
            code(setting.flag.unwrap_or("")),
            code(setting.default),
            cell(setting.kind.describe()),
            cell(setting.doc)
        );
    }
    text
}

/// Text of a cell: Markdown reads `|` as the end of a cell and `<…>` as a tag.
fn cell(text: impl AsRef<str>) -> String {
    text.as_ref().replace('|', "\\|").replace('<', "&lt;")
}
