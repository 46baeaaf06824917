//! The data in the hands of analysts: what can be taken out, and what their own tools make of it.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;
use testkit::{Postgres, Python};

use crate::tiki::Tiki;

const READ_BACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/read_back.py");

/// What a script printed that must succeed.
pub(crate) fn python(arguments: &[&str]) -> String {
    let mut command = Command::new(Python::READERS.program());
    let Output {
        status,
        stdout,
        stderr,
    } = command.args(arguments).output().expect("Python");
    let (out, err) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(status.success(), "{arguments:?}: {out}\n{err}");
    out.into_owned()
}

/// Runs statements in a PostgreSQL database, past the program.
pub(crate) fn psycopg(url: &str, sql: &str) {
    let script = "import psycopg, sys
with psycopg.connect(sys.argv[1], autocommit=True) as c: c.execute(sys.argv[2])";
    python(&["-c", script, url, sql]);
}

#[test]
fn slow_pandas_pyarrow_duckdb_and_sqlite3_read_the_right_types() {
    let tiki = Tiki::new();
    tiki.fill_demo(150, 3);
    std::fs::create_dir(tiki.path("out")).expect("a folder");
    tiki.write("out/schema.json", &tiki.out(&["schema", "--json"]));
    for table in [
        "products",
        "product_current",
        "product_history",
        "observations",
        "categories",
        "product_categories",
        "runs",
        // In the demo it has no rows.
        "corrections",
    ] {
        for ending in ["parquet", "csv"] {
            let file = format!("out/{table}.{ending}");
            tiki.ends(0, &["export", &file, "--table", table, "--raw", "--demo"]);
        }
    }
    let (database, folder) = (tiki.path("data/demo.db"), tiki.path("out"));
    let said = python(&[
        READ_BACK,
        &database.to_string_lossy(),
        &folder.to_string_lossy(),
    ]);
    assert_eq!(said.trim(), "8 tables read back");
}

#[test]
fn slow_exports_of_either_warehouse_hold_what_was_asked_for() {
    let database = Postgres::shared().fresh_database();
    let stores = [
        Tiki::new(),
        Tiki::new().with("TIKI_DATABASE_URL", &database),
    ];
    for tiki in &stores {
        tiki.fill_demo(120, 3);
        any_table_is_exported(tiki);
        rows_are_chosen(tiki);
        columns_are_chosen(tiki);
        marks_do_not_matter(tiki);
    }
    let [sqlite, postgres] = &stores;
    for table in ["history", "categories", "observations"] {
        let export = ["export", "-", "--table", table, "--demo", "--columns"];
        let columns = match table {
            "categories" => "id,name,is_leaf,product_count,path",
            "observations" => "product_id,observed_at,source,gone,price,rating_average",
            _ => "product_id,observed_at,kind,price,price_change_percent,sales_velocity",
        };
        let export = [&export[..], &[columns]].concat();
        assert_eq!(sqlite.out(&export), postgres.out(&export), "{table}");
    }
    let view = "CREATE VIEW demo.cheap AS SELECT id AS product_id, name, price::numeric AS price,
        -1 AS less, updated_at::date AS day,
        CASE WHEN id % 2 = 0 THEN 1 ELSE 0.5 END AS share FROM demo.products WHERE price < 500000";
    psycopg(&database, view);
    a_view_of_ones_own_is_exported(postgres);
    let file = rusqlite::Connection::open(sqlite.path("data/demo.db")).expect("the file");
    let view = "CREATE VIEW cheap AS SELECT id AS product_id, name, price * 1.0 AS price,
        0 - 1 AS less, date(updated_at) AS day,
        CASE WHEN id % 2 = 0 THEN 1 ELSE 0.5 END AS share FROM products WHERE price < 500000";
    file.execute_batch(view).expect("a view");
    a_view_of_ones_own_is_exported(sqlite);
    Postgres::shared().drop_database(&database);
}

fn lines(tiki: &Tiki, more: &[&str]) -> Vec<Value> {
    let export = ["export", "-", "--format", "jsonl", "--demo"];
    let text = tiki.out(&[&export[..], more].concat());
    let line = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(line).collect()
}

fn count(tiki: &Tiki, from: &str) -> usize {
    let sql = format!("SELECT COUNT(*) AS n FROM {from}");
    let answer = tiki.json(&["sql", &sql, "--demo", "--json"]);
    answer[0]["n"]
        .as_str()
        .expect("n")
        .parse()
        .expect("a number")
}

fn any_table_is_exported(tiki: &Tiki) {
    let schema = tiki.json(&["schema", "--json"]);
    for table in schema.as_array().expect("a list") {
        let name = table["name"].as_str().expect("a name");
        let rows = count(tiki, name);
        let done = tiki.ends(0, &["export", "all.jsonl", "--table", name, "--demo"]);
        assert!(
            done.err.contains(&format!("{rows} rows of {name} written")),
            "{}",
            done.err
        );
        let text = std::fs::read_to_string(tiki.path("all.jsonl")).expect("a file");
        assert_eq!(text.lines().count(), rows, "{name}");
        let Some(first) = text.lines().next() else {
            continue;
        };
        let first: Value = serde_json::from_str(first).expect("JSON");
        for column in table["columns"].as_array().expect("a list") {
            let (key, internal) = (
                column["name"].as_str().expect("a name"),
                &column["internal"],
            );
            assert_eq!(first.get(key).is_none(), internal == true, "{name}.{key}");
            let Some(value) = first.get(key).filter(|value| !value.is_null()) else {
                continue;
            };
            let fits = match column["type"].as_str().expect("a type") {
                "integer" => value.is_i64(),
                "real" => value.is_number(),
                "flag" => value.is_boolean(),
                "json" => value.is_object() || value.is_array(),
                _ => value.is_string(),
            };
            assert!(fits, "{name}.{key}: {value}");
        }
    }
}

fn rows_are_chosen(tiki: &Tiki) {
    let all = lines(tiki, &["--table", "history"]);
    let times: BTreeSet<&str> = all
        .iter()
        .map(|l| l["observed_at"].as_str().expect("a time"))
        .collect();
    let middle = *times.iter().nth(times.len() / 2).expect("several times");
    let since = lines(tiki, &["--table", "history", "--since", middle]);
    let wanted: Vec<&Value> = all
        .iter()
        .filter(|line| line["observed_at"].as_str() >= Some(middle))
        .collect();
    assert_eq!(since.iter().collect::<Vec<_>>(), wanted);
    assert!(!wanted.is_empty() && wanted.len() < all.len());
    // A day begins at midnight in Asia/Ho_Chi_Minh.
    assert_eq!(
        lines(tiki, &["--table", "history", "--since", "2026-11-02"]),
        lines(
            tiki,
            &["--table", "history", "--since", "2026-11-01T17:00:00Z"]
        )
    );
    assert!(lines(tiki, &["--table", "history", "--since", "2999-01-01"]).is_empty());
    // A category has what is in it and below it; a name does as well as an id.
    let categories = tiki.json(&["categories", "--demo", "--json"]);
    let categories = categories.as_array().expect("a list");
    let leaf = categories
        .iter()
        .find(|row| (row["is_leaf"] == true) && count_in(tiki, &row["id"]) > 0)
        .expect("a leaf");
    let (id, parent) = (leaf["id"].to_string(), leaf["parent_id"].to_string());
    let name = catalog::search_key(leaf["name"].as_str().expect("a name"));
    let below: BTreeSet<String> = lines(tiki, &["--category", &id])
        .iter()
        .map(|line| line["id"].to_string())
        .collect();
    assert_eq!(below.len(), count_in(tiki, &leaf["id"]));
    assert_eq!(lines(tiki, &["--category", &name]).len(), below.len());
    let above: BTreeSet<String> = lines(tiki, &["--category", &parent, "--columns", "id"])
        .iter()
        .map(|line| line["id"].to_string())
        .collect();
    assert!(above.is_superset(&below));
    let history = lines(tiki, &["--table", "history", "--category", &id]);
    let of: BTreeSet<String> = history
        .iter()
        .map(|l| l["product_id"].to_string())
        .collect();
    assert_eq!(of, below);
    nothing_else_is_chosen(tiki, &id);
}

/// What cannot be chosen is told, with what can.
fn nothing_else_is_chosen(tiki: &Tiki, category: &str) {
    for (arguments, said) in [
        (&["--category", "999999999"] as &[&str], "is no category"),
        (&["--category", "qqq qqq"], "is no category"),
        (
            &["--table", "runs", "--category", category],
            "has no products or categories",
        ),
        (
            &["--table", "warehouse_info", "--since", "2026-01-01"],
            "has no time",
        ),
        (&["--since", "yesterday"], "neither a day nor an instant"),
        (
            &["--since", "2026-11-29T23:59:59"],
            "neither a day nor an instant",
        ),
        (
            &["--since", "2026-11-29 23:59"],
            "neither a day nor an instant",
        ),
        (
            &["--table", "produkts"],
            "there are: alert_deliveries, alerts, attempts",
        ),
        (&["--table", "x\" UNION SELECT 1 --"], "no table or view"),
        (&["--columns", "id,prise"], "no column \"prise\""),
        (&["--columns", "id,id"], "twice"),
        (&["--columns", ""], "no column"),
    ] {
        let done = tiki.ends(2, &[&["export", "-", "--demo"], arguments].concat());
        assert!(done.err.contains(said), "{arguments:?}: {}", done.err);
        assert!(done.out.is_empty(), "{arguments:?}");
    }
}

fn count_in(tiki: &Tiki, category: &Value) -> usize {
    count(
        tiki,
        &format!(
            "products WHERE category_id = {category} OR id IN
                (SELECT product_id FROM product_categories WHERE category_id = {category})"
        ),
    )
}

/// Names are found by what a keyboard without Vietnamese types, in either warehouse.
fn marks_do_not_matter(tiki: &Tiki) {
    for (listed, search) in [
        (&["categories", "tree"][..], "categories"),
        (&["products", "search", "--limit", "1000"], "products"),
    ] {
        let all = tiki.json(&[listed, &["--demo", "--json"]].concat());
        let marked = |row: &&Value| {
            row["name"]
                .as_str()
                .is_some_and(|name| name.contains(['đ', 'Đ']))
        };
        let named = all.as_array().expect("a list").iter().find(marked);
        let named = named.unwrap_or_else(|| panic!("no name with đ among the {search}"));
        let plain = catalog::search_key(named["name"].as_str().expect("a name"));
        assert!(plain.is_ascii(), "{plain}");
        let found = tiki.json(&[search, "search", &plain, "--demo", "--json"]);
        let found = found.as_array().expect("a list");
        assert!(found.iter().any(|row| row["id"] == named["id"]), "{plain}");
    }
}

fn columns_are_chosen(tiki: &Tiki) {
    let text = tiki.out(&["export", "-", "--columns", "price,id,search_name", "--demo"]);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(
        reader.headers().expect("a header"),
        vec!["price", "id", "search_name"]
    );
    let keys: Vec<i64> = reader
        .records()
        .map(|row| row.expect("a row")[1].parse().expect("an id"))
        .collect();
    assert!(keys.is_sorted() && keys.len() == count(tiki, "products"));
}

fn a_view_of_ones_own_is_exported(tiki: &Tiki) {
    let rows = lines(tiki, &["--table", "cheap"]);
    assert_eq!(rows.len(), count(tiki, "products WHERE price < 500000"));
    let first = &rows[0];
    assert!(first["price"].is_f64() && first["less"] == -1, "{first}");
    assert_eq!(first["day"].as_str().map(str::len), Some(10), "{first}");
    let csv = tiki.out(&[
        "export",
        "-",
        "--table",
        "cheap",
        "--columns",
        "less",
        "--demo",
    ]);
    assert_eq!(csv.lines().nth(1), Some("-1"), "a number is no formula");
    tiki.ends(
        0,
        &["export", "cheap.parquet", "--table", "cheap", "--demo"],
    );
    let file = tiki.path("cheap.parquet");
    let script = "import pyarrow.parquet as pq, sys; print([str(t) for t in pq.read_schema(sys.argv[1]).types])";
    let types = python(&["-c", script, &file.to_string_lossy()]);
    assert_eq!(
        types.trim(),
        "['int64', 'string', 'double', 'int64', 'string', 'double']"
    );
}
