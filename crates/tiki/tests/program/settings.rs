//! Where settings come from, and what is shown of them.

use serde_json::Value;

use crate::tiki::Tiki;

fn shown(tiki: &Tiki, arguments: &[&str], name: &str) -> (String, String) {
    let arguments: Vec<&str> = ["config", "show", "--json"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let all = tiki.json(&arguments);
    let list = all.as_array().expect("a list");
    let found = list.iter().find(|one| one["name"] == name).expect(name);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&found["value"]), text(&found["source"]))
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let name = "TIKI_DATA_DIR";
    let tiki = Tiki::new();
    let folder = |name: &str| tiki.path(name).display().to_string();
    assert_eq!(shown(&tiki, &[], name), (folder("data"), "default".into()));
    tiki.write(
        "tiki.toml",
        "data_dir = \"a\"\ncategories = [1846, \"https://tiki.vn/x/c8095\"]\n",
    );
    assert_eq!(shown(&tiki, &[], name), (folder("a"), "tiki.toml".into()));
    let categories = shown(&tiki, &[], "TIKI_CATEGORIES").0;
    assert_eq!(categories, "1846,https://tiki.vn/x/c8095");
    tiki.write("other.toml", "data_dir = \"b\"\n");
    assert_eq!(
        shown(&tiki, &["--config", "other.toml"], name).0,
        folder("b")
    );
    let tiki = tiki.with(name, "c");
    let folder = |name: &str| tiki.path(name).display().to_string();
    assert_eq!(shown(&tiki, &[], name), (folder("c"), "environment".into()));
    assert_eq!(
        shown(&tiki, &["--data-dir", "d"], name),
        (folder("d"), "flag".into())
    );
}

#[test]
fn the_table_of_settings_names_every_one() {
    let tiki = Tiki::new();
    let table = tiki.out(&["config", "show", "--markdown"]);
    let all = tiki.json(&["config", "show", "--json"]);
    for setting in all.as_array().expect("a list") {
        let name = setting["name"].as_str().expect("a name");
        assert!(table.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn a_variable_of_a_test_and_an_empty_one_are_no_settings() {
    let tiki = Tiki::new()
        .with("TIKI_TEST_POSTGRES", "x")
        .with("TIKI_REDIS_URL", "");
    assert_eq!(
        shown(&tiki, &[], "TIKI_REDIS_URL"),
        (String::new(), "default".into())
    );
}

#[test]
fn a_file_of_sqlite_is_shown_however_it_is_named() {
    let tiki = Tiki::new();
    let file = tiki.path("warehouse.db").display().to_string();
    for url in [
        "sqlite:warehouse.db".to_owned(),
        format!("sqlite:{file}"),
        format!("sqlite://{file}"),
    ] {
        let tiki = Tiki::new().with("TIKI_DATABASE_URL", &url);
        let shown = shown(&tiki, &[], "TIKI_DATABASE_URL").0;
        assert!(
            shown.starts_with("sqlite:/") && shown.ends_with("/warehouse.db"),
            "{url}: {shown}"
        );
        let said = tiki.ends(0, &["health"]).out;
        assert!(said.contains("/warehouse.db is not there yet"), "{said}");
    }
    // What is no address may be a password, and what stands before an @ is one.
    for url in ["S3cretS3cret", "sqlite:tiki:S3cretS3cret@h"] {
        let tiki = Tiki::new().with("TIKI_DATABASE_URL", url);
        let done = tiki.run(&["config", "show"]);
        let said = format!("{}{}", done.out, done.err);
        assert!(!said.contains("S3cretS3cret"), "{url}: {said}");
    }
}
