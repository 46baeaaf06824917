//! The rows that a merge writes.
//!
//! Not here: what they should be (`decide`), what was there before (`merge_read`).

use std::collections::BTreeMap;

use catalog::{Change, Instant, Known, Look, Values, compute};

use crate::batches;
use crate::bulk::Columns;
use crate::corrections::Corrections;
use crate::error::Result;
use crate::lease::Attempt;
use crate::merge::Outcome;
use crate::present::Present;
use crate::staging::{RUN_PRODUCT, run_products, set_outcome};
use crate::tx::Tx;
use crate::value::{Row, Value};

/// A product's look, its page and the number of the rules that derived it.
type PagedLook = (i64, Look, Option<i64>, i64);

/// What a batch will write.
#[derive(Default)]
pub(crate) struct Writes {
    /// Looks that are newer than all before of their product.
    pub(crate) appended: Vec<PagedLook>,
    /// Other looks; one may take the place of a lighter one, or of one by lower rules.
    pub(crate) late: Vec<PagedLook>,
    /// Looks that higher rules do not derive any more.
    pub(crate) withdrawn: Vec<(i64, Instant)>,
    /// Products of which nothing is left.
    pub(crate) vanished: Vec<i64>,
    pub(crate) corrections: Corrections,
    /// Products whose history is dropped from an instant on.
    pub(crate) dropped: Vec<(i64, Instant)>,
    pub(crate) history: Vec<(i64, Change)>,
    /// Products that were not known.
    pub(crate) new: Vec<(Standing, Present)>,
    /// Products that are told something new of.
    pub(crate) whole: Vec<(Standing, Present)>,
    /// Products of which only values and times changed.
    pub(crate) standing: Vec<Standing>,
}

/// The columns of `products` that follow from looks and clocks.
pub(crate) struct Standing {
    pub(crate) id: i64,
    pub(crate) known: Known,
    /// Of identity and details.
    pub(crate) hashes: (i64, Option<i64>),
    pub(crate) content_at: Instant,
    pub(crate) observed_at: Instant,
    pub(crate) detail_observed_at: Option<Instant>,
    pub(crate) delisted_at: Option<Instant>,
    pub(crate) updated_at: Instant,
}

/// A listing shows so many items a page; a position counts over all pages.
const ITEMS_A_PAGE: i64 = 40;

const VALUE_COLUMNS: &Columns = &[
    ("price", "bigint"),
    ("original_price", "bigint"),
    ("discount_percent", "bigint"),
    ("sales_count", "bigint"),
    ("rating_average", "{real}"),
    ("review_count", "bigint"),
    ("seller_id", "bigint"),
    ("spid", "bigint"),
    ("stock_status", "text"),
    ("stock_quantity", "bigint"),
];

fn value_cells(values: &Values) -> Vec<Value> {
    vec![
        values.price.into(),
        values.original_price.into(),
        values.discount_percent.into(),
        values.sales_count.into(),
        values.rating_average.into(),
        values.review_count.into(),
        values.seller_id.into(),
        values.spid.into(),
        values.stock_status.as_ref().into(),
        values.stock_quantity.into(),
    ]
}

const COMPUTED_COLUMNS: &Columns = &[
    ("discount_amount", "bigint"),
    ("estimated_revenue", "bigint"),
    ("price_category", "text"),
    ("popularity_score", "{real}"),
    ("value_score", "{real}"),
    ("sales_velocity", "{real}"),
];

fn computed_cells(known: &Known) -> Vec<Value> {
    let computed = compute(&known.values);
    vec![
        computed.discount_amount.into(),
        computed.estimated_revenue.into(),
        computed.price_category.into(),
        computed.popularity_score.into(),
        computed.value_score.into(),
        known.sales_velocity.into(),
    ]
}

/// Writes what a merge decided, but for the count of its corrections.
pub(crate) async fn write(
    tx: &mut Tx,
    attempt: &Attempt,
    writes: &Writes,
    now: Instant,
) -> Result<()> {
    remove(tx, writes).await?;
    write_observations(tx, &attempt.run, writes).await?;
    let dropped: Vec<Vec<Value>> = writes
        .dropped
        .iter()
        .map(|(id, from)| vec![(*id).into(), (*from).into()])
        .collect();
    tx.delete_from("product_history", &dropped).await?;
    write_history(tx, writes).await?;
    write_new(tx, &writes.new, now).await?;
    write_whole(tx, &writes.whole, now).await?;
    write_standing(tx, &writes.standing).await
}

/// Takes away what higher rules do not derive any more.
async fn remove(tx: &mut Tx, writes: &Writes) -> Result<()> {
    if !writes.withdrawn.is_empty() {
        let columns: &Columns = &[("product_id", "bigint"), ("observed_at", "{time}")];
        let withdrawn = writes.withdrawn.iter();
        let withdrawn: Vec<Vec<Value>> = withdrawn
            .map(|(id, at)| vec![(*id).into(), (*at).into()])
            .collect();
        tx.delete("observations", columns, &withdrawn).await?;
    }
    if writes.vanished.is_empty() {
        return Ok(());
    }
    for (table, key) in [
        ("observations", "product_id"),
        ("product_history", "product_id"),
        ("product_categories", "product_id"),
        ("products", "id"),
    ] {
        let sql = format!("DELETE FROM {table} WHERE {key} {{among:$1}}");
        tx.execute(&sql, &[Value::Ids(writes.vanished.clone())])
            .await?;
    }
    Ok(())
}

async fn write_observations(tx: &mut Tx, run: &str, writes: &Writes) -> Result<()> {
    let mut columns = vec![
        ("product_id", "bigint"),
        ("observed_at", "{time}"),
        ("source", "text"),
        ("gone", "{flag}"),
        ("run_id", "text"),
        ("page_id", "bigint"),
        ("derivation", "bigint"),
    ];
    columns.extend(VALUE_COLUMNS);
    let row = |(id, look, page, derivation): &PagedLook| {
        let mut row = Vec::with_capacity(columns.len());
        row.extend([
            (*id).into(),
            look.observed_at.into(),
            look.source.as_str().into(),
            look.gone.into(),
            run.into(),
            (*page).into(),
            (*derivation).into(),
        ]);
        row.extend(value_cells(&look.values));
        row
    };
    let appended = writes.appended.iter().map(row);
    tx.append("observations", &columns, appended).await?;
    if writes.late.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<Value>> = writes.late.iter().map(row).collect();
    // A look that two runs have, by a page from a cache, stays the first one's.
    let set: Vec<String> = columns[2..]
        .iter()
        .map(|(name, _)| match *name {
            "run_id" | "page_id" => format!(
                "{name} = CASE WHEN observations.source = excluded.source
                    THEN observations.{name} ELSE excluded.{name} END"
            ),
            _ => format!("{name} = excluded.{name}"),
        })
        .collect();
    let tail = format!(
        "ON CONFLICT (product_id, observed_at) DO UPDATE SET {}",
        set.join(", ")
    );
    tx.insert("observations", &columns, &tail, &rows)
        .await
        .map(drop)
}

async fn write_history(tx: &mut Tx, writes: &Writes) -> Result<()> {
    let mut columns = vec![
        ("product_id", "bigint"),
        ("observed_at", "{time}"),
        ("kind", "text"),
        ("changed", "text"),
        ("previous_price", "bigint"),
        ("price_change", "bigint"),
        ("price_change_percent", "{real}"),
        ("sales_velocity", "{real}"),
    ];
    columns.extend(&VALUE_COLUMNS[..9]);
    let history = writes.history.iter();
    let rows = history.map(|(id, change)| history_row(*id, change));
    tx.append("product_history", &columns, rows).await
}

fn history_row(id: i64, change: &Change) -> Vec<Value> {
    let changed: Vec<&str> = change.changed.iter().map(|kind| kind.as_str()).collect();
    let mut row = vec![
        id.into(),
        change.observed_at.into(),
        change.kind.as_str().into(),
        changed.join(",").into(),
        change.previous_price.into(),
        change.price_change.into(),
        change.price_change_percent.into(),
        change.sales_velocity.into(),
    ];
    row.extend(value_cells(&change.values).into_iter().take(9));
    row
}

/// In the order of [`standing_cells`].
fn standing_columns() -> Vec<(&'static str, &'static str)> {
    let mut columns = vec![
        ("id", "bigint"),
        ("identity_hash", "bigint"),
        ("details_hash", "bigint"),
        ("content_at", "{time}"),
        ("observed_at", "{time}"),
        ("detail_observed_at", "{time}"),
        ("delisted_at", "{time}"),
        ("updated_at", "{time}"),
    ];
    columns.extend(VALUE_COLUMNS);
    columns.extend(COMPUTED_COLUMNS);
    columns
}

fn standing_cells(row: &Standing) -> Vec<Value> {
    let mut cells = vec![
        row.id.into(),
        row.hashes.0.into(),
        row.hashes.1.into(),
        row.content_at.into(),
        row.observed_at.into(),
        row.detail_observed_at.into(),
        row.delisted_at.into(),
        row.updated_at.into(),
    ];
    cells.extend(value_cells(&row.known.values));
    cells.extend(computed_cells(&row.known));
    cells
}

async fn write_standing(tx: &mut Tx, rows: &[Standing]) -> Result<()> {
    let rows: Vec<Vec<Value>> = rows.iter().map(standing_cells).collect();
    tx.update("products", &standing_columns(), 1, &rows)
        .await
        .map(drop)
}

/// In the order of [`present_cells`].
const PRESENT_COLUMNS: &Columns = &[
    ("name", "text"),
    ("search_name", "text"),
    ("url", "text"),
    ("image_url", "text"),
    ("category_id", "bigint"),
    ("category_path", "text"),
    ("brand", "text"),
    ("seller_sku", "text"),
    ("seller_is_official", "{flag}"),
    ("sku", "text"),
    ("brand_id", "bigint"),
    ("seller_name", "text"),
    ("named_seller_id", "bigint"),
    ("named_seller_name", "text"),
    ("description", "text"),
    ("specifications", "{json}"),
    ("images", "{json}"),
    ("site_created_on", "text"),
];

fn present_cells(present: &Present, known: &Known) -> Vec<Value> {
    let identity = &present.identity;
    let named = present.names(known.values.seller_id);
    vec![
        (&identity.name).into(),
        catalog::search_key(&identity.name).into(),
        (&identity.url).into(),
        identity.image_url.as_ref().into(),
        identity.category_id.into(),
        identity.category_path.as_ref().into(),
        identity.brand.as_ref().into(),
        identity.seller_sku.as_ref().into(),
        identity.seller_is_official.into(),
        present.sku.as_ref().into(),
        present.brand_id.into(),
        present.named_seller_name.as_ref().filter(|_| named).into(),
        present.named_seller_id.into(),
        present.named_seller_name.as_ref().into(),
        present.description.as_ref().into(),
        present.specifications.as_ref().into(),
        present.images.as_ref().into(),
        present.site_created_on.as_ref().into(),
    ]
}

/// The columns of a whole product, in the order of [`whole_cells`].
fn whole_columns() -> Vec<(&'static str, &'static str)> {
    let mut columns = standing_columns();
    columns.extend(PRESENT_COLUMNS);
    columns.push(("created_at", "{time}"));
    columns
}

fn whole_cells((standing, present): &(Standing, Present), now: Instant) -> Vec<Value> {
    let mut cells = standing_cells(standing);
    cells.extend(present_cells(present, &standing.known));
    cells.push(now.into());
    cells
}

async fn write_new(tx: &mut Tx, new: &[(Standing, Present)], now: Instant) -> Result<()> {
    let rows = new.iter().map(|whole| whole_cells(whole, now));
    tx.append("products", &whole_columns(), rows).await
}

async fn write_whole(tx: &mut Tx, whole: &[(Standing, Present)], now: Instant) -> Result<()> {
    if whole.is_empty() {
        return Ok(());
    }
    let columns = whole_columns();
    let set: Vec<String> = columns[1..columns.len() - 1]
        .iter()
        .map(|(name, _)| format!("{name} = excluded.{name}"))
        .collect();
    let tail = format!("ON CONFLICT (id) DO UPDATE SET {}", set.join(", "));
    let rows: Vec<Vec<Value>> = whole.iter().map(|whole| whole_cells(whole, now)).collect();
    tx.insert("products", &columns, &tail, &rows)
        .await
        .map(drop)
}

/// Where the run listed the products: every category, not only the one whose values count. Of `others`, which
/// it did not list, the one whose values count may have become another.
pub(crate) async fn memberships(
    tx: &mut Tx,
    run: &str,
    ids: Vec<i64>,
    mut others: Vec<i64>,
) -> Result<()> {
    let listed = tx
        .lookup(
            RUN_PRODUCT,
            "SELECT l.product_id, l.category_id, l.observed_at, l.page, l.position
             FROM {keys} JOIN listings l
                ON l.run_id = d.run_id AND l.product_id = d.product_id AND NOT l.beyond
             JOIN products p ON p.id = l.product_id",
            &run_products(run, &ids),
        )
        .await?;
    if !listed.is_empty() {
        write_memberships(tx, &listed).await?;
        others.extend(ids);
    }
    if others.is_empty() {
        return Ok(());
    }
    // A product that moved to another category leaves the mark of the first on its old row.
    tx.execute(
        "UPDATE product_categories SET is_primary = NOT is_primary FROM products p
         WHERE product_categories.product_id {among:$1} AND p.id = product_categories.product_id
            AND is_primary <> COALESCE(product_categories.category_id = p.category_id, {no})",
        &[Value::Ids(others)],
    )
    .await
    .map(drop)
}

async fn write_memberships(tx: &mut Tx, listed: &[Row]) -> Result<()> {
    let mut rows = Vec::with_capacity(listed.len());
    for row in listed {
        let seen_at = row.time(2)?;
        rows.push(vec![
            row.int(0)?.into(),
            row.int(1)?.into(),
            seen_at.into(),
            seen_at.into(),
            ((row.int(3)? - 1) * ITEMS_A_PAGE + row.int(4)? + 1).into(),
            false.into(),
        ]);
    }
    tx.insert(
        "product_categories",
        MEMBERSHIP_COLUMNS,
        MEMBERSHIP_TAIL,
        &rows,
    )
    .await
    .map(drop)
}

const MEMBERSHIP_COLUMNS: &Columns = &[
    ("product_id", "bigint"),
    ("category_id", "bigint"),
    ("first_seen_at", "{time}"),
    ("last_seen_at", "{time}"),
    ("position", "bigint"),
    ("is_primary", "{flag}"),
];

/// A late sighting may only move the first one back.
const MEMBERSHIP_TAIL: &str = "ON CONFLICT (product_id, category_id) DO UPDATE SET
    first_seen_at = CASE WHEN excluded.first_seen_at < product_categories.first_seen_at
        THEN excluded.first_seen_at ELSE product_categories.first_seen_at END,
    position = CASE WHEN excluded.last_seen_at > product_categories.last_seen_at
        THEN excluded.position ELSE product_categories.position END,
    last_seen_at = CASE WHEN excluded.last_seen_at > product_categories.last_seen_at
        THEN excluded.last_seen_at ELSE product_categories.last_seen_at END
    WHERE excluded.last_seen_at > product_categories.last_seen_at
        OR excluded.first_seen_at < product_categories.first_seen_at";

/// Notes what became of the products of a batch: in its row what most came to, and the others in their own.
pub(crate) async fn outcomes(
    tx: &mut Tx,
    run: &str,
    batch: i64,
    outcomes: &[(i64, Outcome)],
) -> Result<()> {
    let mut groups: BTreeMap<Outcome, Vec<i64>> = BTreeMap::new();
    for (id, outcome) in outcomes {
        groups.entry(*outcome).or_default().push(*id);
    }
    // A rejected product may have said so itself when it was staged.
    let common = groups
        .iter()
        .filter(|(outcome, _)| **outcome != Outcome::Rejected);
    let most = common.max_by_key(|(_, ids)| ids.len());
    let most = most.map_or(Outcome::Unchanged, |(outcome, _)| *outcome);
    let like_most = groups.remove(&most).map_or(0, |ids| ids.len());
    for (outcome, ids) in groups {
        set_outcome(tx, run, outcome.as_str(), &ids).await?;
    }
    batches::finish(tx, batch, (most, like_most)).await
}
