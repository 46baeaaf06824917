//! Texts of the site, and of anybody else, that would turn, hide or command something where they are shown.

use std::path::Path;

use serde_json::{Value, json};

use crate::serve::Serve;
use crate::tiki::{Done, Shop, Tiki};

/// Something of every kind that a text may bring: C0 and C1, an escape, overrides, isolates and marks of
/// direction, line separators.
const HOSTILE: &str = "a\u{7}\u{1b}[31mb\u{9b}5mc\u{7f}\u{85}\u{202e}d\u{202a}\u{202d}\u{2066}e\u{2069}\u{2068}\
                       f\u{200e}\u{200f}\u{61c}g\u{2028}h\u{2029}i\r";

/// What `catalog` leaves of such a name: all but control characters.
const KEPT: &str = "\u{202e}d\u{202a}";

/// What must never reach a terminal, a page or a log as it is.
fn is_hostile(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn assert_harmless(text: &str, where_it_is: &str) {
    let line = text.lines().find(|line| line.contains(is_hostile));
    assert_eq!(line, None, "{where_it_is}");
    let hostile = text.find(is_hostile);
    assert_eq!(hostile, None, "{where_it_is}");
}

fn write(folder: &Path, name: &str, value: &Value) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, value.to_string()).expect("a file");
}

/// A recorded site of two products with such names, of which one has such a text as its price.
fn record(folder: &Path) {
    let leaf = json!({ "id": 11, "text": format!("Chén {HOSTILE}"), "link": "/chen/c11" });
    let root = json!({ "id": 10, "text": format!("Nhà {HOSTILE}"), "link": "/nha/c10", "categories": [leaf] });
    write(
        folder,
        "category_tree_2023.json",
        &json!({ "parent_categories": [root] }),
    );
    for (id, price) in [(101, json!(5000)), (102, json!(HOSTILE))] {
        let product = json!({ "id": id, "sku": "1", "name": format!("Món {HOSTILE}"), "price": price,
            "url_key": format!("mon-p{id}"), "url_path": format!("mon-p{id}.html?spid=7"),
            "list_price": 9000, "rating_average": 4.5, "review_count": 2, "discount": 0,
            "brand": { "id": 1, "name": HOSTILE }, "description": HOSTILE,
            "categories": { "id": 11, "name": "Chén", "is_leaf": true },
            "current_seller": { "id": 5, "name": HOSTILE, "product_id": "7" } });
        write(folder, &format!("detail/{id}.json"), &product);
    }
}

/// Runs a command and looks at all that it says.
fn says(tiki: &Tiki, arguments: &[&str]) -> Done {
    let done = tiki.run(arguments);
    assert_harmless(&done.out, &format!("stdout of {arguments:?}"));
    assert_harmless(&done.err, &format!("stderr of {arguments:?}"));
    done
}

#[test]
fn texts_of_the_site_are_harmless_wherever_they_are_shown() {
    let recorded = tempfile::tempdir().expect("a folder");
    record(recorded.path());
    let folder = recorded.path().to_str().expect("a path");
    let shop = Shop::open(&Tiki::new(), &["--replay", folder]);
    let tiki = Tiki::new()
        .with("TIKI_ORIGIN", &shop.url)
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_DATA_DIR", "data\u{202e}\u{1b}[31m")
        .with("TIKI_LOG", "trace")
        .with("TIKI_LOG_FILES", "trace")
        .with("TIKI_LISTEN", "127.0.0.1:0")
        .with("TIKI_SCHEDULE", "off")
        .with("TIKI_BACKUP_SCHEDULE", "off");
    let run = says(&tiki, &["run"]);
    assert!(run.err.contains("data folder"), "{}", run.err);
    let tiki = tiki.with("TIKI_LOG", "warn");
    let logs = tiki.path(&tiki.variable("TIKI_DATA_DIR")).join("logs");
    for entry in std::fs::read_dir(logs).expect("the logs") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a log");
        assert!(text.contains("data folder"), "{text}");
        assert_harmless(&text, "a log");
        // Nor as an escape of JSON, which whoever reads the line undoes.
        assert!(!text.contains("\\u00") && !text.contains("\\u20"), "{text}");
    }
    for (arguments, shown) in [
        (&["products", "search", "mon"] as &[&str], "Món a"),
        (&["products", "show", "101"], "Món a"),
        (&["products", "history", "101"], "first"),
        (&["categories", "tree"], "Chén a"),
        (&["categories", "search", "chen"], "Chén a"),
        (&["rejections", "list"], "no-price"),
        (&["runs", "show"], "rejected"),
        (&["sql", "SELECT name FROM products"], "Món a"),
        (&["sql", "SELECT char(27, 155, 8238, 13) AS worst"], "worst"),
    ] {
        let done = says(&tiki, arguments);
        assert!(done.out.contains(shown), "{arguments:?}: {done:#?}");
        // As JSON it is the same text, escaped.
        let json = says(&tiki, &[arguments, &["--json"]].concat());
        serde_json::from_str::<Value>(&json.out).expect("JSON");
    }
    says(&tiki, &["runs", "show", HOSTILE.trim_end()]);
    says(&tiki, &["sql", &format!("SELECT '{HOSTILE}' FROM nowhere")]);
    let found = tiki.json(&["products", "search", "mon", "--json"]);
    let name = found[0]["name"].as_str().expect("a name");
    assert!(name.contains(KEPT), "data stay as they are: {name:?}");
    let exported = tiki.out(&["export", "-", "--columns", "name"]);
    assert!(exported.contains(KEPT), "{exported:?}");
    let serve = Serve::start(&tiki);
    let (status, page) = serve.get("/");
    assert!(status == 200 && page.contains("Warehouse"), "{page}");
    assert_harmless(&page, "the dashboard");
}
