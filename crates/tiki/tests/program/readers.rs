//! A user of PostgreSQL who may only read: `deploy/roles.sql`.

use std::process::Command;

use testkit::Postgres;

use crate::analysts::{psycopg, python};
use crate::tiki::Tiki;

const ROLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/roles.sql");

/// Statements that write, or would: each must be refused.
const WRITES: [&str; 14] = [
    "INSERT INTO demo.warehouse_info VALUES ('x', 'y')",
    "UPDATE demo.products SET price = 0",
    "DELETE FROM demo.products",
    "TRUNCATE demo.products",
    "DROP TABLE demo.products",
    "DROP VIEW demo.product_current",
    "ALTER TABLE demo.products ADD COLUMN x bigint",
    "COMMENT ON TABLE demo.products IS 'mine'",
    "CREATE TABLE demo.mine (x bigint)",
    "CREATE TABLE public.mine (x bigint)",
    "SELECT nextval('demo.pages_id_seq')",
    "SELECT * FROM demo.products FOR UPDATE",
    "BEGIN; LOCK TABLE demo.products IN EXCLUSIVE MODE",
    "CREATE INDEX ON demo.products (price)",
];

/// Counts the statements that are refused for want of a right.
const TRY_ALL: &str = "import psycopg, sys
refused = 0
for statement in sys.argv[2:]:
    with psycopg.connect(sys.argv[1], autocommit=True) as c:
        try:
            c.execute(statement)
            print('went through:', statement)
        except psycopg.errors.InsufficientPrivilege:
            refused += 1
print(refused)";

fn psql(url: &str, variables: &[String], file: &str) {
    let program = Postgres::find().expect("PostgreSQL").join("psql");
    let mut command = Command::new(program);
    command.args(["-X", "-q", "-d", url, "-v", "ON_ERROR_STOP=1"]);
    for variable in variables {
        command.args(["-v", variable]);
    }
    let output = command.args(["-f", file]).output().expect("psql");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn slow_a_reader_reads_everything_and_writes_nothing() {
    let server = Postgres::shared();
    let database = server.fresh_database();
    let owner = Tiki::new().with("TIKI_DATABASE_URL", &database);
    owner.fill_demo(60, 2);
    // Roles belong to the whole server: these are this test's own.
    let name = format!("readers_{}", std::process::id());
    let variables = [format!("reader={name}"), "schema=demo".into()];
    for _ in 0..2 {
        psql(&database, &variables, ROLES);
    }
    let login = format!("anna_{}", std::process::id());
    server.admin(&format!(
        "CREATE ROLE {login} LOGIN PASSWORD 'annas' IN ROLE {name}"
    ));
    let (_, place) = database.rsplit_once('@').expect("a host");
    let url = format!("postgres://{login}:annas@{place}");
    // A table and a view of a later migration.
    let later =
        "CREATE TABLE demo.later AS SELECT 1 AS x; CREATE VIEW demo.later_view AS SELECT 2 AS x";
    psycopg(&database, later);
    let arguments = [&["-c", TRY_ALL, &url], &WRITES[..]].concat();
    assert_eq!(python(&arguments).trim(), WRITES.len().to_string());
    let reader = Tiki::new().with("TIKI_DATABASE_URL", &url);
    reads_with_every_command(&reader, &owner);
    for statement in [
        "SELECT COUNT(*) FROM later",
        "SELECT COUNT(*) FROM later_view",
    ] {
        reader.ends(0, &["sql", statement, "--demo"]);
    }
    for arguments in [
        &["migrate", "--demo"] as &[&str],
        &["run", "--demo", "--demo-products", "60", "--demo-days", "2"],
    ] {
        let done = reader.ends(2, arguments);
        assert!(
            done.err.contains("does not let this user do that"),
            "{}",
            done.err
        );
        assert!(done.err.contains("another user"), "{}", done.err);
        assert!(!done.err.contains("annas"), "{}", done.err);
    }
    let backup = reader.ends(1, &["backup", "create", "--demo"]);
    assert!(backup.err.contains("permission denied"), "{}", backup.err);
    server.drop_database(&database);
    server.admin(&format!("DROP ROLE {login}"));
    server.admin(&format!("DROP ROLE {name}"));
}

/// Every command that reads says to a reader what it says to the owner.
fn reads_with_every_command(reader: &Tiki, owner: &Tiki) {
    let runs = owner.json(&["runs", "--demo", "--json"]);
    let run = runs[0]["id"].as_str().expect("a run");
    let found = owner.json(&["products", "search", "--demo", "--json", "--limit", "1"]);
    let id = found[0]["id"].to_string();
    for arguments in [
        &["products", "search", "a"] as &[&str],
        &["products", "show", &id],
        &["products", "history", &id],
        &["categories", "tree"],
        &["categories", "search", "a"],
        &["runs"],
        &["runs", "show", run],
        &["rejections"],
        &["drift", "show", run],
        &["plan"],
        &["digest"],
        &["sql", "SELECT COUNT(*) FROM observations"],
    ] {
        let arguments = [arguments, &["--demo"]].concat();
        assert_eq!(
            reader.out(&arguments),
            owner.out(&arguments),
            "{arguments:?}"
        );
    }
    let schema = owner.json(&["schema", "--json"]);
    for table in schema.as_array().expect("a list") {
        let name = table["name"].as_str().expect("a name");
        let arguments = ["export", "-", "--table", name, "--demo"];
        assert_eq!(reader.out(&arguments), owner.out(&arguments), "{name}");
    }
}

#[test]
fn a_user_without_rights_is_told_so() {
    let server = Postgres::shared();
    let database = server.fresh_database();
    Tiki::new()
        .with("TIKI_DATABASE_URL", &database)
        .ends(0, &["migrate"]);
    let login = format!("nobody_{}", std::process::id());
    server.admin(&format!("CREATE ROLE {login} LOGIN PASSWORD 'nobodys'"));
    let (_, place) = database.rsplit_once('@').expect("a host");
    let url = format!("postgres://{login}:nobodys@{place}");
    let tiki = Tiki::new().with("TIKI_DATABASE_URL", &url);
    for arguments in [&["products", "search", "x"] as &[&str], &["runs"]] {
        let done = tiki.ends(2, arguments);
        assert!(done.err.contains("deploy/roles.sql"), "{}", done.err);
    }
    server.drop_database(&database);
    server.admin(&format!("DROP ROLE {login}"));
}
