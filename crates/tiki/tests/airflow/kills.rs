//! `kill -9` of the child, of Airflow's task process and of the whole worker, in the crawl and in the load:
//! the next try finds nothing lost and nothing twice, and nobody is left at work beside it.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::ChildGuard;

use crate::basics::{DAG, nine_green};
use crate::checks::Checks;
use crate::home::{PASSWORD, PLANTED};
use crate::processes::{kill, parent};
use crate::servers::Airflow;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    Child,
    Task,
    Worker,
}

pub(crate) fn check(airflow: &mut Airflow, checks: &mut Checks) {
    let mut day = 20;
    for victim in [Victim::Child, Victim::Task, Victim::Worker] {
        for (step, task) in [
            ("crawl-product-details", "crawl_product_details"),
            ("load-products", "load_products"),
        ] {
            one(airflow, checks, day, victim, (step, task));
            day += 1;
        }
    }
}

fn one(
    airflow: &mut Airflow,
    checks: &mut Checks,
    day: i64,
    victim: Victim,
    (step, task): (&str, &str),
) {
    let what = format!("kill -9 of the {victim:?} in {step}");
    airflow.day(day, "");
    let loads = step == "load-products";
    let holder = loads.then(|| hold_products(airflow, "EXCLUSIVE"));
    if !loads {
        airflow.faults(&[("detail", json!("always"), json!({"delay": {"ms": 1500}}))]);
    }
    let run = airflow.api.trigger(DAG, &json!({"details": "always"}));
    let child = airflow.child(step);
    if victim == Victim::Child {
        sees_nothing_of_airflow(checks, child);
    }
    let runner = parent(child).expect("the task's process");
    match victim {
        Victim::Child => kill(child, "KILL"),
        Victim::Task => kill(runner, "KILL"),
        Victim::Worker => airflow.kill_service("worker"),
    }
    is_gone(airflow, checks, &what, child);
    if loads {
        let_products_go(airflow);
    }
    airflow.faults(&[]);
    drop(holder);
    if victim == Victim::Worker {
        airflow.start_service("worker", &[]);
    }
    nine_green(airflow, checks, &what, DAG, &run);
    let tries = airflow.api.task(DAG, &run, task).tries;
    checks.holds(&format!("{what}: one more try"), tries == 2, tries);
    whole(airflow, checks, &what, &format!("{DAG}.{run}"));
}

/// Nothing lost and nothing twice: a look for each product of the run, and a history that is the fold.
fn whole(airflow: &Airflow, checks: &mut Checks, what: &str, run: &str) {
    let count = |sql: &str| airflow.count(&sql.replace("RUN", &format!("'{run}'")));
    let products = count("SELECT COUNT(*) FROM run_products WHERE run_id = RUN");
    let looked = count("SELECT COUNT(DISTINCT product_id) FROM observations WHERE run_id = RUN");
    checks.holds(
        &format!("{what}: every product has a look"),
        products == looked && products > 15,
        (products, looked),
    );
    let twice = count(
        "SELECT COUNT(*) FROM (SELECT 1 FROM observations WHERE run_id = RUN AND source = 'detail'
         GROUP BY product_id HAVING COUNT(*) > 1) AS doubled",
    );
    checks.equal(&format!("{what}: no detail twice"), twice, 0);
    let firsts = count("SELECT COUNT(*) FROM product_history WHERE kind = 'first'")
        - count("SELECT COUNT(*) FROM products");
    checks.equal(&format!("{what}: one beginning a product"), firsts, 0);
}

fn sees_nothing_of_airflow(checks: &mut Checks, child: u32) {
    let bytes = fs::read(format!("/proc/{child}/environ")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).replace('\0', "\n");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    let clean = !text.contains("AIRFLOW") && PLANTED.iter().all(|secret| !text.contains(secret));
    checks.holds(
        "a child sees nothing of Airflow's own",
        clean && names.contains(&"TIKI_DATABASE_URL"),
        names,
    );
    let words = fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
    checks.holds(
        "no secret in its command line",
        !words.contains(PASSWORD),
        words.replace('\0', " "),
    );
}

pub(crate) fn is_gone(airflow: &Airflow, checks: &mut Checks, what: &str, child: u32) {
    let begun = Instant::now();
    while airflow.is_at_work(child) && begun.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    checks.holds(
        &format!("{what}: the child is gone at once"),
        !airflow.is_at_work(child),
        begun.elapsed(),
    );
}

/// Holds the table that a load writes and a backup reads, in a session of its own: `EXCLUSIVE` against who
/// writes, `ACCESS EXCLUSIVE` against who reads too.
pub(crate) fn hold_products(airflow: &Airflow, mode: &str) -> ChildGuard {
    let hold = format!("BEGIN; LOCK TABLE products IN {mode} MODE; SELECT pg_sleep(600)");
    airflow.postgres.beside(&airflow.all_rights, &hold)
}

pub(crate) fn let_products_go(airflow: &Airflow) {
    let end =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'beside'";
    airflow.postgres.admin(end);
}
