//! Samples of output and of SQL: they are what the program prints and answers. All of them are slow.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::sync::OnceLock;

use serde_json::Value;

use crate::schema;
use crate::{between, page, said, tiki};

/// A small demo that the tests of samples share.
fn demo() -> &'static (tempfile::TempDir, String, String) {
    static DEMO: OnceLock<(tempfile::TempDir, String, String)> = OnceLock::new();
    DEMO.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut run = tiki(folder.path(), &DEMO_RUN);
        let Output {
            status,
            stdout,
            stderr,
        } = run.output().expect("tiki");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (out, err) = (text(stdout), text(stderr));
        assert!(status.success(), "{out}\n{err}");
        (folder, out, err)
    })
}

const DEMO_RUN: [&str; 4] = ["run", "--demo", "--demo-days", "8"];

/// The statements in a page's blocks of SQL, but those for the other database.
fn samples(name: &str, other: &str) -> Vec<String> {
    let text = page(name);
    let blocks = text.split("```sql").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split_once("\n```")?.0.split_once('\n'));
    let blocks = blocks.filter(|(mark, _)| mark.trim() != other);
    blocks.map(|(_, sql)| sql.to_owned()).collect()
}

/// Each sample returns rows.
fn check_samples(other: &str, ask: impl Fn(&str) -> String) {
    for name in ["README.md", "docs/SCHEMA.md"] {
        let samples = samples(name, other);
        assert!(samples.len() >= 3, "{name}");
        for sample in samples {
            let rows: Vec<Value> = serde_json::from_str(&ask(&sample)).expect("JSON");
            assert!(!rows.is_empty(), "no rows: {sample} ({name})");
        }
    }
}

#[test]
fn slow_the_samples_return_rows_in_the_demo() {
    let (folder, ..) = demo();
    check_samples("postgresql", |sql| {
        said(tiki(folder.path(), &["sql", sql, "--demo", "--json"]))
    });
}

#[test]
fn slow_the_examples_for_analysts_run() {
    let (folder, ..) = demo();
    let page = page("docs/ANALYSTS.md");
    let blocks = page.split("\n```").skip(1).step_by(2);
    let of = |kind: &str| -> Vec<&str> {
        let blocks = blocks.clone();
        let blocks = blocks.filter_map(|block| block.strip_prefix(kind)?.strip_prefix('\n'));
        blocks.collect()
    };
    let (shell, python) = (of("sh"), of("python"));
    assert!(shell.len() >= 2 && python.len() >= 2);
    // The demo's warehouse in place of the usual one, and this program on the path.
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tiki"));
    let programs = program.parent().expect("a folder").display();
    let database = format!("sqlite:{}", folder.path().join("data/demo.db").display());
    for line in shell.iter().flat_map(|block| block.lines()) {
        let mut sh = tiki(folder.path(), &[]);
        sh.env("TIKI_DATABASE_URL", &database);
        let changed = sh
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?)));
        let mut command = std::process::Command::new("bash");
        let line_here = format!("PATH=\"{programs}:$PATH\"; {line}");
        command
            .args(["-o", "pipefail", "-c", &line_here])
            .envs(changed);
        command.current_dir(folder.path());
        let out = said(command);
        let to_file = line.starts_with("tiki export") && !line.contains("export -");
        assert_eq!(out.trim().is_empty(), to_file, "{line}: {out}");
    }
    for script in python {
        let mut command = std::process::Command::new(testkit::Python::READERS.program());
        command.args(["-c", script]).current_dir(folder.path());
        assert!(!said(command).is_empty(), "{script}");
    }
}

#[test]
fn slow_stored_words_are_described() {
    let (folder, ..) = demo();
    let schema = page("docs/SCHEMA.md");
    for (table, columns) in [
        ("products", &["price_category"][..]),
        ("product_history", &["kind"]),
        ("observations", &["source"]),
        ("runs", &["state", "owner"]),
        ("run_steps", &["state"]),
        ("attempts", &["state"]),
        ("run_categories", &["state"]),
        ("listing_pages", &["state"]),
        ("listings", &["source"]),
        ("pages", &["kind", "source", "encoding"]),
        ("run_products", &["reason", "detail"]),
        ("run_outcomes", &["stage", "outcome"]),
        ("staged_products", &["state"]),
        ("warehouse_info", &["key"]),
    ] {
        let (_, rest) = schema.split_once(&format!("### `{table}`\n")).expect(table);
        let section = rest.split("\n#").next().expect("a section");
        for column in columns {
            let mut lines = section.lines();
            let begin = format!("| `{column}` |");
            let row = lines.find(|line| line.starts_with(&begin)).expect(column);
            let sql =
                format!("SELECT DISTINCT {column} AS word FROM {table} WHERE {column} IS NOT NULL");
            let answer = said(tiki(folder.path(), &["sql", &sql, "--demo", "--json"]));
            let answer: Vec<BTreeMap<String, String>> =
                serde_json::from_str(&answer).expect("JSON");
            assert!(!answer.is_empty(), "{table}.{column}");
            for word in answer.iter().map(|row| &row["word"]) {
                assert!(
                    row.contains(&format!("`{word}`")),
                    "{table}.{column}: {word}"
                );
            }
        }
    }
}

#[test]
fn slow_the_sample_of_the_readme_looks_as_the_program_prints() {
    let (folder, out, err) = demo();
    let (readme, runbook) = (page("README.md"), page("docs/RUNBOOK.md"));
    let ledger: Value =
        serde_json::from_str(&said(tiki(folder.path(), &["runs", "--demo", "--json"])))
            .expect("JSON");
    let id = ledger[0]["id"].as_str().expect("a run");
    let product = said(tiki(
        folder.path(),
        &["sql", MOST_CHANGED, "--demo", "--json"],
    ));
    let product: Value = serde_json::from_str(&product).expect("JSON");
    let product = product[0]["product_id"].as_str().expect("a product");
    let history = said(tiki(
        folder.path(),
        &["products", "history", product, "--demo"],
    ));
    let shown = said(tiki(folder.path(), &["runs", "show", id, "--demo"]));
    for (sample, mark, printed) in [
        (&readme, "<!-- sample: run -->", format!("{err}\n{out}")),
        (&readme, "<!-- sample: history -->", history),
        (&runbook, "<!-- sample: runs show -->", shown),
    ] {
        let sample = between(sample, mark, "\n```\n");
        let printed: BTreeSet<String> = printed.lines().map(first_words).collect();
        let shown: BTreeSet<String> = sample.lines().skip(1).map(first_words).collect();
        for line in &shown {
            let cut = line.starts_with('…') || line.starts_with('$') || line.contains("/data");
            assert!(cut || printed.contains(line), "{line:?} under {mark}");
        }
        // What is shown whole lacks nothing.
        if !sample.contains('…') {
            assert_eq!(printed, shown, "under {mark}");
        }
    }
}

const MOST_CHANGED: &str = "SELECT product_id FROM product_history GROUP BY product_id
    ORDER BY COUNT(*) DESC, product_id LIMIT 1";

/// The first words of a line, numbers made alike; of a row of data that it is one.
fn first_words(line: &str) -> String {
    let words = line.split_whitespace().take(3).map(|word| {
        // The program as it was called.
        let word = if word.ends_with("/tiki") {
            "tiki"
        } else {
            word
        };
        let alike = |c: char| if c.is_ascii_digit() { '0' } else { c };
        word.chars().map(alike).collect()
    });
    let words: Vec<String> = words.collect();
    match words.first() {
        Some(word) if word.starts_with('0') => "0".to_owned(),
        _ => words
            .iter()
            .map(|word| {
                if word.starts_with('0') {
                    "0"
                } else {
                    word.as_str()
                }
            })
            .collect::<Vec<_>>()
            .join(" "),
    }
}

#[test]
fn slow_postgres_and_redis_do_as_the_pages_say() {
    let database = testkit::Postgres::shared().fresh_database();
    let redis = testkit::Redis::shared().fresh_url();
    let folder = tempfile::tempdir().expect("a folder");
    let tiki = |arguments: &[&str]| {
        let mut command = tiki(folder.path(), arguments);
        command
            .env("TIKI_DATABASE_URL", &database)
            .env("TIKI_REDIS_URL", &redis);
        // Without a rate nobody takes turns.
        command.env("TIKI_RATE_LIMIT", "0.001");
        said(command)
    };
    tiki(&DEMO_RUN);
    let ask = |sql: &str| tiki(&["sql", sql, "--demo", "--json"]);
    schema::check_postgres(ask);
    check_samples("sqlite", ask);
    testkit::Postgres::shared().drop_database(&database);
}
