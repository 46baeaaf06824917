//! Whole tables and views as a stream of rows, whatever their size: a cursor in PostgreSQL, a statement
//! that is stepped in SQLite. All rows are of one snapshot.
//!
//! Not here: the form of a file, and what a person typed.

use catalog::Instant;
use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::open::{Store, Warehouse};
use crate::params;
use crate::schema::{self, Kind};
use crate::value::{Row, Value};

/// Rows that PostgreSQL sends at a time; of bodies fewer.
const FETCH: usize = 500;
const FETCH_BODIES: usize = 20;

/// How long whoever takes the rows may pause in PostgreSQL, where a snapshot that is held keeps the server from
/// clearing up.
const READER_MILLIS: u32 = 4 * 3_600_000;

/// A table or view as it is in this warehouse; also one that somebody added.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub fields: Vec<Field>,
    /// The column that `--since` goes by.
    pub since: Option<String>,
    product: Option<String>,
    category: Option<String>,
    key: Vec<String>,
}

/// A column of a [`Relation`].
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What every row holds there, or NULL.
    pub kind: Kind,
    /// The program's own.
    pub internal: bool,
    /// How it is asked for.
    expression: String,
}

/// What to take of a relation.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// Of what.
    pub relation: &'a Relation,
    /// The columns, in the order wanted.
    pub fields: &'a [&'a Field],
    /// Rows from an instant on, by [`Relation::since`].
    pub since: Option<Instant>,
    /// Rows of a category and all below it.
    pub category: Option<i64>,
}

impl Relation {
    /// Whether rows can be found by category.
    pub fn has_categories(&self) -> bool {
        self.product.is_some() || self.category.is_some()
    }

    fn new(name: &str, fields: Vec<Field>) -> Self {
        let has = |names: &[&str]| {
            let found = names
                .iter()
                .find(|name| fields.iter().any(|f| f.name == **name));
            found.map(|name| (*name).to_owned())
        };
        let known = schema::table(name);
        // A view that somebody made goes by the names that our tables use.
        let (since, product, category) = match known {
            Some(known) => (
                known.since.clone(),
                known.product.clone(),
                known.category.clone(),
            ),
            None => (
                has(&["observed_at", "updated_at"]),
                has(&["product_id"]),
                has(&["category_id"]),
            ),
        };
        Self {
            name: name.into(),
            since,
            product,
            category,
            key: known.map(|known| known.key.clone()).unwrap_or_default(),
            fields,
        }
    }
}

impl Warehouse {
    /// The names of all tables and views.
    pub async fn relations(&self) -> Result<Vec<String>> {
        let mut tx = self.answer().await?;
        let sql = if self.is_postgres() {
            "SELECT CAST(c.relname AS TEXT) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1"
        } else {
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'
             ORDER BY name"
        };
        let rows = tx.rows(sql, &[]).await?;
        tx.commit().await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// A table or view by its name; `None`: there is none.
    pub async fn relation(&self, name: &str) -> Result<Option<Relation>> {
        if !self.relations().await?.iter().any(|known| known == name) {
            return Ok(None);
        }
        let fields = match &self.store {
            Store::Postgres(..) => self.postgres_fields(name).await?,
            Store::Sqlite(pool) => tokio::task::block_in_place(|| {
                let connection = pool.read_only()?;
                sqlite_fields(&connection, name).map_err(|e| Error::sqlite("its columns", e))
            })?,
        };
        Ok(Some(Relation::new(name, fields)))
    }

    async fn postgres_fields(&self, name: &str) -> Result<Vec<Field>> {
        let mut tx = self.answer().await?;
        let sql = "SELECT CAST(a.attname AS TEXT), format_type(a.atttypid, NULL)
            FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = current_schema() AND c.relname = $1 AND a.attnum > 0
                AND NOT a.attisdropped ORDER BY a.attnum";
        let rows = tx.rows(sql, params![name]).await?;
        tx.commit().await?;
        let field = |row: &Row| {
            let column = row.text(0)?;
            let quoted = quoted(&column);
            let (kind, expression) = match row.text(1)?.as_str() {
                "bigint" | "integer" => (Kind::Integer, quoted),
                "smallint" => (Kind::Integer, format!("CAST({quoted} AS BIGINT)")),
                "double precision" => (Kind::Real, quoted),
                "real" | "numeric" => (Kind::Real, format!("CAST({quoted} AS DOUBLE PRECISION)")),
                "boolean" => (Kind::Flag, quoted),
                "timestamp with time zone" => (Kind::Time, quoted),
                "json" | "jsonb" => (Kind::Json, quoted),
                "bytea" => (Kind::Bytes, quoted),
                "text" => (Kind::Text, quoted),
                _ => (Kind::Text, format!("CAST({quoted} AS TEXT)")),
            };
            Ok(field(name, column, kind, expression))
        };
        rows.iter().map(field).collect()
    }

    /// Gives every selected row to `take`, in the order of the key, until it fails. The number of
    /// rows, or how `take` failed. A row holds what [`Field::kind`] says, or NULL.
    pub async fn export<E>(
        &self,
        selection: &Selection<'_>,
        mut take: impl FnMut(&[Value]) -> std::result::Result<(), E>,
    ) -> Result<std::result::Result<u64, E>> {
        let sql = statement(selection, self.is_postgres());
        match &self.store {
            Store::Postgres(..) => self.export_postgres(selection, &sql, take).await,
            Store::Sqlite(pool) => tokio::task::block_in_place(|| {
                let connection = pool.read_only()?;
                let fail = |e| Error::sqlite(&sql, e);
                let mut statement = connection.prepare(&sql).map_err(fail)?;
                let mut rows = statement.query([]).map_err(fail)?;
                let mut count = 0;
                let mut values = Vec::with_capacity(selection.fields.len());
                while let Some(row) = rows.next().map_err(fail)? {
                    values.clear();
                    for (n, field) in selection.fields.iter().enumerate() {
                        let value = row.get_ref(n).map_err(fail)?;
                        values.push(as_kind(Value::from_sqlite(value), field)?);
                    }
                    if let Err(error) = take(&values) {
                        return Ok(Err(error));
                    }
                    count += 1;
                }
                Ok(Ok(count))
            }),
        }
    }

    async fn export_postgres<E>(
        &self,
        selection: &Selection<'_>,
        sql: &str,
        mut take: impl FnMut(&[Value]) -> std::result::Result<(), E>,
    ) -> Result<std::result::Result<u64, E>> {
        let mut tx = self.answer().await?;
        // Whoever reads may pause: a pager, a slow disk.
        let patience = format!("SET LOCAL idle_in_transaction_session_timeout = {READER_MILLIS}");
        tx.single(&patience).await?;
        tx.single(&format!("DECLARE export NO SCROLL CURSOR FOR {sql}"))
            .await?;
        let bodies = selection.fields.iter().any(|f| f.kind == Kind::Bytes);
        let size = if bodies { FETCH_BODIES } else { FETCH };
        let fetch = format!("FETCH {size} FROM export");
        let mut count = 0;
        loop {
            let rows = tx.fetch(&fetch).await?;
            let is_last = rows.len() < size;
            for row in rows {
                if let Err(error) = take(&row.into_values()?) {
                    tx.end().await?;
                    return Ok(Err(error));
                }
                count += 1;
            }
            if is_last {
                break;
            }
        }
        tx.end().await?;
        Ok(Ok(count))
    }
}

fn field(table: &str, name: String, kind: Kind, expression: String) -> Field {
    let internal = schema::table(table).is_some_and(|known| known.is_internal(&name));
    Field {
        name,
        kind,
        internal,
        expression,
    }
}

/// The columns of a table of SQLite: of ours as `schema` says, of others by what stands in them.
fn sqlite_fields(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Field>> {
    let from = quoted(table);
    let statement = connection.prepare(&format!("SELECT * FROM {from} LIMIT 0"))?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let known = schema::table(table);
    let told = |name: &str| known.and_then(|known| known.all_columns().find(|c| c.name == name));
    let found = if names.iter().all(|name| told(name).is_some()) {
        Vec::new()
    } else {
        kinds_found(connection, &from, &names)?
    };
    let fields = names.into_iter().enumerate().map(|(n, name)| {
        let kind = told(&name).map_or_else(|| found[n], |column| column.kind);
        let column = quoted(&name);
        field(table, name, kind, column)
    });
    Ok(fields.collect())
}

/// For each column the kind that holds all its values; text where there is none.
fn kinds_found(
    connection: &Connection,
    from: &str,
    names: &[String],
) -> rusqlite::Result<Vec<Kind>> {
    let types: Vec<String> = names
        .iter()
        .map(|name| format!("typeof({})", quoted(name)))
        .collect();
    let sql = format!("SELECT DISTINCT {} FROM {from}", types.join(", "));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut kinds: Vec<Option<Kind>> = vec![None; names.len()];
    while let Some(row) = rows.next()? {
        for (n, kind) in kinds.iter_mut().enumerate() {
            let word: String = row.get(n)?;
            *kind = match (*kind, word.as_str()) {
                (kind, "null") => kind,
                (None | Some(Kind::Integer), "integer") => Some(Kind::Integer),
                (None | Some(Kind::Integer | Kind::Real), "integer" | "real") => Some(Kind::Real),
                (_, "blob") | (Some(Kind::Bytes), _) => Some(Kind::Bytes),
                _ => Some(Kind::Text),
            };
        }
    }
    let kinds = kinds.into_iter();
    Ok(kinds.map(|kind| kind.unwrap_or(Kind::Text)).collect())
}

/// A value of SQLite as the kind of its column.
fn as_kind(value: Value, field: &Field) -> Result<Value> {
    Ok(match (field.kind, value) {
        (_, Value::Null) => Value::Null,
        (Kind::Flag, Value::Int(int)) => Value::Flag(int != 0),
        (Kind::Real, Value::Int(int)) => Value::Real(int as f64),
        (Kind::Time, Value::Text(text)) => match text.parse() {
            Ok(time) => Value::Time(time),
            Err(_) => return Err(other(field, &text)),
        },
        (Kind::Text, Value::Int(int)) => Value::Text(int.to_string()),
        (Kind::Text, Value::Real(real)) => Value::Text(real.to_string()),
        (Kind::Bytes, Value::Int(int)) => Value::Bytes(int.to_string().into()),
        (Kind::Bytes, Value::Real(real)) => Value::Bytes(real.to_string().into()),
        (Kind::Bytes, Value::Text(text)) => Value::Bytes(text.into()),
        (Kind::Integer, value @ Value::Int(_))
        | (Kind::Real, value @ Value::Real(_))
        | (Kind::Text | Kind::Json, value @ Value::Text(_))
        | (Kind::Bytes, value @ Value::Bytes(_)) => value,
        (_, value) => return Err(other(field, &format!("{value:?}"))),
    })
}

fn other(field: &Field, seen: &str) -> Error {
    let seen: String = seen.chars().take(80).collect();
    Error::Stored(format!(
        "column {} holds {seen}, and its other rows hold {}",
        field.name,
        field.kind.as_str()
    ))
}

/// A name as an identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The statement; its only parts from outside are names, which are quoted, a number and an instant.
fn statement(selection: &Selection<'_>, postgres: bool) -> String {
    let relation = selection.relation;
    let columns: Vec<&str> = selection
        .fields
        .iter()
        .map(|f| f.expression.as_str())
        .collect();
    let mut conditions = Vec::new();
    if let (Some(since), Some(column)) = (selection.since, &relation.since) {
        let word = if postgres { "TIMESTAMPTZ " } else { "" };
        conditions.push(format!("{} >= {word}'{since}'", quoted(column)));
    }
    let mut with = String::new();
    if let Some(id) = selection.category {
        with = with_below(&format!("CAST({id} AS BIGINT)"));
        let by_product = relation.product.iter();
        let by_product = by_product.map(|column| is_of_below(&quoted(column)));
        let by_category = relation
            .category
            .iter()
            .map(|column| format!("{} IN (SELECT id FROM below)", quoted(column)));
        let either: Vec<String> = by_product.chain(by_category).collect();
        conditions.push(format!("({})", either.join(" OR ")));
    }
    let mut sql = format!(
        "{with}SELECT {} FROM {}",
        columns.join(", "),
        quoted(&relation.name)
    );
    if !conditions.is_empty() {
        sql = format!("{sql} WHERE {}", conditions.join(" AND "));
    }
    if !relation.key.is_empty() {
        let key: Vec<String> = relation.key.iter().map(|name| quoted(name)).collect();
        sql = format!("{sql} ORDER BY {}", key.join(", "));
    }
    sql
}

/// The beginning of a statement that calls a category, given as SQL, and all that are under it `below`.
pub(crate) fn with_below(category: &str) -> String {
    format!(
        "WITH RECURSIVE below(id) AS (SELECT {category} UNION SELECT edge.id FROM below
            JOIN (SELECT category_id AS id, parent_id FROM category_parents
                UNION SELECT id, parent_id FROM categories) AS edge ON edge.parent_id = below.id) "
    )
}

/// That a product, of which a column has the id, is or was listed in one of `below`.
pub(crate) fn is_of_below(column: &str) -> String {
    format!(
        "{column} IN (SELECT product_id FROM product_categories WHERE category_id IN (SELECT id FROM below)
            UNION SELECT id FROM products WHERE category_id IN (SELECT id FROM below))"
    )
}
