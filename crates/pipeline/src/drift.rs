//! The shape of what the site sends as a contract: before a run's first merge it is compared with the
//! runs before, and past the limits the run is held until a person decides.
//!
//! Not here: what a shape is and which change is too much (`catalog`).

use std::collections::BTreeMap;

use catalog::{FieldShape, FieldShapes, Finding, Shapes};
use warehouse::{DriftRow, Run, RunState, ShapeRow};

use crate::steps::Work;
use crate::{Error, Exit, Pipeline, Result, RunReport, Step, alerts};

/// Findings that a message names at most.
const NAMED: usize = 5;

/// Source, endpoint and root category: what has a shape of its own.
type Key = (String, String, i64);

impl Work<'_> {
    /// Compares the run's shapes with those of the runs before, and holds it when they moved too far.
    /// Decided before anything is loaded, and not again.
    pub(crate) async fn check_drift(&self) -> Result<()> {
        let warehouse = self.warehouse();
        let step = warehouse.step(&self.run.id, &self.attempt.step).await?;
        let loads_already = step.is_some_and(|step| step.planned_to.is_some());
        if loads_already || self.run.drift.as_deref() == Some("accepted") {
            return Ok(());
        }
        let now = by_key(warehouse.shapes(&self.run.id).await?);
        let runs = self.settings().drift_runs;
        let before: Vec<_> = warehouse
            .shapes_before(&self.run.id, runs)
            .await?
            .into_iter()
            .map(|(_, rows)| by_key(rows))
            .collect();
        let mut rows = Vec::new();
        for (key, shapes) in &now {
            let window: Vec<FieldShapes> = before
                .iter()
                .filter_map(|run| run.get(key).cloned())
                .collect();
            let found = catalog::drift(shapes, &window);
            rows.extend(found.into_iter().map(|finding| row_of(key, finding)));
        }
        rows.sort_by_key(|row| (!row.stops, row.field.clone()));
        warehouse.store_drift(&self.attempt, &rows).await?;
        let seen: Vec<String> = rows.iter().take(NAMED).map(in_words).collect();
        let stops = rows.iter().any(|row| row.stops);
        if stops && self.settings().drift_stops {
            let rules = &self.settings().alerts;
            let alert = alerts::held(self.run, &seen, rules).map(|notice| rules.alert(notice));
            // Without the run's id, in which cases of one trouble differ.
            let why = format!(
                "what the site sends has changed its shape ({})",
                seen.join("; ")
            );
            let failed = (Exit::Drift.code().into(), why.as_str());
            warehouse
                .hold_run(&self.attempt, failed, alert.as_ref())
                .await?;
            let run = self.run.id.clone();
            return Err(Error::Drift { run, seen });
        }
        if !seen.is_empty() {
            let text = format!(
                "the shape of what the site sends has changed: {}",
                seen.join("; ")
            );
            self.warn(text);
        }
        Ok(())
    }
}

impl Pipeline {
    /// Loads a run that drift had stopped, from what it fetched: the run, open again. Where a process was killed
    /// after it had accepted, this goes on.
    pub async fn accept_drift(&self, id: &str) -> Result<Run> {
        let run = self.any_run(id).await?;
        if !self.is_half_accepted(&run).await? {
            must_be_held(&run)?;
            self.warehouse().accept_drift(id).await?;
        }
        // A program that has learnt the new shape reads the pages anew.
        self.redo(id, Step::TransformProducts).await
    }

    /// Gives up a run that drift had stopped: what it saw is counted as not observed. Where a process was killed
    /// before it had counted, this goes on.
    pub async fn reject_drift(&self, id: &str) -> Result<RunReport> {
        let run = self.any_run(id).await?;
        let rejected = run.drift.as_deref() == Some("rejected");
        let uncounted = rejected && run.state == RunState::Abandoned && run.totals.is_none();
        if !uncounted {
            must_be_held(&run)?;
            self.warehouse().reject_drift(id).await?;
        }
        self.finish(&run, RunState::Abandoned, Exit::Drift).await
    }

    async fn any_run(&self, id: &str) -> Result<Run> {
        let run = self.warehouse().run(id).await?;
        run.ok_or_else(|| Error::Usage(format!("there is no run {id:?}")))
    }

    /// Whether a run was accepted and not derived anew since.
    async fn is_half_accepted(&self, run: &Run) -> Result<bool> {
        let accepted = run.drift.as_deref() == Some("accepted");
        if run.state != RunState::Open || !accepted {
            return Ok(false);
        }
        let code = Exit::Drift.code().into();
        let untouched = self.warehouse().is_untouched_since_held(&run.id, code);
        Ok(untouched.await?)
    }

    /// The error of a run that is held, for whoever wants to work on it.
    pub(crate) async fn held(&self, run: &Run) -> Result<Error> {
        let rows = self.warehouse().drift(&run.id).await?;
        Ok(Error::Drift {
            run: run.id.clone(),
            seen: rows.iter().take(NAMED).map(in_words).collect(),
        })
    }
}

fn must_be_held(run: &Run) -> Result<()> {
    if run.state == RunState::Held {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "run {} is {}, not held: there is nothing to decide",
        run.id,
        run.state.as_str()
    )))
}

/// Shapes as they are stored.
pub(crate) fn shape_rows(shapes: &Shapes) -> Vec<ShapeRow> {
    let row = |(key, field, shape): (catalog::ShapeKey, &str, &FieldShape)| ShapeRow {
        source: key.source.to_owned(),
        endpoint: key.endpoint.to_owned(),
        root: key.root,
        field: field.to_owned(),
        shape: *shape,
    };
    shapes.iter().map(row).collect()
}

fn by_key(rows: Vec<ShapeRow>) -> BTreeMap<Key, FieldShapes> {
    let mut all: BTreeMap<Key, FieldShapes> = BTreeMap::new();
    for row in rows {
        let key = (row.source, row.endpoint, row.root);
        all.entry(key).or_default().insert(row.field, row.shape);
    }
    all
}

fn row_of((source, endpoint, root): &Key, finding: Finding) -> DriftRow {
    DriftRow {
        source: source.clone(),
        endpoint: endpoint.clone(),
        root: *root,
        field: finding.field,
        kind: finding.kind.as_str().to_owned(),
        was: finding.was,
        now_is: finding.now,
        sample: finding.sample,
        stops: finding.stops,
    }
}

fn in_words(row: &DriftRow) -> String {
    format!(
        "{} of {} {} in category {}: {}",
        row.field, row.source, row.endpoint, row.root, row.kind
    )
}
