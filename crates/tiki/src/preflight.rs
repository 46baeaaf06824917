//! `tiki preflight`: the pre-deployment checklist, section by section.
//!
//! Not here: what is made of what was seen (`pipeline::preflight`), looking (a module each), showing it
//! (`report`).

mod alerts;
mod outside;
mod project;
mod report;
mod settings;
mod stores;
mod trial;

use pipeline::Check;
use pipeline::health::{Health, PATIENCE};
use pipeline::preflight::figures::{self, Busy};
use pipeline::preflight::{
    Line, SECTIONS, environment as machine, project as files, servers, trial as test_run,
};

use crate::arguments::PreflightArguments;
use crate::failure::Outcome;
use crate::preflight::report::Report;
use crate::secret::masked;
use crate::{Context, health, interrupt, open, print};

/// `tiki preflight`.
pub(crate) async fn preflight(context: &Context, arguments: &PreflightArguments) -> Outcome {
    let wanted: Vec<u8> = match arguments.section.as_slice() {
        [] => SECTIONS.iter().map(|section| section.number).collect(),
        some => some.to_vec(),
    };
    let mut facts = Box::pin(look(context, &wanted)).await;
    if wanted
        .iter()
        .any(|section| [14, 15, 16, 17, 20].contains(section))
    {
        interrupt::listen(context.stop.clone(), context.screen.clone())?;
        facts.tests = Some(Box::pin(trial::all(context)).await?);
    }
    let mut lines = Vec::new();
    for section in SECTIONS
        .iter()
        .filter(|section| wanted.contains(&section.number))
    {
        let checks = judge(context, section.number, &facts);
        lines.extend(checks.into_iter().map(|check| Line {
            section: section.number,
            check: without_secrets(check),
        }));
    }
    let report = Report::new(lines);
    if arguments.json {
        print::json(&report.as_json())?;
    } else {
        print::text(&report.as_text())?;
    }
    Ok(report.exit())
}

fn without_secrets(mut check: Check) -> Check {
    check.seen = masked(&check.seen);
    check
}

/// What was seen; `None`: no section asked for it.
struct Facts {
    project: Option<project::Project>,
    database: servers::Database,
    redis: servers::Redis,
    backups: servers::Backups,
    busy: Option<Busy>,
    health: Option<Health>,
    tests: Option<trial::Tests>,
}

/// Looks at what the sections need, at once where nothing disturbs another.
async fn look(context: &Context, wanted: &[u8]) -> Facts {
    let any = |sections: &[u8]| wanted.iter().any(|section| sections.contains(section));
    let project = async {
        if any(&[1, 2, 3, 4, 5, 6, 7, 21, 25]) {
            Some(project::look(&context.resolved.anchor, wanted).await)
        } else {
            None
        }
    };
    let database = async {
        if any(&[8, 12, 18, 20, 25]) {
            stores::database(context).await
        } else {
            servers::Database::Absent
        }
    };
    let redis = async {
        if any(&[9, 18]) {
            stores::redis(context).await
        } else {
            None
        }
    };
    let health = async {
        if !any(&[22]) {
            return None;
        }
        let open = open::to_look(context, false, PATIENCE);
        Some(health::report(context, false, open).await)
    };
    let (project, database, redis, health) = tokio::join!(project, database, redis, health);
    let backups = if any(&[20, 25]) {
        stores::backups(context).await
    } else {
        Ok(None)
    };
    // Not while the other looks make the machine busy.
    let busy = if any(&[18]) {
        figures::busy().await
    } else {
        None
    };
    Facts {
        project,
        database,
        redis,
        backups,
        busy,
        health,
        tests: None,
    }
}

fn judge(context: &Context, section: u8, facts: &Facts) -> Vec<Check> {
    if let Some(project) = &facts.project
        && let Some(checks) = of_project(section, project)
    {
        return checks;
    }
    if let Some(tests) = &facts.tests
        && let Some(checks) = of_tests(section, &tests.tried)
    {
        return checks;
    }
    let (database, redis) = (&facts.database, &facts.redis);
    match section {
        8 => servers::database(database),
        9 => servers::redis(redis, context.config.redis_memory),
        12 => vec![servers::indexes(database)],
        18 => {
            let mut checks = machine::busy(facts.busy.as_ref());
            checks.extend(servers::servers(database, redis));
            checks
        }
        19 => vec![settings::scale(context)],
        20 => {
            let made = facts
                .tests
                .as_ref()
                .map(|tests| test_run::backup(&tests.backup));
            let mut checks: Vec<Check> = made.into_iter().collect();
            checks.push(servers::backup_age(&facts.backups, database));
            checks.push(settings::backup_schedule(context));
            checks
        }
        22 => facts
            .health
            .as_ref()
            .map_or(Vec::new(), |health| health.checks.clone()),
        23 => vec![alerts::channels()],
        25 => {
            let dag = facts.project.as_ref().and_then(|project| project.rollback);
            vec![
                files::rollback_dag(dag),
                servers::rollback_backup(&facts.backups, database),
            ]
        }
        _ => Vec::new(),
    }
}

fn of_tests(section: u8, tried: &test_run::Tried) -> Option<Vec<Check>> {
    Some(match section {
        14 => test_run::run(tried),
        15 => test_run::steps(tried),
        16 => test_run::keys(tried),
        17 => test_run::performance(tried),
        _ => return None,
    })
}

fn of_project(section: u8, project: &project::Project) -> Option<Vec<Check>> {
    Some(match section {
        1 => machine::environment(&project.environment),
        2 => files::env_file(&project.env),
        3 => vec![files::repository(project.repository.as_ref())],
        4 => vec![files::modules(
            project.modules.as_ref(),
            project.python_files,
        )],
        5 => vec![files::files(project.missing.as_deref())],
        6 => vec![files::dag_steps(project.steps.as_deref())],
        7 => vec![machine::services(project.services.as_ref())],
        21 => vec![machine::log_folder(project.logs.as_ref())],
        _ => return None,
    })
}
