//! `tiki preflight`: the pre-deployment checklist, section by section.
//!
//! Not here: what is made of what was seen (`pipeline::preflight`), looking (a module each), showing it
//! (`report`).

mod airflow;
mod page;
mod project;
mod report;
mod settings;
mod stores;
mod trial;

use pipeline::Check;
use pipeline::health::{Health, PATIENCE};
use pipeline::preflight::airflow::{self as from_airflow, Airflow};
use pipeline::preflight::channels;
use pipeline::preflight::figures::{self, Busy};
use pipeline::preflight::{
    AFTER, Line, PEOPLE, PEOPLE_AFTER, SECTIONS, Section, after, environment as machine,
    project as files, servers, trial as test_run,
};

use crate::arguments::PreflightArguments;
use crate::failure::Outcome;
use crate::preflight::report::Report;
use crate::secret::masked;
use crate::{Context, alerts, health, interrupt, open, print};

/// `tiki preflight`.
pub(crate) async fn preflight(context: &Context, arguments: &PreflightArguments) -> Outcome {
    let report = if arguments.after_deploy {
        after_deploy(context).await
    } else {
        before_deploy(context, &arguments.section, arguments.live).await?
    };
    if let Some(path) = &arguments.html {
        page::write(&report, path, jiff::Timestamp::now())?;
    }
    if arguments.json {
        print::json(&report.as_json())?;
    } else {
        print::text(&report.as_text())?;
    }
    Ok(report.exit())
}

async fn before_deploy(context: &Context, some: &[u8], live: bool) -> Outcome<Report> {
    let is_wanted = |section: &Section| some.is_empty() || some.contains(&section.number);
    let sections: Vec<Section> = SECTIONS.into_iter().filter(is_wanted).collect();
    let wanted: Vec<u8> = sections.iter().map(|section| section.number).collect();
    let mut facts = Box::pin(look(context, &wanted)).await?;
    if wanted
        .iter()
        .any(|section| [14, 15, 16, 17, 20].contains(section))
    {
        interrupt::listen(context.stop.clone(), context.screen.clone())?;
        facts.tests = Some(Box::pin(trial::all(context, live)).await?);
    }
    let lines = sections.iter().flat_map(|section| {
        let checks = judge(context, section.number, &facts);
        lines(*section, checks)
    });
    Ok(Report::new(lines.collect(), &PEOPLE))
}

async fn after_deploy(context: &Context) -> Report {
    let ledger = stores::ledger(context).await;
    let checks = after::after(&ledger, context.config.health.run_age);
    Report::new(lines(AFTER, checks), &PEOPLE_AFTER)
}

fn lines(section: Section, checks: Vec<Check>) -> Vec<Line> {
    let line = |check| Line {
        section: section.number,
        check: without_secrets(check),
    };
    checks.into_iter().map(line).collect()
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
    airflow: Airflow,
    /// What became of a test message to each channel of alerts.
    channels: Vec<channels::Tried>,
    tests: Option<trial::Tests>,
}

/// Looks at what the sections need, at once where nothing disturbs another.
async fn look(context: &Context, wanted: &[u8]) -> Outcome<Facts> {
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
    let airflow = async {
        if any(&[6, 7, 10, 11, 13, 20, 25]) {
            airflow::look(context).await
        } else {
            Airflow::Absent
        }
    };
    let channels = async {
        if any(&[23]) {
            alerts::try_channels(context).await
        } else {
            Ok(Vec::new())
        }
    };
    let (project, database, redis, health, airflow, channels) =
        tokio::join!(project, database, redis, health, airflow, channels);
    let backups = if any(&[20, 25]) {
        stores::backups(context).await
    } else {
        Ok(None)
    };
    // Not while the other looks make the machine busy.
    let busy = if any(&[18]) {
        figures::busy(figures::SAMPLES).await
    } else {
        None
    };
    Ok(Facts {
        project,
        database,
        redis,
        backups,
        busy,
        health,
        airflow,
        channels: channels?,
        tests: None,
    })
}

fn judge(context: &Context, section: u8, facts: &Facts) -> Vec<Check> {
    if let Some(project) = &facts.project
        && let Some(mut checks) = of_project(context, section, project)
    {
        match section {
            6 => checks.push(from_airflow::tasks(&facts.airflow)),
            7 => checks.push(from_airflow::services(&facts.airflow)),
            _ => {}
        }
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
        10 => from_airflow::web(&facts.airflow),
        11 => from_airflow::variables(&facts.airflow),
        12 => vec![servers::indexes(database)],
        13 => vec![from_airflow::paused(&facts.airflow)],
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
            let dag = from_airflow::backup_schedule(&facts.airflow);
            checks.push(dag.unwrap_or_else(|| settings::backup_schedule(context)));
            checks
        }
        22 => facts
            .health
            .as_ref()
            .map_or(Vec::new(), |health| health.checks.clone()),
        23 => vec![channels::channels(&facts.channels)],
        25 => {
            let in_folder = facts.project.as_ref().and_then(|project| project.rollback);
            let dag = from_airflow::rollback(&facts.airflow);
            vec![
                dag.unwrap_or_else(|| files::rollback_dag(in_folder)),
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

fn of_project(context: &Context, section: u8, project: &project::Project) -> Option<Vec<Check>> {
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
        21 => vec![
            machine::log_folder(project.logs.as_ref()),
            settings::log_files(context),
        ],
        _ => return None,
    })
}
