//! How fast a day is staged and loaded, beside what cannot be beaten and what others do.
//!
//! `cargo xtask bench warehouse` runs it. A figure is rows a second; a bound is a ratio of two figures of
//! one round, and its median over the rounds counts.
//!
//! Not here: making records of pages (`transform`).
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod ceilings;
mod days;
mod ours;
mod peers;
mod table;

use std::process::ExitCode;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use days::Day;
use table::Table;
use testkit::Postgres;

/// Rounds; an odd number.
const ROUNDS: i64 = 3;

/// Products a day.
const PRODUCTS: i64 = 100_000;

/// Products that are loaded row by row.
const ROW_BY_ROW: i64 = 5_000;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only = arguments.iter().position(|argument| argument == "--only");
    let only = only.map(|at| arguments.get(at + 1).map_or("", String::as_str));
    let (products, rounds) = match (
        number(&arguments, "--products", PRODUCTS),
        number(&arguments, "--rounds", ROUNDS),
    ) {
        (Some(products), Some(rounds))
            if products >= ours::BATCH && rounds > 0 && only.is_none_or(table::has) =>
        {
            (products, rounds)
        }
        _ => {
            println!(
                "usage: load [--products <n>] [--rounds <n>] [--only SQLite|PostgreSQL]; at least {} \
                 products",
                ours::BATCH
            );
            return ExitCode::from(2);
        }
    };
    let is_wanted = |database: &str| only.is_none_or(|only| only == database);
    let mut table = Table::default();
    let server = is_wanted("PostgreSQL").then(ours::server);
    for round in 1..=rounds {
        if is_wanted("SQLite") {
            sqlite(&mut table, products).await;
        }
        if let Some(server) = &server {
            postgres(&mut table, server, products).await;
            two_connections(&mut table, server, products).await;
        }
        println!("round {round} of {rounds} done");
    }
    table.print();
    if table.is_within() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The number after a name among the arguments; `None`: there is no number.
fn number(arguments: &[String], name: &str, usual: i64) -> Option<i64> {
    match arguments.iter().position(|argument| argument == name) {
        None => Some(usual),
        Some(at) => arguments.get(at + 1)?.parse().ok(),
    }
}

async fn sqlite(table: &mut Table, products: i64) {
    // Beside the program, where fsync reaches a disk; a folder for temporary files may be memory.
    let program = std::env::current_exe().expect("this program");
    let folder = tempfile::tempdir_in(program.parent().expect("a folder")).expect("a folder");
    let file = folder.path().join("tiki.db");
    let warehouse = ours::open(&format!("sqlite:{}", file.display())).await;
    for day in Day::ALL {
        let seconds = ours::day(&warehouse, day, days::products(day, products), 1).await;
        peers::check_ours(&warehouse, day, products).await;
        table.add_ours("SQLite", day, products, seconds);
        let beside = folder.path().join(format!("append-{}.db", day.number()));
        let seconds = ceilings::append(&file, &beside, products, ours::BATCH);
        table.add("SQLite", day, "append", products, seconds);
        let beside = folder.path().join("rows.db");
        if day == Day::New {
            ours::open(&format!("sqlite:{}", beside.display())).await;
            let seconds = ceilings::insert_all(&file, &beside, products, ours::BATCH);
            table.add("SQLite", day, table::ALONE, products, seconds);
        } else if day == Day::Unchanged {
            let at = day.at().to_string();
            let seconds = ceilings::ask_and_look(&file, &beside, &at, products, ours::BATCH);
            table.add("SQLite", day, table::ALONE, products, seconds);
        }
    }
}

async fn postgres(table: &mut Table, server: &Postgres, products: i64) {
    let url = server.fresh_database();
    let warehouse = ours::open(&url).await;
    let mut client = ceilings::connect(&url).await;
    let peers = [
        ("psycopg COPY", "copy", products),
        ("psycopg, given", "given", products),
        ("row by row", "rows", products.min(ROW_BY_ROW)),
    ];
    let peers = peers.map(|peer| (peer, server.fresh_database()));
    for (_, url) in &peers {
        ours::open(url).await;
    }
    for day in Day::ALL {
        settle(&url).await;
        let seconds = ours::day(&warehouse, day, days::products(day, products), 1).await;
        peers::check_ours(&warehouse, day, products).await;
        table.add_ours("PostgreSQL", day, products, seconds);
        let seconds = ceilings::copy(&mut client, products).await;
        table.add("PostgreSQL", day, "bare COPY", products, seconds);
        if day == Day::New {
            let alone = server.fresh_database();
            ours::open(&alone).await;
            let target = ceilings::connect(&alone).await;
            settle(&alone).await;
            let seconds = ceilings::copy_all(&client, &target, products).await;
            table.add("PostgreSQL", day, table::ALONE, products, seconds);
        }
        for ((name, way, count), target) in &peers {
            settle(target).await;
            let seconds = peers::day(way, &url, target, day, *count);
            peers::check(target, &client, day, *count).await;
            table.add("PostgreSQL", day, name, *count, seconds);
        }
    }
}

/// What a server does between two days.
async fn settle(url: &str) {
    let client = ceilings::connect(url).await;
    for statement in ["VACUUM (ANALYZE)", "CHECKPOINT"] {
        let done = client.batch_execute(statement).await;
        done.expect("a server in order");
    }
}

async fn two_connections(table: &mut Table, server: &Postgres, products: i64) {
    let url = server.fresh_database();
    let warehouse = ours::open(&url).await;
    for day in Day::ALL {
        settle(&url).await;
        let seconds = ours::day(&warehouse, day, days::products(day, products), 2).await;
        peers::check_ours(&warehouse, day, products).await;
        table.add(
            "PostgreSQL",
            day,
            "ours, two",
            products,
            seconds[0] + seconds[1],
        );
    }
}
