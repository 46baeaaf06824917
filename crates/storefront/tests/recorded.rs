//! A recorded folder served as a site.

mod support;

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use storefront::{Content, Settings, StartError, Storefront};
use support::{Shop, ids};

/// Where real samples lie beside the project, if they do; they are not part of it.
const REAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/real-tiki");

fn settings(folder: &Path) -> Settings {
    Settings {
        content: Content::Recorded(folder.to_owned()),
        ..Settings::default()
    }
}

fn write(folder: &Path, name: &str, value: &Value) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, value.to_string()).expect("a file");
}

/// Two roots, one of them with leafs; products at a leaf, at an inner category, at a removed
/// category, at the invisible top, and one that only a listing shows.
fn sample(folder: &Path) {
    let leaf = |id, text: &str| json!({ "id": id, "text": text, "link": format!("/x-{id}/c{id}") });
    write(
        folder,
        "category_tree_2023.json",
        &json!({ "parent_categories": [
        { "id": "10", "text": "Nhà", "link": "https://tiki.vn/nha/c10", "categories": [
            { "id": 11, "text": "Bếp", "link": "/bep/c11", "sub_categories": [
                leaf(12, "Chén"), leaf(13, "Dĩa")] }] },
        { "id": "20", "text": "Sách", "link": "https://tiki.vn/sach/c20" },
    ] }),
    );
    let detail = |id: u64, category: u64, leaf: bool| {
        json!({ "id": id, "sku": "1", "name": format!("Món {id}"), "price": 1_000 * id,
            "url_key": format!("mon-p{id}"), "url_path": format!("mon-p{id}.html?spid={}", id + 1),
            "list_price": 9_000, "rating_average": 4.5, "review_count": 2, "discount": 0,
            "categories": { "id": category, "name": "Nhóm", "is_leaf": leaf },
            "current_seller": { "id": 5, "product_id": (id + 1).to_string() },
            "brand": { "id": 1, "name": "OEM" } })
    };
    for (name, body) in [
        ("detail/a_101.json", detail(101, 12, true)),
        ("detail/b_102.json", detail(102, 11, false)),
        ("detail/c_103.json", detail(103, 777, true)),
        ("detail/d_104.json", detail(104, 2, false)),
        (
            "detail/e_105.json",
            json!({ "id": 105, "name": "Hết", "price": 7, "current_seller": null,
            "categories": { "id": 888, "name": "x" },
            "breadcrumbs": [{ "category_id": 11 }, { "category_id": 13 }, { "category_id": 0 }] }),
        ),
    ] {
        write(folder, name, &body);
    }
    let item = |id: u64| {
        json!({ "id": id, "name": "Từ danh sách", "price": 5, "list_price": 0,
        "primary_category_path": "1/2/10/11/12", "sku": "seller", "unknown": [1.5, null] })
    };
    write(
        folder,
        "listing_c12.json",
        &json!({ "data": [item(101), item(201)], "paging": {} }),
    );
    write(folder, "x_next_data.json", &json!("left alone"));
}

#[tokio::test]
async fn a_recorded_folder_becomes_a_site() {
    let folder = tempfile::tempdir().expect("a folder");
    sample(folder.path());
    let shop = Shop::open(settings(folder.path())).await;
    assert_eq!(shop.site.origin_id().len(), "replay:".len() + 16);

    let roots = shop.json("/api/v2/categories?parent_id=2").await;
    let names: Vec<&str> = roots["data"]
        .as_array()
        .expect("data")
        .iter()
        .filter_map(|c| c["name"].as_str())
        .collect();
    assert_eq!(
        names,
        ["Nhà", "Sách", "Not in the recorded tree (invented root)"]
    );
    let counts: Vec<&Value> = roots["data"]
        .as_array()
        .expect("data")
        .iter()
        .map(|c| &c["product_count"])
        .collect();
    assert_eq!(counts, [4, 0, 2]);
    assert_eq!(roots["data"][1]["is_leaf"], true);
    assert_eq!(roots["data"][0]["url_path"], "nha/c10");

    let inner = shop.json("/api/v2/categories?parent_id=11").await;
    let inner = inner["data"].as_array().expect("data");
    let invented = inner
        .iter()
        .find(|c| c["name"] == "Bếp (invented leaf)")
        .expect("a leaf");
    for (category, expected) in [
        (json!(12), vec![201, 101]),
        (json!(13), vec![105]),
        (invented["id"].clone(), vec![102]),
        (json!(777), vec![103]),
        (json!(10), vec![201, 105, 102, 101]),
    ] {
        let path = format!("/api/v2/products?category={category}&sort=newest");
        assert_eq!(
            ids(&shop.json(&path).await),
            expected,
            "category {category}"
        );
    }
}

#[tokio::test]
async fn a_recorded_detail_is_answered_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    sample(folder.path());
    let odd = "{ \"id\" : 300,\n \"name\":\"\\u0110\\/x\", \"categories\":{\"id\":20} }";
    fs::write(folder.path().join("detail/f_300.json"), odd).expect("a file");
    let shop = Shop::open(settings(folder.path())).await;
    for path in [
        "/api/v2/products/300",
        "/api/v2/products/300?spid=9&platform=web",
    ] {
        assert_eq!(shop.get(path).await.body, odd.as_bytes());
    }
    let listed = shop.json("/api/v2/products?category=12&sort=newest").await;
    assert_eq!(
        listed["data"][1]["name"], "Từ danh sách",
        "the recorded item of 101"
    );
    assert_eq!(shop.json("/api/v2/products/101").await["name"], "Món 101");
    let only_listed = shop.json("/api/v2/products/201").await;
    assert_eq!(only_listed["name"], "Từ danh sách");
    assert!(only_listed.get("current_seller").is_none());
    assert_eq!(listed["data"][0]["unknown"], json!([1.5, null]));

    let derived = shop.json("/api/v2/products?category=777").await["data"][0].clone();
    assert_eq!(derived["seller_product_id"], 104);
    assert_eq!(derived["seller_id"], 5);
    assert_eq!(derived["list_price"], 0);
    assert!(derived.get("original_price").is_none());
    assert!(
        derived["primary_category_path"]
            .as_str()
            .is_some_and(|path| path.ends_with("/777"))
    );
    let dead = shop.json("/api/v2/products?category=13").await["data"][0].clone();
    assert!(dead.get("seller_id").is_none());
    assert_eq!(shop.get("/mon-p102.html").await.status, 200);
    assert_eq!(shop.get("/api/v2/products/999").await.status, 404);
}

#[tokio::test]
async fn the_origin_follows_the_contents_of_the_folder() {
    let (one, other) = (
        tempfile::tempdir().expect("one"),
        tempfile::tempdir().expect("other"),
    );
    sample(one.path());
    sample(other.path());
    let first = Shop::open(settings(one.path())).await.site.origin_id();
    assert_eq!(
        first,
        Shop::open(settings(other.path())).await.site.origin_id()
    );
    write(other.path(), "detail/z_1.json", &json!({ "id": 1 }));
    assert_ne!(
        first,
        Shop::open(settings(other.path())).await.site.origin_id()
    );
}

#[tokio::test]
async fn an_unusable_folder_is_refused_with_the_name_of_the_file() {
    let cases: [(&str, &[u8], &str); 6] = [
        ("detail/bad.json", b"{", "bad.json"),
        ("detail/no_id.json", b"{}", "no_id.json"),
        ("detail/list.json", b"[]", "list.json"),
        ("listing_x.json", b"{\"data\":7}", "listing_x.json"),
        ("listing_y.json", b"[{\"id\":0}]", "listing_y.json"),
        ("category_tree_z.json", b"nonsense", "category_tree_z.json"),
    ];
    for (name, body, named) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        sample(folder.path());
        fs::write(folder.path().join(name), body).expect("a file");
        let error = Storefront::start(settings(folder.path()))
            .await
            .expect_err(name);
        assert!(matches!(error, StartError::Folder(_)), "{name}");
        let source = error.source().expect("a source").to_string();
        assert!(source.contains(named), "{source}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path(), Path::new("/nonexistent/folder")] {
        assert!(
            Storefront::start(settings(path)).await.is_err(),
            "{}",
            path.display()
        );
    }
    let big = vec![b' '; 4 * 1024 * 1024 + 1];
    fs::create_dir(folder.path().join("detail")).expect("a folder");
    fs::write(folder.path().join("detail/big.json"), big).expect("a file");
    assert!(Storefront::start(settings(folder.path())).await.is_err());
}

#[tokio::test]
async fn the_real_samples_are_served_whole_where_they_are_at_hand() {
    let root = Path::new(REAL);
    if !root.is_dir() {
        #[allow(clippy::print_stderr)] // a test that looks at nothing must say so
        {
            eprintln!("{REAL} is not here: nothing was checked");
        }
        return;
    }
    let shop = Shop::open(settings(root)).await;
    let mut listed = std::collections::BTreeSet::new();
    let roots = shop.json("/api/v2/categories?parent_id=2").await;
    for root in ids(&roots) {
        let page = shop
            .json(&format!("/api/v2/products?category={root}&limit=100"))
            .await;
        listed.extend(ids(&page));
    }
    let mut details = 0;
    for entry in fs::read_dir(root.join("detail")).expect("details") {
        let body = fs::read(entry.expect("an entry").path()).expect("a body");
        let id = serde_json::from_slice::<Value>(&body).expect("JSON")["id"].clone();
        assert!(
            listed.contains(&id.as_u64().expect("an id")),
            "{id} is in no category"
        );
        assert_eq!(
            shop.get(&format!("/api/v2/products/{id}")).await.body,
            body,
            "{id}"
        );
        assert_eq!(shop.get(&format!("/p/{id}")).await.status, 200);
        details += 1;
    }
    assert!(
        details > 0 && listed.len() >= details,
        "{details} of {}",
        listed.len()
    );
}
