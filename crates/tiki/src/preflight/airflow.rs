//! Airflow's API, version 2, as sections 6, 7, 10, 11, 13, 20 and 25 ask it. It only reads.
//!
//! Not here: what is made of it (`pipeline::preflight::airflow`).

use pipeline::preflight::airflow::{
    Airflow, Answered, BACKUP_DAG, DAG, Inside, ROLLBACK_DAG, Told, VARIABLES,
};
use serde_json::Value;

use crate::Context;
use crate::airflow::Api;
use crate::setting::SETTINGS;

/// Files with errors that are told.
const MAX_FILES: usize = 20;

/// Airflow of the settings.
pub(super) async fn look(context: &Context) -> Airflow {
    let Some(base) = context.config.airflow_url.clone() else {
        return Airflow::Absent;
    };
    let mut api = match Api::new(base) {
        Ok(api) => api,
        Err(why) => return Airflow::Silent(why.into()),
    };
    let parts = match api.get("/api/v2/monitor/health").await {
        Err(why) => return Airflow::Silent(why.into()),
        Ok((200, health)) if health.is_object() => parts(&health),
        Ok((status, _)) => {
            let why = format!("/api/v2/monitor/health answered {status}, which is no Airflow 3");
            return Airflow::Silent(why);
        }
    };
    let inside = match api.log_in(&context.config.airflow_login).await {
        Ok(()) => Ok(inside(&api).await),
        Err(why) => Err(why.into()),
    };
    Airflow::Answered(Box::new(Answered { parts, inside }))
}

fn parts(health: &Value) -> Vec<(String, Option<String>)> {
    let fields = health.as_object().into_iter().flatten();
    let part = |(name, part): (&String, &Value)| {
        let status = part.get("status").and_then(Value::as_str);
        (name.clone(), status.map(str::to_owned))
    };
    fields.map(part).collect()
}

async fn inside(api: &Api) -> Inside {
    Inside {
        dag: paused(api, DAG).await,
        tasks: tasks(api).await,
        rollback: paused(api, ROLLBACK_DAG).await,
        backup: paused(api, BACKUP_DAG).await,
        import_errors: import_errors(api).await,
        variables: variables(api).await,
    }
}

async fn paused(api: &Api, dag: &str) -> Told<Option<bool>> {
    let found = api.thing(&format!("/dags/{dag}")).await?;
    match found.map(|dag| dag["is_paused"].as_bool()) {
        None => Ok(None),
        Some(Some(paused)) => Ok(Some(paused)),
        Some(None) => Err(format!("/dags/{dag} does not say whether it is paused")),
    }
}

async fn tasks(api: &Api) -> Told<Vec<String>> {
    let found = api.thing(&format!("/dags/{DAG}/tasks")).await?;
    let found = found.unwrap_or(Value::Null);
    let tasks = found["tasks"].as_array().into_iter().flatten();
    Ok(texts(tasks, "task_id"))
}

async fn import_errors(api: &Api) -> Told<Vec<String>> {
    let found = api.thing("/importErrors").await?;
    let found = found.ok_or("there are no /importErrors")?;
    let errors = found["import_errors"].as_array();
    let errors = errors.ok_or("/importErrors has no list")?;
    Ok(texts(errors.iter().take(MAX_FILES), "filename"))
}

async fn variables(api: &Api) -> Told<Vec<(&'static str, String, Option<String>)>> {
    let mut set = Vec::new();
    for name in VARIABLES {
        if let Some(variable) = api.thing(&format!("/variables/{name}")).await? {
            let value = match &variable["value"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let why = wrong(name, &value);
            set.push((name, value, why));
        }
    }
    Ok(set)
}

fn texts<'a>(all: impl Iterator<Item = &'a Value>, field: &str) -> Vec<String> {
    let texts = all.map(|one| one[field].as_str().unwrap_or("?"));
    texts.map(str::to_owned).collect()
}

/// What is wrong with the value of a Variable; an empty one is not set.
fn wrong(name: &str, value: &str) -> Option<String> {
    let upper = name.to_uppercase();
    let setting = SETTINGS.iter().find(|setting| setting.name == upper)?;
    if value.is_empty() {
        return None;
    }
    setting.kind.parse(value).err()
}
