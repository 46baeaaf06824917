//! What the DAGs say of the program is what the program says of itself.

use serde_json::Value;

use super::{page, told};

/// A table of `steps.py`: the lines between its name and the end of it.
fn table<'a>(text: &'a str, name: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n{name} = ")).expect(name);
    rest.split_once(end).expect("its end").0
}

/// The words in quotation marks.
fn words(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

#[test]
fn the_dags_know_the_steps_and_settings_of_the_program() {
    let text = page("airflow/dags/tiki_pipeline/steps.py");
    let steps: Value = serde_json::from_str(&told(&["step", "--list", "--json"])).expect("JSON");
    let known: Vec<String> = steps
        .as_array()
        .expect("steps")
        .iter()
        .flat_map(|step| {
            let keys = step["keys"].as_array().expect("keys").iter();
            [&step["name"], &step["task_id"]].into_iter().chain(keys)
        })
        .map(|word| word.as_str().expect("a word").to_owned())
        .collect();
    assert_eq!(words(table(&text, "STEPS", "\n)\n")), known, "STEPS");
    let settings = told(&["config", "show", "--json"]);
    let settings: Value = serde_json::from_str(&settings).expect("JSON");
    let defaults: Vec<(&str, &str)> = settings
        .as_array()
        .expect("settings")
        .iter()
        .filter_map(|setting| Some((setting["name"].as_str()?, setting["default"].as_str()?)))
        .collect();
    let settings: Vec<&str> = defaults.iter().map(|(name, _)| *name).collect();
    let variables = words(table(&text, "VARIABLES", "\n)\n"));
    let params = words(table(&text, "PARAMS", ")\n"));
    let connections = words(table(&text, "CONNECTIONS", "}\n"));
    let names = variables
        .iter()
        .map(|name| name.to_uppercase())
        .chain(
            params
                .iter()
                .map(|name| format!("TIKI_{}", name.to_uppercase())),
        )
        .chain(
            connections
                .iter()
                .skip(1)
                .step_by(2)
                .map(|name| (*name).to_owned()),
        );
    let mut count = 0;
    for name in names {
        assert!(settings.contains(&name.as_str()), "{name}");
        count += 1;
    }
    assert_eq!(count, 13, "variables, params and connections");
    // What both read when nobody says anything.
    let own = words(table(&text, "OF_THE_DAG", "}\n"));
    let mut shared = 0;
    for pair in own.chunks(2) {
        let default = defaults.iter().find(|(name, _)| *name == pair[0]);
        if let Some((name, default)) = default {
            assert_eq!(*default, pair[1], "{name}");
            shared += 1;
        }
    }
    assert_eq!(shared, 2, "the schedules");
}
