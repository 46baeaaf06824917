//! `tiki rollback data`: to the newest proven backup from before a run.
//!
//! Not here: restoring, comparing and swapping (`warehouse`).

use pipeline::Exit;
use serde_json::{Value, json};
use warehouse::{Backup, Backups, Both, Differences, Restored, Run, RunState, Warehouse};

use crate::arguments::RollbackData;
use crate::backup::warn_of_outside;
use crate::failure::{Failure, Outcome};
use crate::{Context, open, print, run};

/// Runs that are looked through for the newest that changed anything.
const RUNS: i64 = 1_000;

/// Characters of an id in an error.
const SHOWN_CHARS: usize = 128;

/// `tiki rollback data`.
pub(super) async fn back(context: &Context, arguments: &RollbackData) -> Outcome {
    let demo = arguments.demo;
    let backups = open::backups(context, demo)?;
    let swap = arguments.force;
    if swap {
        refuse_leases(context, demo).await?;
    }
    let (id, before) = if let Some(id) = &arguments.backup {
        (known(&backups, id, demo)?, None)
    } else {
        let (id, run) = from_before(context, &backups, arguments).await?;
        (id, Some(run))
    };
    let mut told = Told {
        json: arguments.json,
        flag: open::flag(demo),
        value: json!({ "backup": id, "before_run": before, "swapped": false }),
    };
    if swap && !arguments.no_backup {
        told.kept_as(&present(context, &backups).await?)?;
    }
    context
        .screen
        .say(&format!("restoring backup {id} beside the warehouse"));
    let restored = backups
        .roll_back(&id, swap, |backup, found| told.differences(backup, found))
        .await?;
    if let Some(restored) = restored {
        warn_of_outside(context, &restored);
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

/// The id of a backup, if it is there: before the work of one of the present.
fn known(backups: &Backups, id: &str, demo: bool) -> Outcome<String> {
    let mut listed = backups.list()?.backups.into_iter();
    if listed.any(|backup| backup.manifest.id == id) {
        return Ok(id.to_owned());
    }
    let shown = catalog::one_line(id, SHOWN_CHARS);
    let help = format!(
        "`tiki backup list{}` shows those there are",
        open::flag(demo)
    );
    Err(Failure::usage(format!("there is no backup {shown:?}")).help(help))
}

/// The newest proven backup from before a run (none named: the newest that changed anything), and that run.
async fn from_before(
    context: &Context,
    backups: &Backups,
    arguments: &RollbackData,
) -> Outcome<(String, String)> {
    let (demo, flag) = (arguments.demo, open::flag(arguments.demo));
    let Some(warehouse) = open::ledger(context, demo).await? else {
        return Err(open::empty(context, demo, false).await);
    };
    let run = match &arguments.before {
        Some(id) => run::find(&warehouse, id, demo).await?,
        None => newest_change(&warehouse).await?.ok_or_else(|| {
            let what = "no run changed anything, so there is nothing to go back from";
            Failure::new(Exit::Nothing, what).help(format!(
                "name a run (--before) or a backup (--backup): `tiki runs{flag}`, `tiki backup list{flag}`"
            ))
        })?,
    };
    if let Some(backup) = backups.newest_proven_before(run.created_at)? {
        return Ok((backup.manifest.id, run.id));
    }
    let failure = Failure::usage(format!(
        "no proven backup of this warehouse is from before run {}, which began at {}",
        run.id, run.created_at
    ));
    Err(match backups.newest_proven_elsewhere(run.created_at)? {
        Some(other) => failure
            .why(format!(
                "backup {} is of the warehouse at {}, which is not the address of this one",
                other.manifest.id, other.manifest.warehouse
            ))
            .help(format!(
                "if that is this warehouse before it was moved or named otherwise, go on with --backup {}{flag}; \
                 else `tiki backup verify <id>{flag}` proves one of this one, and `tiki backup list{flag}` shows \
                 all",
                other.manifest.id
            )),
        None => failure.help(format!(
            "`tiki backup list{flag}` shows those there are, and `tiki backup verify <id>{flag}` proves one; or name \
             an older run"
        )),
    })
}

/// The newest run that changed a record.
async fn newest_change(warehouse: &Warehouse) -> Outcome<Option<Run>> {
    for run in warehouse.runs(RUNS).await? {
        if run.state == RunState::Held {
            continue;
        }
        let frozen = run.totals.as_deref();
        let counts = frozen.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let changed = if let Some(counts) = counts {
            let of = |field| counts["products"][field].as_i64() != Some(0);
            ["new", "changed", "late", "gone"].into_iter().any(of)
        } else {
            // It has not ended; what it loaded is there all the same.
            let products = warehouse.identities(&run.id).await?.products;
            products.new + products.changed + products.late + products.gone > 0
        };
        if changed {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// Early, before the work of a backup; the swap itself asks again when nobody can begin any more.
async fn refuse_leases(context: &Context, demo: bool) -> Outcome<()> {
    let Some(warehouse) = open::ledger(context, demo).await? else {
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
    /// See [`open::flag`].
    flag: &'static str,
    value: Value,
}

impl Told {
    fn kept_as(&mut self, backup: &Backup) -> Outcome<()> {
        let (id, flag) = (&backup.manifest.id, self.flag);
        self.value["present"] = json!(id);
        self.people(&format!(
            "the warehouse as it is now is backup {id}; back again: tiki rollback data --backup {id} --force{flag}\n\n"
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
        self.value["outside"] = json!(restored.outside);
        let kept = restored.kept.as_ref().map_or(String::new(), |kept| {
            format!("what was there before is kept as {kept} too; remove it when you do not need it any more\n")
        });
        // The demo's next days follow those that it has.
        let next = if self.flag.is_empty() {
            "--new"
        } else {
            "--demo"
        };
        self.people(&format!(
            "\nthe backup is in place; {} unfinished runs are abandoned\n{kept}the next run: tiki run {next}\n",
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
