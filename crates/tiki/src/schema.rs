//! `tiki schema`: every table and column of the warehouse, what it holds and where it comes from.
//!
//! Not here: the words (`warehouse::schema`).

use pipeline::Exit;
use serde_json::{Value, json};
use warehouse::schema::{self, Table};

use crate::arguments::SchemaArguments;
use crate::failure::{Failure, Outcome};
use crate::print;

/// `tiki schema`.
pub(crate) fn show(arguments: &SchemaArguments) -> Outcome {
    if arguments.markdown {
        print::text(&schema::markdown())?;
        return Ok(Exit::Done);
    }
    let one = match arguments.table.as_deref() {
        Some(name) => Some(schema::table(name).ok_or_else(|| unknown(name))?),
        None => None,
    };
    if arguments.json {
        let tables: Vec<Value> = match one {
            Some(table) => vec![as_json(table)],
            None => schema::tables().map(as_json).collect(),
        };
        print::json(&tables)?;
        return Ok(Exit::Done);
    }
    let text = if let Some(table) = one {
        let row = |column: &schema::Column| {
            vec![
                column.name.clone(),
                column.type_word(),
                column.from.clone(),
                column.plain(),
            ]
        };
        let rows: Vec<_> = table.all_columns().map(row).collect();
        let columns = print::table(&["column", "type", "from", "unit and meaning"], &rows);
        format!("{}\n\n{columns}", table.plain())
    } else {
        let row = |table: &Table| vec![table.name.clone(), table.plain()];
        let rows: Vec<_> = schema::tables().map(row).collect();
        print::table(&["table", "holds"], &rows)
    };
    print::text(&text)?;
    Ok(Exit::Done)
}

fn as_json(table: &Table) -> Value {
    let column = |column: &schema::Column| {
        json!({
            "name": column.name,
            "type": column.kind.as_str(),
            "nullable": column.nullable,
            "means": column.plain(),
            "from": column.from,
            "internal": table.is_internal(&column.name),
        })
    };
    json!({
        "name": table.name,
        "key": if table.of.is_none() { table.key.as_slice() } else { &[] },
        "view_of": table.of,
        "means": table.plain(),
        "columns": table.all_columns().map(column).collect::<Vec<_>>(),
    })
}

fn unknown(name: &str) -> Failure {
    let known: Vec<&str> = schema::tables().map(|table| table.name.as_str()).collect();
    let shown: String = name.chars().take(80).collect();
    Failure::usage(format!("the schema has no table or view {shown:?}"))
        .help(format!("it has: {}", known.join(", ")))
}
