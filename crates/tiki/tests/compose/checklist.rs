//! The commands of docs/CHECKLIST.md, run as they stand there.

use std::fs;

use serde_json::json;

use crate::api::Api;
use crate::checks::Checks;
use crate::docker::said;
use crate::images::project;
use crate::stack::Stack;

pub(crate) const DAG: &str = "tiki_crawl_products_optimized";
const TASKS: usize = 9;

/// A section's title and its commands.
struct Section {
    title: String,
    blocks: Vec<String>,
}

fn sections() -> Vec<Section> {
    let page = fs::read_to_string(project().join("docs/CHECKLIST.md")).expect("the page");
    let mut sections: Vec<Section> = Vec::new();
    let mut block: Option<String> = None;
    for line in page.lines() {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (Some(text), "```") => {
                let section = sections.last_mut().expect("a title before commands");
                section.blocks.push(std::mem::take(text));
                block = None;
            }
            (Some(text), _) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {
                if let Some(title) = line.strip_prefix("## ") {
                    let title = title.to_owned();
                    sections.push(Section {
                        title,
                        blocks: Vec::new(),
                    });
                }
            }
        }
    }
    sections
}

/// From the first command to the last; between the sections it does what their words ask for.
pub(crate) fn check(stack: &Stack, checks: &mut Checks) {
    let sections = sections();
    let blocks: usize = sections.iter().map(|section| section.blocks.len()).sum();
    checks.holds(
        "the page has commands for its sections",
        blocks >= 14,
        blocks,
    );
    for section in &sections {
        for block in &section.blocks {
            let mut shell = stack.docker.command("bash");
            shell
                .args(["-o", "pipefail", "-ec", block])
                .current_dir(&stack.folder);
            let (well, text) = said(&mut shell);
            let shown = text.lines().last().unwrap_or_default().to_owned();
            checks.holds(&section.title, well, if well { shown } else { text });
        }
        if ["7.", "20."]
            .iter()
            .any(|number| section.title.starts_with(number))
        {
            stack.wait_healthy();
            checks.holds("every service is healthy", true, "");
            // It is within the worker's container, which is another one now.
            stack.open_shop();
        }
        if section.title.starts_with("13.") {
            small_run(stack, checks);
        }
    }
}

fn small_run(stack: &Stack, checks: &mut Checks) {
    let api = log_in(stack).expect("the login of .env");
    let runs = api.get(&format!("/dags/{DAG}/dagRuns"));
    let runs = runs["dag_runs"].as_array().expect("runs");
    checks.equal("one run was triggered", runs.len(), 1);
    let id = runs[0]["dag_run_id"].as_str().unwrap_or_default();
    green(&api, id, checks);
}

/// A run that is triggered by the API ends well.
pub(crate) fn another_run(stack: &Stack, checks: &mut Checks) {
    let api = log_in(stack).expect("the login of .env");
    let conf = json!({"max_categories": 2, "max_products_per_category": 10});
    let id = api.trigger(DAG, &conf);
    green(&api, &id, checks);
}

fn green(api: &Api, id: &str, checks: &mut Checks) {
    checks.equal("the small run", api.end_of(DAG, id), "success".to_owned());
    let tasks = api.tasks(DAG, id);
    let green = tasks.iter().filter(|task| task.state == "success").count();
    checks.holds("nine tasks succeed", green == TASKS, tasks);
    let products = api.xcom(DAG, id, "load_products", "load_stats")["total_products"].clone();
    checks.holds("it loads products", products.as_i64() > Some(0), products);
}

/// The first login; the status of the answer where that fails.
pub(crate) fn log_in(stack: &Stack) -> Result<Api, u16> {
    let base = format!("http://127.0.0.1:{}", stack.env("AIRFLOW_PORT"));
    let name = stack.env("_AIRFLOW_WWW_USER_USERNAME");
    Api::log_in(&base, &name, &stack.env("_AIRFLOW_WWW_USER_PASSWORD"))
}
