//! `tiki sql`: a question of one's own. The database itself refuses to write.

use pipeline::Exit;
use serde::{Serialize, Serializer};
use warehouse::{Error, Table};

use crate::arguments::SqlArguments;
use crate::failure::{Failure, Outcome};
use crate::{Context, open, print};

/// `tiki sql`.
pub(crate) async fn sql(context: &Context, arguments: &SqlArguments) -> Outcome {
    let output = arguments.output;
    let Some(warehouse) = open::ledger(context, output.demo).await? else {
        return Err(open::empty(context, output.demo, false).await);
    };
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let answer = warehouse
        .select(&arguments.statement, limit, arguments.timeout)
        .await;
    let table = answer.map_err(|error| match error {
        Error::Statement { .. } | Error::Address(..) => {
            let mut failure = Failure::usage("the statement is not answered");
            failure = match std::error::Error::source(&error) {
                Some(source) => failure.because(source),
                None => failure.because(&error),
            };
            failure.help(
                "one statement that reads is answered, within --timeout; names of tables: \
                 tiki schema",
            )
        }
        Error::Patience(_) => Failure::usage("the statement is not answered")
            .because(&error)
            .help("ask for less (LIMIT, a condition), or allow more with --timeout"),
        Error::ReadOnly(why) => Failure::usage("the statement is not answered")
            .why(why)
            .help(
                "only SELECT, WITH … SELECT and VALUES are, and nothing that would write; \
                 `tiki schema <table>` shows a table's columns",
            ),
        other => other.into(),
    })?;
    if output.json {
        no_name_twice(&table)?;
        let columns = &table.columns;
        let rows = table.rows.iter().map(|cells| Row { columns, cells });
        print::json(&rows.collect::<Vec<_>>())?;
    } else {
        let columns: Vec<&str> = table.columns.iter().map(String::as_str).collect();
        let rows: Vec<Vec<String>> = table
            .rows
            .iter()
            .map(|row| {
                row.iter()
                    .map(|cell| cell.clone().unwrap_or_default())
                    .collect()
            })
            .collect();
        print::text(&print::table_of_records(&columns, &rows))?;
    }
    if table.cut {
        context.screen.warn(&format!(
            "only the first {limit} rows are shown: --limit {} shows more",
            limit.saturating_mul(10)
        ));
    }
    Ok(Exit::Done)
}

/// An object has a name once.
fn no_name_twice(table: &Table) -> Outcome<()> {
    let mut names = table.columns.iter().enumerate();
    let twice = names.find(|(at, name)| table.columns.iter().take(*at).any(|other| other == *name));
    match twice {
        None => Ok(()),
        Some((_, name)) => Err(Failure::usage(format!(
            "two columns of the answer are called {name:?}, and JSON would keep one of them"
        ))
        .help("name them with AS")),
    }
}

/// A row as an object, its members in the order of the columns.
struct Row<'a> {
    columns: &'a [String],
    cells: &'a [Option<String>],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns.iter().zip(self.cells))
    }
}
