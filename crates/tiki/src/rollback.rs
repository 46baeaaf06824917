//! `tiki rollback`: the way back.

mod airflow;
mod data;

use crate::Context;
use crate::arguments::RollbackCommand;
use crate::failure::Outcome;

/// `tiki rollback`.
pub(crate) async fn rollback(context: &Context, command: RollbackCommand) -> Outcome {
    match command {
        RollbackCommand::Airflow(arguments) => airflow::switch(context, &arguments).await,
        RollbackCommand::Data(arguments) => data::back(context, &arguments).await,
    }
}
