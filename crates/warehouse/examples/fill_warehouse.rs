//! For `cargo xtask bench growth`: fills a warehouse with a past, or lists one more day in it.
//!
//! `fill_warehouse <url> past <products> <looks>`: products with so many looks each over 400 days, a
//! change for every tenth look, and a page each; before them [`OLD_RUNS`] days, a run each, that looked
//! at [`DAY`] products.
//!
//! `fill_warehouse <url> day <n>`: the nth run, that has listed [`DAY`] products, one in ten of them at a
//! new price, and waits to be transformed.

use std::error::Error;
use std::fmt::Write as _;

use warehouse::{Options, Warehouse};

/// Products of one day.
const DAY: i64 = 2_000;
const OLD_RUNS: i64 = 9;

/// 2025-09-01.
const BEGINNING: i64 = 1_756_684_800_000;

/// Days from the beginning to the first run that is measured.
const PAST_DAYS: i64 = 401;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [url, "past", products, looks] => {
            let warehouse = Warehouse::open(url, &Options::default()).await?;
            warehouse.migrate("public").await?;
            drop(warehouse);
            let text = Text::of(url);
            run(url, &text.past(products.parse()?, looks.parse()?)).await
        }
        [url, "day", n] => run(url, &Text::of(url).day(n.parse()?)).await,
        _ => Err("fill_warehouse <url> past <products> <looks>, or <url> day <n>".into()),
    }
}

/// Runs statements, as fast as it can: what is filled here may be lost.
async fn run(url: &str, sql: &str) -> Outcome {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let file = rusqlite::Connection::open(path)?;
        file.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; BEGIN;")?;
        file.execute_batch(sql)?;
        file.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE);")?;
        return Ok(());
    }
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    let driver = tokio::spawn(connection);
    client.batch_execute(sql).await?;
    // What the server would do in the middle of a measurement.
    client.batch_execute("VACUUM (ANALYZE)").await?;
    client.batch_execute("CHECKPOINT").await?;
    drop(client);
    driver.await??;
    Ok(())
}

/// Writes statements for one of the databases.
struct Text {
    sqlite: bool,
}

impl Text {
    fn of(url: &str) -> Self {
        Self {
            sqlite: url.starts_with("sqlite:"),
        }
    }

    /// The numbers 1 to `upto` as `n.i`.
    fn numbers(&self, upto: i64) -> String {
        if self.sqlite {
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {upto})"
            )
        } else {
            format!("WITH n(i) AS (SELECT generate_series(1::bigint, {upto}))")
        }
    }

    /// The looks 0 to `looks` - 1 of the products 1 to `products` as `looks.i` and `looks.k`.
    fn looks_of_each(&self, products: i64, looks: i64) -> String {
        let last = looks - 1;
        if self.sqlite {
            // One counter: a counter of looks beside one of products would be run anew for every product.
            format!(
                "WITH RECURSIVE looks(i, k) AS (SELECT 1, 0 UNION ALL
                    SELECT i + (k = {last}), CASE WHEN k = {last} THEN 0 ELSE k + 1 END
                    FROM looks WHERE i < {products} OR k < {last})"
            )
        } else {
            format!(
                "WITH looks AS (SELECT i, k FROM generate_series(1::bigint, {products}) i
                    CROSS JOIN LATERAL generate_series(0::bigint, {last}) k)"
            )
        }
    }

    /// A time that is so many minutes (an expression) after the beginning.
    fn after(&self, minutes: &str) -> String {
        if self.sqlite {
            let begun = BEGINNING / 1000;
            format!("strftime('%Y-%m-%dT%H:%M:%fZ', {begun} + 60 * ({minutes}), 'unixepoch')")
        } else {
            format!("to_timestamp({} + 60 * ({minutes}))", BEGINNING / 1000)
        }
    }

    fn flag(&self, yes: bool) -> &'static str {
        match (self.sqlite, yes) {
            (true, true) => "1",
            (true, false) => "0",
            (false, true) => "TRUE",
            (false, false) => "FALSE",
        }
    }

    fn past(&self, products: i64, looks: i64) -> String {
        let (ids, now) = (self.numbers(products), self.after("0"));
        let mut sql = format!(
            "INSERT INTO products (id, name, search_name, url, category_id, price, sales_count,
                observed_at, created_at, updated_at, identity_hash, content_at)
             {ids} SELECT i, 'Sản phẩm số ' || i, 'san pham so ' || i,
                'https://tiki.vn/p' || i || '.html', 7, 100000, 10, {now}, {now}, {now}, 1, {now} FROM n;
             INSERT INTO categories (id, name, url, url_key, level, is_leaf, product_count, path,
                created_at, updated_at)
             VALUES (7, 'Sách', 'https://tiki.vn/sach/c7', 'sach', 2, {}, {products}, '0001', {now}, {now});
             INSERT INTO pages (kind, subject, source, encoding, body, fetched_at, run_id)
             {ids} SELECT 'detail', i, 'api', 'identity', {body}, {then}, 'past' FROM n;\n",
            self.flag(true),
            then = self.after(&(390 * 1440).to_string()),
            body = if self.sqlite {
                "zeroblob(1000)"
            } else {
                "decode(repeat('00', 1000), 'hex')"
            },
        );
        // Minutes from the tenth day on.
        let spacing = 390 * 1440 / looks;
        let at = self.after(&format!("{} + k * {spacing} + i % 600", 10 * 1440));
        let each = self.looks_of_each(products, looks);
        let no = self.flag(false);
        write!(sql,
            "INSERT INTO observations (product_id, observed_at, source, gone, run_id, price, sales_count,
                seller_id, derivation)
             {each} SELECT i, {at}, 'listing', {no}, 'past', 100000 - 1000 * (k / 10 % 2), 10, 1, 1 FROM looks;
             INSERT INTO product_history (product_id, observed_at, kind, changed, price, sales_count,
                seller_id, price_change)
             {each} SELECT i, {at}, 'price', 'price', 100000 - 1000 * (k / 10 % 2), 10, 1, 1000
             FROM looks WHERE k % 10 = 0;\n"
        ).expect("a text takes all");
        for old in 0..OLD_RUNS {
            self.old_run(&mut sql, old, products);
        }
        sql
    }

    /// A run of a day before all others.
    fn old_run(&self, sql: &mut String, n: i64, products: i64) {
        let (ids, step) = (self.numbers(DAY), products / DAY);
        let (now, no) = (self.after(&(n * 1440).to_string()), self.flag(false));
        write!(sql,
            "INSERT INTO runs (id, number, owner, state, scope, scope_key, clock_at, created_at,
                finished_at)
             VALUES ('old{n}', {}, 'cli', 'done', '{{}}', 'all', {now}, {now}, {now});
             INSERT INTO observations (product_id, observed_at, source, gone, run_id, price, sales_count,
                derivation)
             {ids} SELECT i * {step}, {now}, 'listing', {no}, 'old{n}', 100000, 10, 1 FROM n;
             INSERT INTO pages (kind, subject, source, encoding, body, fetched_at, run_id)
             {ids} SELECT 'detail', i * {step}, 'api', 'identity', '', {now}, 'old{n}' FROM n;
             INSERT INTO run_products (run_id, product_id, rank, detail, attempts, outcome)
             {ids} SELECT 'old{n}', i * {step}, 0, 'none', 0, 'unchanged' FROM n;\n",
            n + 1
        ).expect("a text takes all");
    }

    fn day(&self, n: i64) -> String {
        let ids = self.numbers(DAY);
        let now = self.after(&((PAST_DAYS + n) * 1440).to_string());
        let scope = r#"{"origin":"bench","categories":[],"exclude":[],"max_categories":0,"max_products":0,"details":"auto","source":"auto"}"#;
        let (yes, no) = (self.flag(true), self.flag(false));
        let of_day = format!("(SELECT MAX(id) FROM products) / {DAY}");
        let mut sql = format!(
            "INSERT INTO runs (id, number, owner, state, scope, scope_key, clock_at, created_at)
             VALUES ('day{n}', {number}, 'cli', 'open', '{scope}', 'all', {now}, {now});
             INSERT INTO run_categories (run_id, category_id, walk_order, is_leaf, product_count, state,
                selected, attempts)
             VALUES ('day{n}', 7, '0001', {yes}, {DAY}, 'done', {yes}, 0);
             INSERT INTO pages (kind, subject, source, encoding, body, fetched_at, run_id)
             VALUES ('listing', 7, 'api', 'identity', '', {now}, 'day{n}');
             INSERT INTO listing_pages (run_id, category_id, slice, page, state, urgent, attempts, page_id,
                items, ads, repeats, malformed)
             VALUES ('day{n}', 7, '', 1, 'ok', {no}, 0, (SELECT MAX(id) FROM pages), {DAY}, 0, 0, 0);
             INSERT INTO listings (run_id, product_id, category_id, page, position, beyond, page_id, source,
                observed_at, fingerprint, url, name, seller_id, price, sales_count)
             {ids} SELECT 'day{n}', i * {of_day}, 7, 1, i, {no}, 1, 'listing', {now}, 1,
                'https://tiki.vn/p' || i || '.html', 'Sản phẩm số ' || (i * {of_day}), 1,
                CASE WHEN i % 10 = 0 THEN {price} ELSE 99000 END, 10 FROM n;
             INSERT INTO run_products (run_id, product_id, listed_in, rank, detail, attempts)
             {ids} SELECT 'day{n}', i * {of_day}, 7, 0, 'none', 0 FROM n;\n",
            number = 100 + n,
            price = 50_000 + n
        );
        for step in [
            "crawl-categories",
            "extract-product-urls",
            "crawl-product-details",
        ] {
            write!(sql,
                "INSERT INTO run_steps (run_id, step, state, attempt, exit_code, report, started_at,
                    finished_at)
                 VALUES ('day{n}', '{step}', 'closed', 1, 0, '{{\"step\":\"{step}\",\"run_id\":\"day{n}\",\"exit_code\":0,\"seconds\":0.0}}',
                    {now}, {now});\n"
            ).expect("a text takes all");
        }
        sql
    }
}
