//! What failed, why, what to do; and the exit code.

use crate::tiki::Tiki;

struct Case {
    name: &'static str,
    variables: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
    code: i32,
    said: &'static [&'static str],
}

/// 251 letters after its kind.
const ENDLESS: &str = concat!(
    "airflow:",
    "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
    "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
    "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
    "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
);

const CASES: &[Case] = &[
    Case {
        name: "an unknown variable",
        variables: &[("TIKI_RATE_LIMT", "1")],
        arguments: &["plan"],
        code: 2,
        said: &[
            "there is no setting TIKI_RATE_LIMT",
            "did you mean TIKI_RATE_LIMIT?",
        ],
    },
    Case {
        name: "a value out of bounds",
        variables: &[("TIKI_PARALLEL_WORKERS", "65")],
        arguments: &["run"],
        code: 2,
        said: &[
            "TIKI_PARALLEL_WORKERS",
            "from 1 to 64",
            "requests in flight",
        ],
    },
    Case {
        name: "too fast for the real site",
        variables: &[("TIKI_RATE_LIMIT", "0.1")],
        arguments: &["run"],
        code: 2,
        said: &["too fast for https://tiki.vn", "0.2 is the least"],
    },
    Case {
        name: "no rate for the real site",
        variables: &[("TIKI_RATE_LIMIT", "0")],
        arguments: &["run"],
        code: 2,
        said: &["loopback origin only"],
    },
    Case {
        name: "a database that is not there",
        variables: &[("TIKI_DATABASE_URL", "postgres://u:p@127.0.0.1:1/d")],
        arguments: &["run"],
        code: 30,
        said: &["cannot reach the warehouse", "why:", "TIKI_DATABASE_URL"],
    },
    Case {
        name: "no address of a database",
        variables: &[("TIKI_DATABASE_URL", "mysql://h/d")],
        arguments: &["run"],
        code: 2,
        said: &["no warehouse address", "postgres://user:password@host"],
    },
    Case {
        name: "a word of libpq that is not taken",
        variables: &[("TIKI_DATABASE_URL", "postgres://u:p@h/d?sslmode=allow")],
        arguments: &["run"],
        code: 2,
        said: &["sslmode", "allow", "verify-full"],
    },
    Case {
        name: "a parameter that is not taken",
        variables: &[("TIKI_DATABASE_URL", "postgres://u:p@h/d?sslcert=/x.pem")],
        arguments: &["backup", "create"],
        code: 2,
        said: &["sslcert"],
    },
    Case {
        name: "authorities that are not there",
        variables: &[(
            "TIKI_DATABASE_URL",
            "postgres://u:p@h/d?sslmode=require&sslrootcert=/nowhere.pem",
        )],
        arguments: &["run"],
        code: 2,
        said: &["/nowhere.pem", "No such file", "PEM"],
    },
    Case {
        name: "a site that is not there",
        variables: &[("TIKI_ORIGIN", "http://127.0.0.1:1")],
        arguments: &["run"],
        code: 20,
        said: &[
            "cannot reach the site at http://127.0.0.1:1",
            "tiki storefront",
        ],
    },
    Case {
        name: "a site without TLS",
        variables: &[("TIKI_ORIGIN", "http://tiki.vn")],
        arguments: &["run"],
        code: 2,
        said: &["https only"],
    },
    Case {
        name: "a simulated clock for the real site",
        variables: &[("TIKI_CLOCK", "2026-11-24T19:00:00.000Z")],
        arguments: &["run"],
        code: 2,
        said: &["loopback origin only"],
    },
    Case {
        name: "an unknown owner",
        variables: &[],
        arguments: &["step", "load-products", "--run", "x", "--owner", "me"],
        code: 2,
        said: &["no owner of a run", "airflow:<dag>"],
    },
    Case {
        name: "an owner that no DAG is called like",
        variables: &[],
        arguments: &["step", "load-products", "--run", "x", "--owner", ENDLESS],
        code: 2,
        said: &["no owner of a run"],
    },
    Case {
        name: "a file that no format ends like",
        variables: &[],
        arguments: &["export", "products.xlsx"],
        code: 2,
        said: &[".csv, .jsonl or .parquet"],
    },
    Case {
        name: "a folder that holds no recording",
        variables: &[],
        arguments: &["storefront", "--port", "0", "--replay", "."],
        code: 2,
        said: &["cannot open the simulated shop"],
    },
];

#[test]
fn a_failure_says_what_and_why_and_what_to_do() {
    for case in CASES {
        let tiki = case
            .variables
            .iter()
            .fold(Tiki::new(), |tiki, (name, value)| tiki.with(name, value));
        let done = tiki.ends(case.code, case.arguments);
        for said in case.said {
            assert!(
                done.err.contains(said),
                "{}: {said:?} is not in\n{}",
                case.name,
                done.err
            );
        }
        assert!(
            done.err.contains(&format!("exit: {}", case.code)),
            "{}: {}",
            case.name,
            done.err
        );
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_exit_1() {
    let tiki = Tiki::new();
    tiki.write("file", "not a folder");
    for (folder, arguments) in [
        ("file", &["run", "--demo"] as &[&str]),
        ("file/below", &["run"]),
        ("file", &["step", "load-products", "--run", "x"]),
    ] {
        let arguments: Vec<&str> = arguments
            .iter()
            .copied()
            .chain(["--data-dir", folder])
            .collect();
        let done = tiki.ends(1, &arguments);
        assert!(
            done.err.contains("cannot make the data folder"),
            "{}",
            done.err
        );
        assert!(done.err.contains("--data-dir"), "{}", done.err);
    }
    let done = tiki.ends(1, &["run", "--database-url", "sqlite:file/tiki.db"]);
    assert!(done.err.contains("cannot be written"), "{}", done.err);
}

#[test]
fn a_reading_command_on_nothing_says_what_to_do_and_makes_nothing() {
    let tiki = Tiki::new();
    for arguments in [
        &["products", "search", "x"] as &[&str],
        &["products", "history", "1"],
        &["categories"],
        &["export", "x.csv"],
        &["sql", "SELECT 1"],
        &["digest"],
        &["rejections"],
        &["products", "show", "1", "--demo"],
    ] {
        let done = tiki.ends(2, arguments);
        assert!(
            done.err.contains("has not been filled yet"),
            "{arguments:?}: {}",
            done.err
        );
        assert!(
            done.err.contains("tiki run --demo"),
            "{arguments:?}: {}",
            done.err
        );
    }
    tiki.ends(0, &["runs"]);
    tiki.ends(0, &["plan"]);
    assert!(!tiki.path("data").exists());
    tiki.ends(0, &["migrate"]);
    let done = tiki.ends(2, &["products", "search", "x"]);
    assert!(done.err.contains("is empty"), "{}", done.err);
}

#[test]
fn resuming_without_anything_unfinished_is_99() {
    let tiki = Tiki::new();
    assert!(
        tiki.ends(99, &["runs", "resume"])
            .err
            .contains("no unfinished run")
    );
    tiki.ends(0, &["migrate"]);
    tiki.ends(99, &["runs", "resume"]);
    let done = tiki.ends(2, &["runs", "resume", "nosuch"]);
    assert!(done.err.contains("there is no run"), "{}", done.err);
}

#[test]
fn a_damaged_file_of_the_warehouse_is_left_as_it_is() {
    let tiki = Tiki::new();
    std::fs::create_dir(tiki.path("data")).expect("a folder");
    let noise = "this is no database ".repeat(500);
    tiki.write("data/tiki.db", &noise);
    let done = tiki.ends(1, &["run"]);
    assert!(done.err.contains("damaged"), "{}", done.err);
    assert_eq!(
        std::fs::read_to_string(tiki.path("data/tiki.db")).expect("the file"),
        noise
    );
}

#[test]
fn a_database_of_somebody_else_is_left_alone() {
    let tiki = Tiki::new();
    let file = rusqlite::Connection::open(tiki.path("other.db")).expect("a database");
    file.execute_batch("CREATE TABLE products (sku TEXT); INSERT INTO products VALUES ('a')")
        .expect("a table");
    let postgres = testkit::Postgres::shared().fresh_database();
    testkit::Postgres::shared()
        .beside(&postgres, "CREATE TABLE products (sku TEXT)")
        .child()
        .wait()
        .expect("psql");
    for url in ["sqlite:other.db", &postgres] {
        let done = tiki.ends(2, &["migrate", "--database-url", url]);
        assert!(done.err.contains("that no tiki made"), "{}", done.err);
    }
    let count: i64 = file
        .query_row("SELECT COUNT(*) FROM products", [], |row| row.get(0))
        .expect("its rows");
    assert_eq!(count, 1);
}
