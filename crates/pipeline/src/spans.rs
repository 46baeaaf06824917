//! The fields that a log line has because of where it was written: the run and the step.
//!
//! Their level is the highest, so that a line has them whatever is logged.

use tracing::Instrument;

use crate::site::chain;
use crate::{Error, Result, StepReport, StepRequest};

/// The target of what only log files have: people are told of it in other words.
pub const TO_FILES: &str = "tiki";

/// Work on a run.
pub(crate) async fn of_run<T>(run: &str, work: impl Future<Output = T>) -> T {
    work.instrument(tracing::error_span!("run", run)).await
}

/// Work on a step, and how it begins and ends.
pub(crate) async fn of_step(
    request: &StepRequest,
    work: impl Future<Output = Result<StepReport>>,
) -> Result<StepReport> {
    let span = tracing::error_span!("step", run = request.run, step = request.step.name());
    let told = async {
        tracing::info!("begun");
        let outcome = work.await;
        match &outcome {
            Ok(report) => {
                let (seconds, exit_code) = (report.seconds, report.exit_code);
                tracing::info!(seconds, exit_code, "ended");
            }
            // Whoever called handles it: this is for whoever reads what a step did.
            Err(Error::Interrupted) => tracing::info!("interrupted"),
            Err(error) => {
                let exit_code = error.exit().code();
                tracing::error!(target: TO_FILES, error = chain(error), exit_code, "not ended");
            }
        }
        outcome
    };
    told.instrument(span).await
}
