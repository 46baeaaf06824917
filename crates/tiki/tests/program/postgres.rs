//! The same commands with PostgreSQL.

use testkit::Postgres;

use crate::tiki::Tiki;

#[test]
fn a_demo_lives_in_a_schema_of_its_own() {
    let database = Postgres::shared().fresh_database();
    let tiki = Tiki::new().with("TIKI_DATABASE_URL", &database);
    let done = tiki.fill_demo(60, 2);
    assert!(done.err.contains("(schema demo)"), "{}", done.err);
    let sqlite = Tiki::new();
    sqlite.fill_demo(60, 2);
    let digest = ["digest", "--demo"];
    assert_eq!(
        tiki.out(&digest),
        sqlite.out(&digest),
        "both warehouses hold the same"
    );
    let empty = tiki.ends(2, &["products", "search", "x"]);
    assert!(empty.err.contains("add --demo"), "{}", empty.err);
    tiki.ends(0, &["export", "p.jsonl", "--demo"]);
    sqlite.ends(0, &["export", "p.jsonl", "--demo"]);
    let read = |tiki: &Tiki| std::fs::read_to_string(tiki.path("p.jsonl")).expect("a file");
    let (one, other) = (read(&tiki), read(&sqlite));
    for (one, other) in one.lines().zip(other.lines()) {
        let parse = |line| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        let (mut one, mut other) = (parse(one), parse(other));
        // When they were loaded is of no account.
        for key in ["created_at", "updated_at"] {
            assert!(one[key].take().is_string() && other[key].take().is_string());
        }
        assert_eq!(one, other);
    }
    for statement in [
        "DELETE FROM products",
        "SELECT 1; DELETE FROM products",
        "CREATE TABLE x (y text)",
    ] {
        let done = tiki.ends(2, &["sql", statement, "--demo"]);
        assert!(done.err.contains("help:"), "{statement}: {}", done.err);
    }
    let rows = tiki.json(&[
        "sql",
        "SELECT id FROM products ORDER BY id LIMIT 3",
        "--demo",
        "--json",
    ]);
    assert_eq!(rows.as_array().expect("a list").len(), 3);
    let slow = tiki.ends(
        2,
        &["sql", "SELECT pg_sleep(5)", "--timeout", "200ms", "--demo"],
    );
    assert!(slow.err.contains("--timeout"), "{}", slow.err);
    Postgres::shared().drop_database(&database);
}
