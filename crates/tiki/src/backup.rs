//! `tiki backup`: making, listing, proving, restoring and thinning out.

use pipeline::Exit;
use serde_json::{Value, json};
use warehouse::{Backup, Backups, KeepBackups, Listed, Manifest, Restored, Verdict};

use crate::arguments::{BackupArguments, BackupCommand, Output};
use crate::failure::{Failure, Outcome};
use crate::telling::Doing;
use crate::{Context, open, print};

/// `tiki backup`. A backup that cannot be made, proven or thinned out is told.
pub(crate) async fn backup(context: &Context, arguments: BackupArguments) -> Outcome {
    let command = arguments.command.unwrap_or(BackupCommand::List {
        output: arguments.output,
    });
    let told = match &command {
        BackupCommand::Create { output, .. } => Some(("backup create", output.demo)),
        BackupCommand::Verify { output, .. } => Some(("backup verify", output.demo)),
        BackupCommand::Prune { output, .. } => Some(("backup prune", output.demo)),
        BackupCommand::List { .. } | BackupCommand::Restore { .. } => None,
    };
    let doing = told
        .filter(|(_, demo)| !demo)
        .map(|(words, _)| Doing::now(words, "", None));
    let outcome = obey(context, command).await;
    if let (Err(failure), Some(doing)) = (&outcome, doing) {
        doing.failed(context, failure).await;
    }
    outcome
}

async fn obey(context: &Context, command: BackupCommand) -> Outcome {
    let of = |output: Output| open::backups(context, output.demo);
    match command {
        BackupCommand::Create {
            verify: proven,
            output,
        } => {
            let backups = of(output)?;
            let there = open::is_made(context, output.demo).await?;
            if !there && backups.list()?.backups.is_empty() {
                return Err(
                    Failure::new(Exit::Nothing, "there is nothing to back up yet").help(
                        "`tiki run` fills the warehouse; `tiki config show` says which one it is",
                    ),
                );
            }
            let made = backups.create().await?;
            if !proven {
                tell_made(&backups, &made, output)?;
                return Ok(Exit::Done);
            }
            verify(context, &backups, Some(&made.manifest.id), output).await
        }
        BackupCommand::List { output } => list(context, &of(output)?, output),
        BackupCommand::Verify { id, output } => {
            verify(context, &of(output)?, id.as_deref(), output).await
        }
        BackupCommand::Restore { id, force, output } => {
            restore(context, &of(output)?, &id, force, output).await
        }
        BackupCommand::Prune { dry_run, output } => prune(context, &of(output)?, dry_run, output),
    }
}

fn tell_made(backups: &Backups, made: &Backup, output: Output) -> Outcome<()> {
    if output.json {
        print::json(&as_json(backups, made))
    } else {
        print::text(&format!(
            "backup {}: {}, {} rows, newest look {}\nin {}\nprove it with: tiki backup verify{}\n",
            made.manifest.id,
            size(made.manifest.bytes),
            rows(&made.manifest),
            newest(&made.manifest),
            made.folder.display(),
            open::flag(output.demo),
        ))
    }
}

fn warn_of_unreadable(context: &Context, listed: &Listed) {
    for (name, why) in &listed.unreadable {
        let told = format!("{name} is no backup that can be read: {why}");
        context.screen.warn(&told);
    }
}

fn say_none(context: &Context, backups: &Backups, listed: &Listed, output: Output) {
    let folder = backups.folder().display();
    let none = if !listed.backups.is_empty() {
        format!("no backup in {folder} is of this warehouse")
    } else if listed.unreadable.is_empty() {
        format!("no backups in {folder} yet")
    } else {
        format!("no backup in {folder} can be read")
    };
    let flag = open::flag(output.demo);
    let screen = &context.screen;
    screen.say(&format!("{none}; `tiki backup create{flag}` makes one"));
}

fn list(context: &Context, backups: &Backups, output: Output) -> Outcome {
    let listed = backups.list()?;
    warn_of_unreadable(context, &listed);
    if output.json {
        let rows = listed.backups.iter();
        let rows = rows.map(|backup| as_json(backups, backup));
        print::json(&rows.collect::<Vec<_>>())?;
    } else if listed.backups.is_empty() {
        say_none(context, backups, &listed, output);
    } else {
        let columns = [
            "id",
            "made",
            "size",
            "rows",
            "newest look",
            "schema",
            "warehouse",
            "verified",
        ];
        let rows = listed.backups.iter();
        let cells = rows.map(|backup| cells(backups, backup));
        print::text(&print::table(&columns, &cells.collect::<Vec<_>>()))?;
    }
    Ok(Exit::Done)
}

async fn verify(context: &Context, backups: &Backups, id: Option<&str>, output: Output) -> Outcome {
    let Some(proven) = backups.verify(id).await? else {
        context.screen.say(&format!(
            "no backups of this warehouse in {} yet: nothing to do",
            backups.folder().display()
        ));
        return Ok(Exit::Nothing);
    };
    if output.json {
        print::json(&as_json(backups, &proven))?;
    } else {
        print::line(&format!(
            "backup {}: restored and counted, {} rows as in its manifest",
            proven.manifest.id,
            rows(&proven.manifest)
        ))?;
    }
    Ok(Exit::Done)
}

async fn restore(
    context: &Context,
    backups: &Backups,
    id: &str,
    force: bool,
    output: Output,
) -> Outcome {
    let (backup, restored) = backups.restore(id, force).await?;
    if !backups.is_own(&backup) {
        context.screen.warn(&format!(
            "backup {id} is of another warehouse, {}: its data is in the place of this one now",
            backup.manifest.warehouse
        ));
    }
    warn_of_outside(context, &restored);
    if output.json {
        print::json(&json!({
            "id": backup.manifest.id,
            "warehouse": backup.manifest.warehouse,
            "rows": backup.manifest.facts.rows,
            "newest_observation": backup.manifest.facts.newest_observation,
            "abandoned_runs": restored.abandoned,
            "kept": restored.kept,
            "outside": restored.outside,
        }))?;
        return Ok(Exit::Done);
    }
    let kept = restored.kept.map_or(String::new(), |kept| {
        format!(
            "what was there before is kept as {kept}; remove it when you do not need it any more\n"
        )
    });
    print::text(&format!(
        "restored {}: {} rows, newest look {}; {} unfinished runs are abandoned\n{kept}",
        backup.manifest.id,
        rows(&backup.manifest),
        newest(&backup.manifest),
        restored.abandoned,
    ))?;
    Ok(Exit::Done)
}

/// What people have made outside the schema does not see the restored tables.
pub(crate) fn warn_of_outside(context: &Context, restored: &Restored) {
    if let (Some(kept), false) = (&restored.kept, restored.outside.is_empty()) {
        context.screen.warn(&format!(
            "outside the schema these still read the tables of before, in {kept}: {}; make them anew \
             (docs/RUNBOOK.md, Backup and restore), before {kept} is dropped",
            restored.outside.join(", ")
        ));
    }
}

fn prune(context: &Context, backups: &Backups, dry_run: bool, output: Output) -> Outcome {
    let listed = backups.list()?;
    warn_of_unreadable(context, &listed);
    let pruned = backups.prune(KeepBackups::default(), context.config.zone(), dry_run)?;
    let mut others = listed.backups.iter().filter(|one| !backups.is_own(one));
    let count = others.clone().count();
    if let Some(newest) = others.next_back() {
        context.screen.say(&format!(
            "{count} more in {} of other warehouses, or of this one at another address, are left alone; the newest is {} \
             of {}",
            backups.folder().display(),
            newest.manifest.id,
            newest.manifest.warehouse
        ));
    }
    let word = |verdict: Verdict| match verdict {
        Verdict::Deleted if dry_run => "would be deleted",
        verdict => verdict.as_str(),
    };
    if output.json {
        let rows = pruned.iter().map(|pruned| {
            json!({
                "id": pruned.manifest.id,
                "created_at": pruned.manifest.created_at,
                "verified_at": pruned.manifest.verified_at,
                "deleted": pruned.verdict == Verdict::Deleted && !dry_run,
                "why": word(pruned.verdict),
            })
        });
        print::json(&rows.collect::<Vec<_>>())?;
    } else if pruned.is_empty() {
        say_none(context, backups, &listed, output);
    } else {
        let cells = pruned.iter().map(|pruned| {
            vec![
                pruned.manifest.id.clone(),
                pruned.manifest.created_at.clone(),
                word(pruned.verdict).to_owned(),
            ]
        });
        print::text(&print::table(
            &["id", "made", "kept as"],
            &cells.collect::<Vec<_>>(),
        ))?;
    }
    Ok(Exit::Done)
}

fn cells(backups: &Backups, backup: &Backup) -> Vec<String> {
    let manifest = &backup.manifest;
    let whose = if backups.is_own(backup) {
        "this one"
    } else {
        &manifest.warehouse
    };
    let verified = match (&manifest.verified_at, backup.is_complete) {
        (_, false) => "its data is missing or has another size",
        (Some(at), true) => at,
        (None, true) => "no",
    };
    vec![
        manifest.id.clone(),
        manifest.created_at.clone(),
        size(manifest.bytes),
        rows(manifest).to_string(),
        newest(manifest).to_owned(),
        manifest.facts.schema_version.clone(),
        whose.to_owned(),
        verified.to_owned(),
    ]
}

/// The manifest, where it is, and whether it is of this warehouse.
fn as_json(backups: &Backups, backup: &Backup) -> Value {
    let mut value = serde_json::to_value(&backup.manifest).unwrap_or_default();
    value["folder"] = backup.folder.display().to_string().into();
    value["complete"] = backup.is_complete.into();
    value["this_warehouse"] = backups.is_own(backup).into();
    value
}

fn rows(manifest: &Manifest) -> i64 {
    manifest.facts.rows.values().sum()
}

fn newest(manifest: &Manifest) -> &str {
    manifest
        .facts
        .newest_observation
        .as_deref()
        .unwrap_or("none")
}

fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
