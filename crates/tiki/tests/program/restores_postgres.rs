//! What people have made around the warehouse in PostgreSQL, and what a proof and a restore make of it.

use testkit::Postgres;

use crate::backup::change;
use crate::tiki::Tiki;

/// A warehouse of its own database, around which some statements have made something.
fn with(statements: &str) -> Tiki {
    let database = Postgres::shared().fresh_database();
    let tiki = Tiki::new().with("TIKI_DATABASE_URL", &database);
    tiki.ends(0, &["migrate"]);
    change(&tiki, "postgres", statements);
    tiki
}

fn backup(tiki: &Tiki) -> String {
    let made = tiki.json(&["backup", "create", "--verify", "--json"]);
    made["id"].as_str().expect("an id").to_owned()
}

/// The one cell of a question.
fn cell(tiki: &Tiki, what: &str) -> String {
    let rows = tiki.json(&[
        "sql",
        &format!("SELECT CAST({what} AS text) AS cell"),
        "--json",
    ]);
    rows[0]["cell"].as_str().expect("a text").to_owned()
}

#[test]
fn owners_and_rights_on_columns_come_back() {
    let server = Postgres::shared();
    let (owner, reader) = ("restored_owner", "restored_reader");
    server.admin(&format!("CREATE ROLE {owner}; CREATE ROLE {reader}"));
    let tiki = with(&format!(
        "CREATE VIEW cheap AS SELECT id FROM products WHERE price < 1000;
         CREATE FUNCTION twice(n bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 2 * n';
         ALTER TABLE products OWNER TO {owner};
         ALTER VIEW cheap OWNER TO {owner};
         ALTER FUNCTION twice OWNER TO {owner};
         GRANT SELECT (id, name) ON products TO {reader};
         GRANT SELECT ON cheap TO {reader} WITH GRANT OPTION"
    ));
    let id = backup(&tiki);
    tiki.ends(0, &["backup", "restore", &id, "--force"]);
    for (table, name) in [("class", "products"), ("class", "cheap"), ("proc", "twice")] {
        let owner_of = match table {
            "class" => "relowner",
            _ => "proowner",
        };
        let name_of = owner_of.replace("owner", "name");
        let space = owner_of.replace("owner", "namespace");
        let sql = format!(
            "(SELECT pg_get_userbyid({owner_of}) FROM pg_{table} WHERE {name_of} = '{name}'
             AND {space} = 'public'::regnamespace)"
        );
        assert_eq!(cell(&tiki, &sql), owner, "{name}");
    }
    let may = |column: &str| {
        let sql = format!("has_column_privilege('{reader}', 'products', '{column}', 'SELECT')");
        cell(&tiki, &sql)
    };
    assert_eq!(
        [may("id"), may("name"), may("price")],
        ["true", "true", "false"]
    );
    let sql = format!("has_table_privilege('{reader}', 'cheap', 'SELECT WITH GRANT OPTION')");
    assert_eq!(cell(&tiki, &sql), "true");
    // What nobody owned specially is whose it was.
    let sql =
        "(SELECT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename = 'runs')";
    assert_eq!(cell(&tiki, sql), "tiki");
}

#[test]
fn a_proof_makes_the_extensions_of_the_database() {
    let tiki = with(
        "CREATE EXTENSION pg_trgm; CREATE INDEX by_likeness ON products USING gin (name gin_trgm_ops)",
    );
    let id = backup(&tiki);
    tiki.ends(0, &["backup", "restore", &id, "--force"]);
    backup(&tiki);
}

#[test]
fn a_backup_that_needs_another_schema_is_no_bug_of_ours() {
    let tiki = with(
        "CREATE SCHEMA others; CREATE TYPE others.mood AS ENUM ('good');
         ALTER TABLE products ADD COLUMN mood others.mood",
    );
    let refused = tiki.ends(2, &["backup", "create", "--verify"]);
    assert!(refused.err.contains("others"), "{}", refused.err);
    assert!(
        refused.err.contains("outside its schema"),
        "{}",
        refused.err
    );
}

#[test]
fn types_move_aside_and_what_cannot_is_named() {
    let tiki = with(
        "CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN percent AS int CHECK (VALUE <= 100);
         CREATE TYPE pair AS (a int, b mood); CREATE TYPE span AS RANGE (SUBTYPE = float8);
         CREATE TABLE moods (mood mood, percent percent, pair pair, span span, spans mood[]);
         CREATE STATISTICS likely ON id, price FROM products;
         CREATE FUNCTION label(p products, m mood) RETURNS text LANGUAGE sql AS 'SELECT p.name'",
    );
    let id = backup(&tiki);
    for _ in 0..2 {
        tiki.ends(0, &["backup", "restore", &id, "--force"]);
    }
    change(
        &tiki,
        "postgres",
        "CREATE TEXT SEARCH DICTIONARY plain (TEMPLATE = simple)",
    );
    let refused = tiki.ends(2, &["backup", "restore", &id, "--force"]);
    assert!(
        refused.err.contains("text search dictionary plain"),
        "{}",
        refused.err
    );
    tiki.ends(0, &["runs"]);
}

#[test]
fn what_reads_the_warehouse_from_outside_is_named() {
    let tiki = with(
        "CREATE SCHEMA reports; CREATE VIEW reports.cheap AS SELECT id, price FROM products;
         CREATE MATERIALIZED VIEW reports.counted AS SELECT COUNT(*) FROM runs;
         CREATE TABLE reports.notes (product bigint REFERENCES products (id));
         CREATE VIEW reports.none AS SELECT 1 AS one;
         CREATE FUNCTION slug(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower(t)';
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TABLE reports.tags (t text DEFAULT slug('A'), CONSTRAINT low CHECK (t = slug(t)));
         CREATE INDEX by_slug ON reports.tags (slug(t));
         CREATE TRIGGER touched BEFORE INSERT ON reports.tags FOR EACH ROW EXECUTE FUNCTION touch();
         CREATE POLICY known ON reports.tags USING (EXISTS (SELECT 1 FROM products WHERE name = t))",
    );
    let id = backup(&tiki);
    let told = tiki.ends(0, &["backup", "restore", &id, "--force", "--json"]);
    let restored: serde_json::Value = serde_json::from_str(&told.out).expect("JSON");
    let outside = [
        "constraint low of reports.tags",
        "default of a column of reports.tags",
        "foreign key notes_product_fkey of reports.notes",
        "index reports.by_slug",
        "materialized view reports.counted",
        "policy known of reports.tags",
        "trigger touched of reports.tags",
        "view reports.cheap",
    ];
    assert_eq!(restored["outside"], serde_json::json!(outside));
    for name in outside {
        assert!(told.err.contains(name), "{}", told.err);
    }
    // As the runbook makes a view anew.
    let kept = restored["kept"].as_str().expect("what was there");
    let reads_old = format!("strpos(pg_get_viewdef('reports.cheap'::regclass), '{kept}') > 0");
    assert_eq!(cell(&tiki, &reads_old), "true");
    change(
        &tiki,
        "postgres",
        &format!(
            "DO $$ BEGIN EXECUTE 'CREATE OR REPLACE VIEW reports.cheap AS '
                || replace(pg_get_viewdef('reports.cheap'::regclass), '{kept}', 'public'); END $$"
        ),
    );
    assert_eq!(cell(&tiki, &reads_old), "false");
}
