//! `tiki categories`, `tiki products`, `tiki digest`: the data.
//!
//! Not here: a question of one's own (`sql`), everything at once (`export`).

use catalog::one_line;
use pipeline::Exit;
use warehouse::value::Value;
use warehouse::{Records, Warehouse};

use crate::arguments::{
    CategoriesArguments, CategoriesCommand, DigestArguments, Output, ProductsCommand,
};
use crate::failure::{Failure, Outcome};
use crate::value::Kind;
use crate::{Context, open, print};

/// Categories that are read; the site has some 3,000.
const MAX_CATEGORIES: i64 = 100_000;

/// Characters of a name in the tree.
const NAME_CHARS: usize = 300;

/// `tiki categories`.
pub(crate) async fn categories(context: &Context, arguments: CategoriesArguments) -> Outcome {
    let command = arguments.command.unwrap_or(CategoriesCommand::Tree {
        output: arguments.output,
    });
    let (words, output) = match command {
        CategoriesCommand::Tree { output } => (Vec::new(), output),
        CategoriesCommand::Search { text, output } => (text, output),
    };
    let warehouse = open::to_read(context, output.demo).await?;
    let mut records = warehouse.categories(MAX_CATEGORIES).await?;
    let key = catalog::search_key(&words.join(" "));
    records.rows.retain(|row| {
        let name = catalog::search_key(&column(&records.columns, row, "name"));
        key.split_whitespace().all(|word| name.contains(word))
    });
    if output.json || !words.is_empty() {
        return found(
            context,
            &records,
            output.json,
            "no category has these words in its name",
        );
    }
    let top = records
        .rows
        .iter()
        .filter_map(|row| level(&records.columns, row))
        .min()
        .unwrap_or(0);
    let mut text = String::new();
    for row in &records.rows {
        let depth = level(&records.columns, row).unwrap_or(top) - top;
        let (id, name) = (
            column(&records.columns, row, "id"),
            column(&records.columns, row, "name"),
        );
        let products = column(&records.columns, row, "product_count");
        let products = if ["0", "-1"].contains(&products.as_str()) {
            String::new()
        } else {
            format!(", {products} products")
        };
        let indent = usize::try_from(depth * 2).unwrap_or(0);
        let name = one_line(&name, NAME_CHARS);
        text += &format!("{:indent$}{name} ({id}{products})\n", "");
    }
    print::text(&text)?;
    Ok(Exit::Done)
}

/// `tiki products`.
pub(crate) async fn products(context: &Context, command: ProductsCommand) -> Outcome {
    match command {
        ProductsCommand::Search {
            text,
            category,
            limit,
            output,
        } => {
            let warehouse = open::to_read(context, output.demo).await?;
            let category = match category {
                Some(named) => Some(self::category(&warehouse, &named, output.demo).await?),
                None => None,
            };
            let none = match category {
                Some(_) if text.is_empty() => "no product is in this category",
                Some(_) => "no product of this category has these words in its name",
                None => "no product has these words in its name",
            };
            let records = warehouse
                .search_products(&text.join(" "), category, limit)
                .await?;
            found(context, &records, output.json, none)?;
            say_if_cut(context, &records, limit, output);
            Ok(Exit::Done)
        }
        ProductsCommand::Show { id, output } => {
            let warehouse = open::to_read(context, output.demo).await?;
            let records = warehouse.product(id).await?;
            let row = records.rows.first().ok_or_else(|| unknown(id, output))?;
            if output.json {
                print::json(&print::object(&records, row))?;
            } else {
                print::record(&records, row)?;
            }
            Ok(Exit::Done)
        }
        ProductsCommand::History { id, limit, output } => {
            let warehouse = open::to_read(context, output.demo).await?;
            let product = warehouse.product(id).await?;
            let row = product.rows.first().ok_or_else(|| unknown(id, output))?;
            context.screen.say(&column(&product.columns, row, "name"));
            let records = warehouse.product_history(id, limit).await?;
            found(
                context,
                &records,
                output.json,
                "nothing has been loaded of it yet",
            )?;
            say_if_cut(context, &records, limit, output);
            Ok(Exit::Done)
        }
    }
}

/// `tiki digest`.
pub(crate) async fn digest(context: &Context, arguments: &DigestArguments) -> Outcome {
    let warehouse = open::to_read(context, arguments.demo).await?;
    let digest = if arguments.content {
        warehouse.content_digest().await?
    } else {
        warehouse.digest().await?
    };
    print::line(&digest)?;
    Ok(Exit::Done)
}

/// Shows what was found; finding nothing is an answer too.
fn found(context: &Context, records: &Records, json: bool, none: &str) -> Outcome {
    if records.rows.is_empty() && !json {
        context.screen.say(none);
        return Ok(Exit::Done);
    }
    print::records(records, json)?;
    Ok(Exit::Done)
}

/// Says to people that there may be more than the limit lets through.
fn say_if_cut(context: &Context, records: &Records, limit: i64, output: Output) {
    if !output.json {
        context
            .screen
            .say_if_cut(records.rows.len(), limit, "--limit");
    }
}

fn unknown(id: i64, output: Output) -> Failure {
    let demo = open::flag(output.demo);
    Failure::usage(format!("there is no product {id}"))
        .help(format!("`tiki products search <words>{demo}` shows ids"))
}

/// A category that was named by its id, its URL or its name (accents do not matter).
pub(crate) async fn category(warehouse: &Warehouse, text: &str, demo: bool) -> Outcome<i64> {
    let known = warehouse.categories(MAX_CATEGORIES).await?;
    let of = |row: &Vec<Value>, name: &str| column(&known.columns, row, name);
    let shown: String = text.chars().take(80).collect();
    let fail =
        |what: &str, help: String| Err(Failure::usage(format!("{shown:?} {what}")).help(help));
    let demo = open::flag(demo);
    let hint = format!("`tiki categories search <words>{demo}` shows ids");
    if let Some(id) = one_id(text) {
        let is_known = known.rows.iter().any(|row| of(row, "id") == id.to_string());
        // A run of chosen categories does not see the tree.
        if is_known || warehouse.has_products_in(id).await? {
            return Ok(id);
        }
        return fail("is no category that the warehouse knows", hint);
    }
    let key = catalog::search_key(text);
    let key_of = |row: &Vec<Value>| catalog::search_key(&of(row, "name"));
    let has_all = |row: &&Vec<Value>| {
        let name = key_of(row);
        !key.is_empty() && key.split_whitespace().all(|word| name.contains(word))
    };
    let mut found: Vec<&Vec<Value>> = known.rows.iter().filter(has_all).collect();
    if found.iter().any(|row| key_of(row) == key) {
        found.retain(|row| key_of(row) == key);
    }
    match found.as_slice() {
        [one] => match one.first() {
            Some(Value::Int(id)) => Ok(*id),
            _ => fail("is no category with an id", hint),
        },
        [] => fail("is no category that the warehouse knows", hint),
        several => {
            let first = several.iter().take(8);
            let named = first.map(|row| format!("{} ({})", of(row, "name"), of(row, "id")));
            let named: Vec<String> = named.collect();
            let help = format!("give the id of one: {}", named.join(", "));
            fail(&format!("means {} categories", several.len()), help)
        }
    }
}

/// The one category that an id or a URL names.
fn one_id(text: &str) -> Option<i64> {
    match Kind::Categories.parse(text) {
        Ok(crate::value::Value::Ids(ids)) => ids.first().copied().filter(|_| ids.len() == 1),
        _ => None,
    }
}

fn level(columns: &[&str], row: &[Value]) -> Option<i64> {
    let at = columns.iter().position(|name| *name == "level")?;
    match row.get(at) {
        Some(Value::Int(level)) => Some(*level),
        _ => None,
    }
}

/// A column of a row, as text.
pub(crate) fn column(columns: &[&str], row: &[Value], name: &str) -> String {
    let at = columns.iter().position(|column| *column == name);
    at.and_then(|at| row.get(at))
        .map(print::shown)
        .unwrap_or_default()
}
