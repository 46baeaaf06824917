//! What people ask for.

use std::time::Duration;

use warehouse::Error;
use warehouse::value::Value;

use crate::products::{detail, detailed, listed, listing};
use crate::store::{Arrival, Store, at, merge};

on_both!(
    a_name_is_found_with_and_without_its_marks,
    products_and_history_are_read_in_order,
    a_question_may_only_read,
    a_question_has_limits,
    categories_come_parents_first,
);

async fn fill(store: &Store) {
    let named = |id: i64, name: &str, sold: i64| {
        let value = catalog::Listing {
            name: name.into(),
            sales_count: Some(sold),
            ..listing(id, 100)
        };
        listed(value, at(1))
    };
    let arrivals: Vec<Arrival> = vec![
        named(1, "Điện Thoại Đỏ", 5),
        named(2, "Ốp lưng điện thoại 100%", 50),
        named(3, "Sách", 500),
    ];
    store.bring("r1", arrivals, &merge()).await;
}

async fn a_name_is_found_with_and_without_its_marks(store: Store) {
    fill(&store).await;
    for (text, expected) in [
        ("dien thoai", vec![2, 1]),
        ("ĐIỆN thoại", vec![2, 1]),
        ("thoai do", vec![1]),
        ("%", vec![2]),
        ("_____", vec![]),
        ("i%1", vec![]),
        ("i\\", vec![]),
        ("thoai 00%", vec![2]),
        ("1 0 100 % o l i e n u p t x", vec![]),
        ("", vec![3, 2, 1]),
        ("không có", vec![]),
    ] {
        let found = store
            .warehouse
            .search_products(text, None, 10)
            .await
            .expect("records");
        let ids: Vec<Value> = found.rows.iter().map(|row| row[0].clone()).collect();
        let expected: Vec<Value> = expected.into_iter().map(Value::Int).collect();
        assert_eq!(ids, expected, "{text:?}");
    }
    let none = store
        .warehouse
        .search_products("", Some(6_000_000_000), 10)
        .await;
    assert!(
        none.expect("records").rows.is_empty(),
        "nothing is in that category"
    );
    let is_in = store.warehouse.has_products_in(6_000_000_000).await;
    assert!(!is_in.expect("an answer"));
    assert_eq!(
        store
            .warehouse
            .search_products("", None, 1)
            .await
            .expect("records")
            .rows
            .len(),
        1
    );
}

async fn products_and_history_are_read_in_order(store: Store) {
    fill(&store).await;
    for (run, price, minutes) in [("r2", 90, 2), ("r3", 80, 3), ("r4", 70, 4)] {
        store
            .bring(run, vec![detailed(detail(1, price), at(minutes))], &merge())
            .await;
    }
    let history = store
        .warehouse
        .product_history(1, 2)
        .await
        .expect("records");
    assert_eq!(history.columns[0], "observed_at");
    let prices: Vec<&Value> = history.rows.iter().map(|row| &row[2]).collect();
    assert_eq!(
        prices,
        [&Value::Int(80), &Value::Int(70)],
        "the newest two, in time order"
    );
    let one = store.warehouse.product(1).await.expect("records");
    let name = one
        .columns
        .iter()
        .position(|column| *column == "name")
        .expect("a name");
    assert_eq!(
        (one.rows.len(), &one.rows[0][name]),
        (1, &Value::from("Sản phẩm 1"))
    );
    assert!(
        store
            .warehouse
            .product(4)
            .await
            .expect("records")
            .rows
            .is_empty()
    );
    let after = store
        .warehouse
        .products_after(1, 10)
        .await
        .expect("records");
    assert_eq!(after.rows.len(), 2);
    assert_eq!(
        store.warehouse.most_changed().await.expect("an answer"),
        Some(1)
    );
}

async fn a_question_may_only_read(store: Store) {
    fill(&store).await;
    let ask = async |sql: &str| {
        store
            .warehouse
            .select(sql, 10, Duration::from_secs(5))
            .await
    };
    for sql in [
        "DELETE FROM products",
        "UPDATE products SET price = 1 RETURNING id",
        "INSERT INTO warehouse_info VALUES ('a', 'b')",
        "DROP TABLE products",
        "CREATE TABLE t (a INT)",
        "SELECT 1; DELETE FROM products",
        "PRAGMA query_only = 0",
        "PRAGMA user_version = 7",
        "ATTACH DATABASE '/tmp/x.db' AS x",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "nonsense",
        "",
    ] {
        let refused = ask(sql).await;
        assert!(refused.is_err(), "{sql}: {refused:?}");
    }
    let semicolon = ask("SELECT ';' AS c, '{now} $1' AS d")
        .await
        .expect("a text is a text");
    assert_eq!(
        semicolon.rows,
        [[Some(";".to_owned()), Some("{now} $1".to_owned())]]
    );
    let table = ask("SELECT id, spid, NULL AS nil FROM products ORDER BY id;").await;
    let table = table.expect("an answer");
    assert_eq!(table.columns, ["id", "spid", "nil"]);
    assert_eq!(table.rows[0], [Some("1".into()), Some("10".into()), None]);
    assert!(!table.cut);
    let none = ask("SELECT id FROM products WHERE id < 0")
        .await
        .expect("an answer");
    assert_eq!((none.columns.len(), none.rows.len()), (1, 0));
    assert!(
        ask("WITH p AS (SELECT id FROM products) SELECT COUNT(*) FROM p")
            .await
            .is_ok()
    );
    // The connection is as good as before.
    store
        .bring("r9", vec![listed(listing(1, 5), at(9))], &merge())
        .await;
}

async fn a_question_has_limits(store: Store) {
    fill(&store).await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
        SELECT i FROM n";
    let table = store
        .warehouse
        .select(endless, 3, Duration::from_secs(5))
        .await;
    let table = table.expect("an answer");
    assert_eq!((table.rows.len(), table.cut), (3, true));
    let sum = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
        SELECT SUM(i) FROM n";
    let patience = Duration::from_millis(100);
    let late = store.warehouse.select(sum, 3, patience).await;
    assert!(
        matches!(late, Err(Error::Patience(limit)) if limit == patience),
        "{late:?}"
    );
    let exact = store
        .warehouse
        .select("SELECT id FROM products", 3, patience)
        .await;
    assert!(!exact.expect("an answer").cut);
}

async fn categories_come_parents_first(store: Store) {
    store.create_run("r").await;
    let attempt = store.attempt("r", "crawl-categories").await;
    store
        .warehouse
        .begin_walk(&attempt, &[2])
        .await
        .expect("a walk");
    let child = |id, is_leaf| catalog::Category {
        id,
        parent_id: None,
        name: format!("c{id}"),
        url: String::new(),
        url_key: String::new(),
        level: 2,
        is_leaf,
        product_count: 1,
    };
    let below = |id: i64| match id {
        2 => vec![child(30, false), child(4, true)],
        _ => vec![child(5, true)],
    };
    while let warehouse::Walk::Ask(nodes) = store
        .warehouse
        .next_categories(&attempt, 0, 1)
        .await
        .expect("an answer")
    {
        let below = below(nodes[0].category_id);
        let kept = store
            .warehouse
            .commit_category(&attempt, &nodes[0], None, &below, &[], at(1))
            .await;
        kept.expect("kept");
    }
    let categories = store.warehouse.categories(10).await.expect("records");
    let ids: Vec<&Value> = categories.rows.iter().map(|row| &row[0]).collect();
    assert_eq!(ids, [&Value::Int(30), &Value::Int(5), &Value::Int(4)]);
}
