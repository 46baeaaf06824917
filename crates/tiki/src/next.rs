//! The three commands that a run ends with. Each of them returns rows.

use warehouse::Warehouse;

use crate::browse::column;
use crate::failure::Outcome;
use crate::layers::Origin;
use crate::secret::masked;
use crate::{Context, open, print};

/// Shows them; nothing where nothing was loaded.
pub(crate) async fn show(context: &Context, warehouse: &Warehouse, demo: bool) -> Outcome<()> {
    let changed = warehouse.most_changed().await?;
    let first = warehouse.products_after(i64::MIN, 1).await?;
    let product = match changed {
        Some(id) => warehouse.product(id).await?,
        None => first,
    };
    let Some(row) = product.rows.first() else {
        return Ok(());
    };
    let (id, name) = (
        column(&product.columns, row, "id"),
        column(&product.columns, row, "name"),
    );
    let words: Vec<&str> = name
        .split_whitespace()
        .filter(|word| word.chars().all(char::is_alphanumeric))
        .take(2)
        .collect();
    let question = if changed.is_some() {
        // tidy: sample SQL
        "SELECT p.name, h.observed_at, h.previous_price, h.price, h.price_change_percent \
         FROM product_history h JOIN products p ON p.id = h.product_id \
         WHERE h.price_change IS NOT NULL ORDER BY h.price_change_percent LIMIT 10"
    } else {
        // tidy: sample SQL
        "SELECT brand, COUNT(*) AS products, MIN(price) AS cheapest FROM products GROUP BY brand \
         ORDER BY products DESC LIMIT 10"
    };
    let program = program();
    let tail = tail(context, demo);
    let mut text = String::from("\nTry next:\n");
    for command in [
        format!("products search {}", words.join(" "))
            .trim_end()
            .to_owned(),
        format!("products history {id}"),
        format!("sql \"{question}\""),
    ] {
        text += &format!("  {program} {command}{tail}\n");
    }
    print::text(&text)
}

/// The program as it was called.
fn program() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let called = called.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if called.contains('/') && called.chars().all(plain) {
        called.into_owned()
    } else {
        "tiki".into()
    }
}

/// The flags that the commands need besides, to read the same warehouse.
fn tail(context: &Context, demo: bool) -> String {
    let mut tail = String::from(open::flag(demo));
    for effective in context
        .resolved
        .all
        .iter()
        .filter(|all| all.origin == Origin::Flag)
    {
        let Some(flag) = effective.setting.flag else {
            continue;
        };
        // A secret is not repeated: whoever typed it knows it.
        let shown = masked(&effective.text);
        if ["--data-dir", "--database-url"].contains(&flag) {
            tail += &format!(" {flag} '{}'", shown.replace('\'', "'\\''"));
        }
    }
    if let Some(file) = &context.resolved.file
        && file.file_name().is_none_or(|name| name != "tiki.toml")
    {
        tail += &format!(
            " --config '{}'",
            file.display().to_string().replace('\'', "'\\''")
        );
    }
    tail
}
