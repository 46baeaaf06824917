//! Getting the data out: export, sql, products, categories.

use crate::tiki::Tiki;

#[test]
fn everything_can_be_read_and_taken_out() {
    let tiki = Tiki::new();
    tiki.fill_demo(120, 2);
    exports_are_whole(&tiki);
    sql_only_reads(&tiki);
    products_are_found(&tiki);
    a_ledger_is_shown(&tiki);
    a_table_that_is_cut_says_so(&tiki);
    a_category_is_searched_as_it_is_exported(&tiki);
}

fn a_table_that_is_cut_says_so(tiki: &Tiki) {
    let said = |command: &[&str], limit: i64, more: &[&str]| {
        let limit = limit.to_string();
        let arguments = [command, &["--demo", "--limit", &limit], more].concat();
        tiki.ends(0, &arguments).err
    };
    let search = ["products", "search"];
    let told = said(&search, 5, &[]);
    assert_eq!(told, "the first 5; --limit shows more\n");
    assert_eq!(said(&search, 5, &["--json"]), "");
    assert_eq!(said(&search, 5, &["--quiet"]), "");
    assert_eq!(said(&search, 1000, &[]), "");
    let runs = ["runs", "list"];
    let told = said(&runs, 2, &[]);
    assert_eq!(
        told,
        "the first 2; `tiki runs list --demo --limit` shows more\n"
    );
    assert_eq!(said(&runs, 2, &["--json"]), "");
    assert_eq!(said(&runs, 3, &[]), "", "there are two");
}

fn exports_are_whole(tiki: &Tiki) {
    let count = tiki.json(&[
        "sql",
        "SELECT COUNT(*) AS n FROM products",
        "--demo",
        "--json",
    ]);
    let count: usize = count[0]["n"]
        .as_str()
        .expect("a count")
        .parse()
        .expect("a number");
    tiki.ends(0, &["export", "p.csv", "--demo"]);
    let mut reader = csv::Reader::from_path(tiki.path("p.csv")).expect("a file");
    let header = reader.headers().expect("a header").clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), count);
    assert_eq!(&header[0], "id");
    tiki.ends(0, &["export", "p.jsonl", "--demo"]);
    let text = std::fs::read_to_string(tiki.path("p.jsonl")).expect("a file");
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), count);
    for (row, line) in rows.iter().zip(&lines) {
        assert_eq!(row[0], line["id"].to_string());
        assert!(line["price"].is_i64() && line["name"].is_string(), "{line}");
        assert!(line["seller_is_official"].is_boolean() || line["seller_is_official"].is_null());
        assert!(!line["specifications"].is_string(), "JSON inside, not text");
    }
    let piped = tiki.out(&["export", "-", "--demo"]);
    assert_eq!(
        piped,
        std::fs::read_to_string(tiki.path("p.csv")).expect("a file")
    );
    let piped = tiki.out(&["export", "-", "--format", "jsonl", "--demo"]);
    assert_eq!(piped, text);
    let done = tiki.ends(1, &["export", "nowhere/p.csv", "--demo"]);
    assert!(
        done.err.contains("cannot write nowhere/p.csv"),
        "{}",
        done.err
    );
    let mut names: Vec<String> = std::fs::read_dir(tiki.folder())
        .expect("the folder")
        .map(|entry| {
            entry
                .expect("a file")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["data", "p.csv", "p.jsonl"],
        "nothing unfinished is left"
    );
}

fn sql_only_reads(tiki: &Tiki) {
    let before = tiki.out(&["digest", "--demo"]);
    for statement in [
        "DELETE FROM products",
        "UPDATE products SET price = 0",
        "DROP TABLE products",
        "CREATE TABLE x (y TEXT)",
        "INSERT INTO warehouse_info VALUES ('x', 'y')",
        "PRAGMA user_version = 7",
        "ATTACH DATABASE 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "SELECT 1; DELETE FROM products",
        "BEGIN",
        "not a statement",
        "",
    ] {
        let done = tiki.run(&["sql", statement, "--demo"]);
        assert_eq!(done.code, 2, "{statement}: {done:?}");
        assert!(done.err.contains("help:"), "{statement}: {}", done.err);
    }
    let done = tiki.ends(2, &["sql", "PRAGMA table_info(products)", "--demo"]);
    let names = ["only SELECT", "`tiki schema <table>`"];
    let told = names.iter().all(|name| done.err.contains(name));
    assert!(
        told && !done.err.contains("error: the statement would write"),
        "{}",
        done.err
    );
    assert_eq!(tiki.out(&["digest", "--demo"]), before);
    assert!(!tiki.path("other.db").exists() && !tiki.path("copy.db").exists());
    let done = tiki.ends(
        0,
        &["sql", "SELECT id FROM products", "--limit", "3", "--demo"],
    );
    assert_eq!(done.out.lines().count(), 4, "{}", done.out);
    assert!(done.err.contains("only the first 3 rows"), "{}", done.err);
    json_keeps_every_column(tiki);
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                   SELECT COUNT(*) FROM n";
    let done = tiki.ends(2, &["sql", endless, "--timeout", "200ms", "--demo"]);
    assert!(done.err.contains("--timeout"), "{}", done.err);
}

fn json_keeps_every_column(tiki: &Tiki) {
    let twice = "SELECT p.name, c.name FROM products p JOIN categories c ON c.id = p.category_id";
    let both = tiki.out(&["sql", twice, "--limit", "1", "--demo"]);
    assert_eq!(both.matches("name").count(), 2, "{both}");
    let done = tiki.ends(2, &["sql", twice, "--demo", "--json"]);
    assert!(
        done.out.is_empty() && done.err.contains("\"name\"") && done.err.contains("with AS"),
        "{done:?}"
    );
    let ordered = tiki.out(&[
        "sql",
        "SELECT 2 AS z, NULL AS a, 'x' AS m",
        "--demo",
        "--json",
    ]);
    assert_eq!(ordered, "[{\"z\":\"2\",\"a\":null,\"m\":\"x\"}]\n");
}

fn products_are_found(tiki: &Tiki) {
    let found = tiki.json(&["products", "search", "--demo", "--json", "--limit", "5"]);
    let first = &found[0];
    let (id, name) = (
        first["id"].to_string(),
        first["name"].as_str().expect("a name"),
    );
    let word = name
        .split_whitespace()
        .next()
        .expect("a word")
        .to_lowercase();
    let again = tiki.out(&["products", "search", &word, "--demo"]);
    assert!(again.lines().count() > 1, "{again}");
    let shown = tiki.out(&["products", "show", &id, "--demo"]);
    assert!(shown.contains(name), "{shown}");
    let whole = tiki.json(&["products", "show", &id, "--demo", "--json"]);
    assert_eq!(whole["name"], first["name"]);
    let history = tiki.json(&["products", "history", &id, "--demo", "--json"]);
    assert_eq!(history[0]["kind"], "first");
    let url = whole["url"].as_str().expect("an address");
    for named in [url, &format!("/a-p{id}.html?spid=1")] {
        for command in ["show", "history"] {
            let by_url = tiki.out(&["products", command, named, "--demo", "--json"]);
            let by_id = tiki.out(&["products", command, &id, "--demo", "--json"]);
            assert_eq!(by_url, by_id, "{command} {named}");
        }
    }
    for wrong in [
        "１２３",
        "tai nghe",
        "https://tiki.vn/a/c22",
        "99999999999999999999",
    ] {
        let done = tiki.ends(2, &["products", "show", wrong, "--demo"]);
        assert!(done.err.contains("`tiki products search`"), "{}", done.err);
    }
    let done = tiki.ends(2, &["products", "show", "1", "--demo"]);
    assert!(done.err.contains("there is no product 1"), "{}", done.err);
    let none = tiki.ends(0, &["products", "search", "qqqqqqq", "--demo"]);
    assert!(
        none.out.is_empty() && none.err.contains("no product has"),
        "{none:?}"
    );
    let tree = tiki.out(&["categories", "--demo"]);
    assert!(tree.lines().any(|line| line.starts_with("  ")), "{tree}");
    let leaf = whole["category_id"].to_string();
    let below = tiki.out(&[
        "products",
        "search",
        "--category",
        &leaf,
        "--demo",
        "--limit",
        "1000",
    ]);
    assert!(below.contains(&id), "{below}");
    assert!(
        tiki.out(&["rejections", "--demo", "--json"])
            .starts_with('[')
    );
}

/// With all below it, by id or name; also where only its products are stored.
fn a_category_is_searched_as_it_is_exported(tiki: &Tiki) {
    let categories = tiki.json(&["categories", "--demo", "--json"]);
    let top = &categories[0];
    assert!(top["is_leaf"] == false, "{top}");
    let (id, name) = (top["id"].to_string(), top["name"].as_str().expect("a name"));
    let search = [
        "products",
        "search",
        "--demo",
        "--limit",
        "1000",
        "--json",
        "--category",
    ];
    let export = ["export", "-", "--demo", "--columns", "id", "--category"];
    let both = |named: &str| {
        let found = tiki.json(&[&search[..], &[named]].concat());
        let found = found.as_array().expect("a list").iter();
        let mut found: Vec<String> = found.map(|row| row["id"].to_string()).collect();
        found.sort();
        let file = tiki.out(&[&export[..], &[named]].concat());
        let mut exported: Vec<String> = file.lines().skip(1).map(str::to_owned).collect();
        exported.sort();
        assert_eq!(found, exported, "{named}");
        found.len()
    };
    assert!(both(&id) > 0);
    assert_eq!(both(&id), both(name));
    for command in [&search[..], &export[..]] {
        let done = tiki.ends(2, &[command, &["999999"]].concat());
        let help = "`tiki categories search <words> --demo`";
        assert!(
            done.err.contains("is no category that the warehouse knows") && done.err.contains(help),
            "{}",
            done.err
        );
    }
    let words = ["products", "search", "qqqqqqq", "--demo", "--category", &id];
    let none = tiki.ends(0, &words).err;
    assert!(none.contains("no product of this category has"), "{none}");
    // What a run of one chosen leaf leaves.
    let leaf = tiki.json(&[
        "sql",
        "SELECT MAX(category_id) AS id FROM products",
        "--demo",
        "--json",
    ]);
    let leaf = leaf[0]["id"].as_str().expect("an id");
    let before = both(leaf);
    let file = rusqlite::Connection::open(tiki.path("data/demo.db")).expect("the demo");
    file.execute_batch("DELETE FROM categories; DELETE FROM category_parents;")
        .expect("no tree");
    assert_eq!(both(leaf), before);
}

fn a_hint_keeps_to_the_demo(tiki: &Tiki, id: &str) {
    for (code, command, help) in [
        (
            2,
            &["runs", "close", id] as &[&str],
            "tiki run --from transform-products --run {} --demo",
        ),
        (
            99,
            &["runs", "resume"],
            "`tiki run --demo` begins a new one",
        ),
        (
            2,
            &["runs", "show", "nope"],
            "`tiki runs --demo` lists them",
        ),
        (
            2,
            &["backup", "verify", "nope"],
            "`tiki backup list --demo` shows them",
        ),
    ] {
        let done = tiki.ends(code, &[command, &["--demo"]].concat());
        assert!(done.err.contains(&help.replace("{}", id)), "{}", done.err);
    }
}

fn a_ledger_is_shown(tiki: &Tiki) {
    let runs = tiki.json(&["runs", "list", "--demo", "--json", "--limit", "1"]);
    let id = runs[0]["id"].as_str().expect("an id");
    let shown = tiki.out(&["runs", "show", id, "--demo"]);
    for said in [id, "crawl-product-details", "products", "done"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let whole = tiki.json(&["runs", "show", id, "--demo", "--json"]);
    assert_eq!(whole["steps"].as_array().expect("a list").len(), 9);
    assert_eq!(whole["counts"]["products"], whole["totals"]["products"]);
    let closed = tiki.ends(2, &["runs", "close", id, "--demo"]);
    assert!(closed.err.contains("is done already"), "{}", closed.err);
    a_hint_keeps_to_the_demo(tiki, id);
    let plan = tiki.json(&["plan", "--demo", "--json"]);
    assert_eq!(plan["from"], format!("run {id}"));
    let listed = whole["counts"]["products"]["listed"].as_i64();
    let of = |word: &str| {
        let all = plan["products"].as_array().expect("a list");
        all.iter()
            .find(|pair| pair[0] == word)
            .and_then(|pair| pair[1].as_i64())
            .expect("a count")
    };
    assert_eq!(
        Some(of("new") + of("changed") + of("aged") + of("none")),
        listed
    );
    assert_eq!(plan["listing_pages"], whole["counts"]["pages"]["planned"]);
    let parts = [
        "details",
        "listing_pages",
        "category_requests",
        "first_requests",
    ];
    let sum: i64 = parts
        .iter()
        .map(|part| plan[part].as_i64().expect(part))
        .sum();
    assert_eq!(plan["requests"], sum, "{plan}");
    let shown = tiki.out(&["plan", "--demo"]);
    let first = shown
        .lines()
        .find(|line| line.starts_with("first requests"));
    assert!(
        first.is_some_and(|line| line.ends_with("1  robots.txt")),
        "{shown}"
    );
}
