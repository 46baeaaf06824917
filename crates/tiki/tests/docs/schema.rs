//! What the program says of the schema against a freshly migrated warehouse: every table and column,
//! nothing else; and docs/SCHEMA.md against what the program says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{between, page, rows, said, tiki, told};

/// A table or view: its columns with their types and whether they may be NULL, and its key.
#[derive(Default)]
struct Table {
    columns: BTreeMap<String, (String, bool)>,
    key: Vec<String>,
}

/// What the program says.
fn described() -> BTreeMap<String, Table> {
    let told: Value = serde_json::from_str(&told(&["schema", "--json"])).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let table = |table: &Value| {
        let column = |column: &Value| {
            let nullable = column["nullable"].as_bool().expect("a flag");
            (text(&column["name"]), (text(&column["type"]), nullable))
        };
        let described = Table {
            columns: list(&table["columns"]).iter().map(column).collect(),
            key: list(&table["key"]).iter().map(text).collect(),
        };
        (text(&table["name"]), described)
    };
    list(&told).iter().map(table).collect()
}

#[test]
fn the_page_has_the_words_of_the_program() {
    let schema = page("docs/SCHEMA.md");
    let written = between(&schema, "<!-- tables: begin -->", "<!-- tables: end -->");
    let same = written.trim() == told(&["schema", "--markdown"]).trim();
    assert!(
        same,
        "put `tiki schema --markdown` into docs/SCHEMA.md; its source is crates/warehouse/schema.toml"
    );
}

/// How the types are called by the databases.
fn names(kind: &str) -> &'static [&'static str] {
    match kind {
        "integer" => &["BIGINT", "bigint", "INTEGER"],
        "text" => &["TEXT", "text"],
        "real" => &["REAL", "double precision"],
        "flag" => &["INTEGER", "boolean"],
        "time" => &["TEXT", "timestamp with time zone"],
        "json" => &["TEXT", "json"],
        "bytes" => &["BLOB", "bytea"],
        other => panic!("no type {other}"),
    }
}

/// Compares what is said with the tables of a warehouse. Of views only the columns' names count.
fn check(found: &BTreeMap<String, Table>, views: &BTreeSet<String>) {
    let described = described();
    let columns = |tables: &BTreeMap<String, Table>| -> BTreeSet<String> {
        let pairs = tables.iter().flat_map(|(table, all)| {
            let columns = all.columns.keys();
            columns.map(move |column| format!("{table}.{column}"))
        });
        pairs.collect()
    };
    let (written, there) = (columns(&described), columns(found));
    let missing: Vec<_> = there.difference(&written).collect();
    let extra: Vec<_> = written.difference(&there).collect();
    assert!(
        missing.is_empty(),
        "not described in crates/warehouse/schema.toml: {missing:?}"
    );
    assert!(
        extra.is_empty(),
        "described in crates/warehouse/schema.toml and not there: {extra:?}"
    );
    for (name, table) in found.iter().filter(|(name, _)| !views.contains(*name)) {
        let described = &described[name];
        assert_eq!(described.key, table.key, "the key of {name}");
        for (column, (kind, nullable)) in &table.columns {
            let (said, may_be_null) = &described.columns[column];
            assert!(
                names(said).contains(&kind.as_str()),
                "{name}.{column}: {said}, not {kind}"
            );
            assert_eq!(may_be_null, nullable, "{name}.{column}: may it be NULL?");
        }
    }
}

type Answer = Vec<BTreeMap<String, Option<String>>>;

fn read(answer: &str) -> Answer {
    serde_json::from_str(answer).expect("JSON")
}

const POSTGRES_COLUMNS: &str =
    "SELECT t.table_type AS kind, c.table_name AS of, c.column_name AS name,
    c.data_type AS type, c.is_nullable AS nullable, (SELECT u.ordinal_position
        FROM information_schema.table_constraints s JOIN information_schema.key_column_usage u
            ON u.constraint_name = s.constraint_name AND u.table_schema = s.table_schema
        WHERE s.constraint_type = 'PRIMARY KEY' AND s.table_schema = c.table_schema
            AND s.table_name = c.table_name AND u.column_name = c.column_name) AS place
    FROM information_schema.columns c JOIN information_schema.tables t
        ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = current_schema() ORDER BY place";

/// Compares what is said with PostgreSQL; `ask` answers a statement as JSON.
pub(crate) fn check_postgres(ask: impl Fn(&str) -> String) {
    let (mut found, mut views) = (BTreeMap::<String, Table>::new(), BTreeSet::new());
    for row in read(&ask(POSTGRES_COLUMNS)) {
        let of = |name: &str| row[name].clone().unwrap_or_default();
        let table = found.entry(of("of")).or_default();
        table
            .columns
            .insert(of("name"), (of("type"), of("nullable") == "YES"));
        if row["place"].is_some() {
            table.key.push(of("name"));
        }
        if of("kind") == "VIEW" {
            views.insert(of("of"));
        }
    }
    check(&found, &views);
}

/// A table from the statement that made it.
fn parsed(statement: &str) -> Table {
    let lines = statement
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"));
    let statement = lines.collect::<Vec<_>>().join(" ");
    let (_, body) = statement.split_once('(').expect("a table");
    let mut table = Table::default();
    let mut depth = 0;
    let split = body.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    for part in split.collect::<Vec<_>>() {
        let part = part.trim();
        if let Some(list) = part.strip_prefix("PRIMARY KEY (") {
            let list = list.split(')').next().unwrap_or_default();
            table.key = list.split(',').map(|name| name.trim().to_owned()).collect();
            continue;
        }
        let mut words = part.split(|c: char| c.is_whitespace() || c == ')');
        let (name, kind) = (words.next().expect("a name"), words.next().expect("a type"));
        let is_key = part.contains("PRIMARY KEY");
        if is_key {
            table.key.push(name.to_owned());
        }
        let nullable = !is_key && !part.contains("NOT NULL");
        table
            .columns
            .insert(name.to_owned(), (kind.to_owned(), nullable));
    }
    table
}

#[test]
fn every_table_and_column_is_described_and_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    said(tiki(folder.path(), &["migrate"]));
    let (mut found, mut views) = (BTreeMap::<String, Table>::new(), BTreeSet::new());
    let sql = "SELECT name, type, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%'";
    for row in read(&said(tiki(folder.path(), &["sql", sql, "--json"]))) {
        let of = |name: &str| row[name].clone().unwrap_or_default();
        match of("type").as_str() {
            "table" => drop(found.insert(of("name"), parsed(&of("sql")))),
            "view" => drop(views.insert(of("name"))),
            _ => {}
        }
    }
    for view in &views {
        // An answer without rows still names its columns.
        let head = said(tiki(
            folder.path(),
            &["sql", &format!("SELECT * FROM {view}")],
        ));
        let names = head
            .split_whitespace()
            .map(|name| (name.to_owned(), Default::default()));
        let table = Table {
            columns: names.collect(),
            key: Vec::new(),
        };
        found.insert(view.clone(), table);
    }
    check(&found, &views);
}

#[test]
fn every_rule_of_the_merge_is_described_and_has_a_test() {
    let page = page("docs/SCHEMA.md");
    let described = between(&page, "## What a look does", "\n## ");
    let described: Vec<String> = rows(described)
        .into_iter()
        .map(|row| row[0].clone())
        .collect();
    let tests = crate::page("crates/warehouse/tests/contract/rules.rs");
    let tests = between(&tests, "on_both!(", ");");
    let tests: Vec<&str> = tests.split(',').map(str::trim).collect();
    let tests: Vec<&str> = tests.into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(described, tests);
}
