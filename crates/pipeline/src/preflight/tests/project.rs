use super::*;
use crate::preflight::project::*;

const EXAMPLE: &str = "# Settings\nPOSTGRES_USER=postgres\nPOSTGRES_PASSWORD=\n\
    _AIRFLOW_WWW_USER_USERNAME=admin\n_AIRFLOW_WWW_USER_PASSWORD=\nAIRFLOW_PORT=8080\n";
const OWN: &str = "POSTGRES_USER=postgres\nexport POSTGRES_PASSWORD='Zx9.Zx9-Zx9_'\n\
    _AIRFLOW_WWW_USER_USERNAME=admin # the first\n_AIRFLOW_WWW_USER_PASSWORD=\"Zx9~Zx9~Zx9~\"\n\
    AIRFLOW_PORT=8080\n";

fn env(text: &str, mode: u32) -> Vec<Check> {
    env_file(&EnvFile {
        example: Some(EXAMPLE.into()),
        text: Some(Ok(text.into())),
        mode,
    })
}

#[test]
fn an_env_file_is_complete_secret_and_private() {
    let without = |from: &str, to: &str| OWN.replace(from, to);
    let short = without("'Zx9.Zx9-Zx9_'", "Zx9.Zx9-Zx9");
    for (name, text, mode, expected) in [
        ("env-file", OWN.to_owned(), 0o600, Fine),
        ("env-complete", OWN.to_owned(), 0o600, Fine),
        ("env-complete", without("'Zx9.Zx9-Zx9_'", ""), 0o600, Failed),
        (
            "env-complete",
            without("'Zx9.Zx9-Zx9_'", "# to do"),
            0o600,
            Failed,
        ),
        (
            "env-complete",
            without("POSTGRES_USER=postgres\n", ""),
            0o600,
            Failed,
        ),
        (
            "env-complete",
            without("AIRFLOW_PORT=8080\n", ""),
            0o600,
            Warning,
        ),
        (
            "env-complete",
            without("AIRFLOW_PORT=8080", "AIRFLOW_PORT="),
            0o600,
            Fine,
        ),
        ("env-secrets", OWN.to_owned(), 0o600, Fine),
        ("env-secrets", short, 0o600, Failed),
        (
            "env-secrets",
            without("'Zx9.Zx9-Zx9_'", "ChangeMe"),
            0o600,
            Failed,
        ),
        (
            "env-secrets",
            without("'Zx9.Zx9-Zx9_'", "Zx9/Zx9@Zx9:"),
            0o600,
            Failed,
        ),
        ("env-rights", OWN.to_owned(), 0o640, Fine),
        ("env-rights", OWN.to_owned(), 0o644, Warning),
    ] {
        let checks = env(&text, mode);
        assert_state(line(&checks, name), expected, &text);
        let shown = format!("{checks:?}");
        assert!(!shown.contains("Zx9"), "a secret is shown: {shown}");
    }
}

#[test]
fn an_examples_own_secret_is_none() {
    let facts = EnvFile {
        example: Some("A_TOKEN=Zx9.Zx9-Zx9_\n".into()),
        text: Some(Ok("A_TOKEN=Zx9.Zx9-Zx9_\n".into())),
        mode: 0o600,
    };
    assert_state(
        line(&env_file(&facts), "env-secrets"),
        Failed,
        "the example's",
    );
}

#[test]
fn an_env_file_is_there_where_one_is_needed() {
    let of = |example: Option<&str>, text: Option<Result<String, String>>| {
        let checks = env_file(&EnvFile {
            example: example.map(str::to_owned),
            text,
            mode: 0o600,
        });
        checks[0].clone()
    };
    assert_state(&of(Some(EXAMPLE), None), Failed, "missing");
    assert_state(
        &of(Some(EXAMPLE), Some(Err("no".into()))),
        Failed,
        "unreadable",
    );
    assert_state(&of(None, None), Skipped, "not needed");
}

#[test]
fn a_repository_has_nothing_uncommitted_and_is_not_behind() {
    let head = "# branch.oid abc\n# branch.head main\n";
    for (text, expected) in [
        (head.to_owned(), Fine),
        (format!("{head}# branch.ab +3 -0\n"), Fine),
        (format!("{head}# branch.ab +0 -2\n"), Warning),
        (format!("{head}1 .M N... 1 2 3 a b README.md\n"), Warning),
        (format!("{head}? new.txt\n"), Warning),
    ] {
        let check = repository(Some(&Ok(Repository::read(&text))));
        assert_state(&check, expected, &text);
        assert!(check.seen.starts_with("main"), "{check:?}");
    }
    assert_state(&repository(None), Skipped, "no repository");
    assert_state(&repository(Some(&Err("git?".into()))), Skipped, "no git");
}

#[test]
fn files_and_modules_are_all_there() {
    assert_state(&files(Some(&[])), Fine, "all");
    assert_state(&files(Some(&["crates/crawl"])), Failed, "one missing");
    assert_state(&files(None), Skipped, "no project");
    assert_state(&modules(Some(&Ok(vec![])), 8), Fine, "all read");
    assert_state(
        &modules(Some(&Ok(vec!["a.py: no".into()])), 8),
        Failed,
        "one not",
    );
    assert_state(
        &modules(Some(&Err("no Python".into())), 8),
        Skipped,
        "no Python",
    );
    assert_state(&modules(None, 0), Skipped, "no DAGs");
    assert_state(&rollback_dag(Some(true)), Fine, "there");
    assert_state(&rollback_dag(Some(false)), Failed, "missing");
    assert_state(&rollback_dag(None), Skipped, "no DAGs");
}

#[test]
fn the_dags_have_the_steps_of_this_program() {
    let ours = include_str!("../../../../../airflow/dags/tiki_pipeline/steps.py");
    assert_state(&dag_steps(Some(ours)), Fine, "ours");
    for (from, to) in [
        ("load_products", "load_all"),
        ("\"load_stats\"", "\"stats\""),
        ("    Step(\"send-notification\"", "    # Step\n    # ("),
        ("STEPS = (", "ALL = ("),
    ] {
        let text = ours.replacen(from, to, 1);
        assert_ne!(text, ours, "{from}");
        assert_state(&dag_steps(Some(&text)), Failed, from);
    }
    assert_state(&dag_steps(None), Skipped, "no DAGs");
}
