//! `tiki health`: whether all is well, for whoever watches.
//!
//! Not here: what is looked at and what is made of it (`pipeline::health`).

use std::path::{Path, PathBuf};

use pipeline::Exit;
use pipeline::health::{self, Asked, Health, PATIENCE, State};
use serde_json::{Value, json};
use warehouse::Warehouse;

use crate::arguments::HealthArguments;
use crate::failure::{Outcome, warehouse_help};
use crate::secret::masked;
use crate::{Context, open, print, way};

/// `tiki health`.
pub(crate) async fn health(context: &Context, arguments: &HealthArguments) -> Outcome {
    let output = arguments.output;
    let open = open::to_look(context, output.demo, PATIENCE);
    let health = report(context, output.demo, open).await;
    if output.json {
        print::json(&as_json(&health))?;
    } else {
        print::text(&as_text(&health))?;
    }
    let warned = health
        .checks
        .iter()
        .any(|check| check.state == State::Warning);
    Ok(match health.exit() {
        Exit::Done if arguments.strict && warned => Exit::NeedsFixes,
        exit => exit,
    })
}

/// Looks at everything once; `open` opens the warehouse. Its texts hold no secrets.
pub(crate) async fn report(
    context: &Context,
    demo: bool,
    open: impl Future<Output = warehouse::Result<Option<Warehouse>>> + Send + 'static,
) -> Health {
    let config = &context.config;
    let asked = Asked {
        address: open::address(context, demo),
        origin: config.origin.to_string(),
        redis_url: config.redis_url.clone(),
        folders: folders(context),
        clock: way::clock(context),
        patience: PATIENCE,
    };
    let facts = health::look(open, &asked).await;
    let help = |error: &warehouse::Error| warehouse_help(error).map(str::to_owned);
    let mut health = health::judge(&facts, &asked, &config.health, help);
    for check in &mut health.checks {
        check.seen = masked(&check.seen);
    }
    health
}

/// The folders that need room: that of the data, and that of an SQLite warehouse.
pub(crate) fn folders(context: &Context) -> Vec<PathBuf> {
    let config = &context.config;
    let mut folders = vec![config.data_dir.clone()];
    let file = config.database_url.strip_prefix("sqlite:");
    folders.extend(file.and_then(|path| Some(Path::new(path).parent()?.to_owned())));
    folders
}

/// As `--json` prints it.
pub(crate) fn as_json(health: &Health) -> Value {
    json!({
        "healthy": health.exit() == Exit::Done,
        "exit_code": health.exit().code(),
        "checks": health.checks,
    })
}

fn as_text(health: &Health) -> String {
    let cells = |check: &health::Check| {
        vec![
            check.name.to_owned(),
            check.state.as_str().to_owned(),
            check.seen.clone(),
            check.limit.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = health.checks.iter().map(cells).collect();
    let mut text = print::table(&["what", "state", "seen", "limit"], &rows);
    for check in &health.checks {
        if let Some(help) = &check.help {
            text += &format!("{}: {help}\n", check.name);
        }
    }
    text
}
