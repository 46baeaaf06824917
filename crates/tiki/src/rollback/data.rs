//! `tiki rollback data`: to the newest proven backup from before a run.
//!
//! Not here: restoring, comparing and swapping (`warehouse`).

use pipeline::Exit;
use serde_json::{Value, json};
use warehouse::{Backup, Backups, Both, Differences, Restored, Run, RunState};

use crate::arguments::RollbackData;
use crate::failure::{Failure, Outcome};
use crate::{Context, open, print, run};

/// Runs that are looked through for the newest that changed anything.
const RUNS: i64 = 1_000;

/// `tiki rollback data`.
pub(super) async fn back(context: &Context, arguments: &RollbackData) -> Outcome {
    let backups = open::backups(context, false)?;
    let swap = arguments.force;
    let (id, before) = chosen(context, &backups, arguments).await?;
    let mut told = Told {
        json: arguments.json,
        value: json!({ "backup": id, "before_run": before, "swapped": false }),
    };
    if swap {
        refuse_leases(context).await?;
        if !arguments.no_backup {
            told.kept_as(&present(context, &backups).await?)?;
        }
    }
    context
        .screen
        .say(&format!("restoring backup {id} beside the warehouse"));
    let restored = backups
        .roll_back(&id, swap, |backup, found| told.differences(backup, found))
        .await?;
    if let Some(restored) = restored {
        told.restored(&restored)?;
        return Ok(Exit::Done);
    }
    told.end()?;
    if arguments.dry_run {
        return Ok(Exit::Done);
    }
    Err(Failure::usage("nothing was changed")
        .why("the warehouse is replaced only with --force")
        .help("the same command with --force puts the backup in its place; --dry-run only looks"))
}

/// The backup to go back to, and the run that it is from before.
async fn chosen(
    context: &Context,
    backups: &Backups,
    arguments: &RollbackData,
) -> Outcome<(String, Option<String>)> {
    if let Some(id) = &arguments.backup {
        return Ok((id.clone(), None));
    }
    let Some(warehouse) = open::ledger(context, false).await? else {
        return Err(open::empty(context, false, false).await);
    };
    let run = if let Some(id) = &arguments.before {
        run::find(&warehouse, id).await?
    } else {
        let runs = warehouse.runs(RUNS).await?;
        runs.into_iter().find(changed_anything).ok_or_else(|| {
            let what = "no run changed anything, so there is nothing to go back from";
            Failure::new(Exit::Nothing, what).help(
                "name a run (--before) or a backup (--backup): `tiki runs`, `tiki backup list`",
            )
        })?
    };
    let found = backups.newest_proven_before(run.created_at)?;
    let backup = found.ok_or_else(|| {
        Failure::usage(format!(
            "no proven backup of this warehouse is from before run {}, which began at {}",
            run.id, run.created_at
        ))
        .help("`tiki backup list` shows those there are, and `tiki backup verify <id>` proves one; or name an older run")
    })?;
    Ok((backup.manifest.id, Some(run.id)))
}

/// Whether a run may have changed a record.
fn changed_anything(run: &Run) -> bool {
    let totals: Option<Value> = run
        .totals
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok());
    match (run.state, totals) {
        (RunState::Held, _) => false,
        (_, None) => true,
        (_, Some(totals)) => ["new", "changed", "late", "gone"]
            .iter()
            .any(|field| totals["products"][field].as_i64() != Some(0)),
    }
}

/// Early, before the work of a backup; the swap itself asks again when nobody can begin any more.
async fn refuse_leases(context: &Context) -> Outcome<()> {
    let Some(warehouse) = open::ledger(context, false).await? else {
        return Ok(());
    };
    let unfinished = warehouse.unfinished_runs().await?;
    match unfinished.into_iter().find(|run| run.leased) {
        None => Ok(()),
        Some(run) => Err(pipeline::Error::Held(format!(
            "run {} is at work in this warehouse: end it first, or wait until its lease is over",
            run.id
        ))
        .into()),
    }
}

/// A proven backup of the present, by which the way back can be gone back.
async fn present(context: &Context, backups: &Backups) -> Outcome<Backup> {
    context
        .screen
        .say("making and proving a backup of the warehouse as it is now");
    let made = backups.create().await?;
    let proven = backups.verify(Some(&made.manifest.id)).await?;
    Ok(proven.unwrap_or(made))
}

/// What people and machines are told: people at once, machines at the end.
struct Told {
    json: bool,
    value: Value,
}

impl Told {
    fn kept_as(&mut self, backup: &Backup) -> Outcome<()> {
        let id = &backup.manifest.id;
        self.value["present"] = json!(id);
        self.people(&format!(
            "the warehouse as it is now is backup {id}; back again: tiki rollback data --backup {id} --force\n\n"
        ))
    }

    fn differences(&mut self, backup: &Backup, found: &Differences) -> Outcome<()> {
        self.value["made_at"] = json!(backup.manifest.created_at);
        self.value["differences"] = json!(found);
        let shown = |count: &Option<i64>| count.map_or("–".into(), |count| count.to_string());
        let row = |(name, both): (&String, &Both<Option<i64>>)| {
            vec![name.clone(), shown(&both.now), shown(&both.then)]
        };
        let rows: Vec<Vec<String>> = found.rows.iter().map(row).collect();
        let newest = |time: &Option<String>| time.clone().unwrap_or_else(|| "none".into());
        let before = self.value["before_run"].as_str();
        let before = before.map_or(String::new(), |run| format!(", from before run {run}"));
        let dots = if found.newest_runs_gone.len() as u64 == found.runs_gone {
            ""
        } else {
            ", …"
        };
        let runs = if found.newest_runs_gone.is_empty() {
            String::new()
        } else {
            format!(": {}{dots}", found.newest_runs_gone.join(", "))
        };
        let text = format!(
            "backup {}, made {}{before}\n\n{}\nproducts     {} would say something else, {} would be gone, {} would be back\n\
             newest look  now {}, then {}\nruns         {} would be gone{runs}\n",
            backup.manifest.id,
            backup.manifest.created_at,
            print::table(&["rows of", "now", "then"], &rows),
            found.products_changed,
            found.products_gone,
            found.products_back,
            newest(&found.newest_observation.now),
            newest(&found.newest_observation.then),
            found.runs_gone,
        );
        self.people(&text)
    }

    fn restored(&mut self, restored: &Restored) -> Outcome<()> {
        self.value["swapped"] = json!(true);
        self.value["abandoned_runs"] = json!(restored.abandoned);
        self.value["kept"] = json!(restored.kept);
        let kept = restored.kept.as_ref().map_or(String::new(), |kept| {
            format!("what was there before is kept as {kept} too; remove it when you do not need it any more\n")
        });
        self.people(&format!(
            "\nthe backup is in place; {} unfinished runs are abandoned\n{kept}the next run: tiki run --new\n",
            restored.abandoned
        ))?;
        self.end()
    }

    fn people(&self, text: &str) -> Outcome<()> {
        if self.json { Ok(()) } else { print::text(text) }
    }

    fn end(&self) -> Outcome<()> {
        if self.json {
            print::json(&self.value)
        } else {
            Ok(())
        }
    }
}
