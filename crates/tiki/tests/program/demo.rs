//! `tiki run --demo`, and what one can do after it.

use crate::tiki::{Done, Tiki};

#[test]
fn a_demo_leaves_days_of_history_and_three_commands_that_return_rows() {
    let tiki = Tiki::new();
    let done = tiki.fill_demo(60, 3);
    assert!(
        done.err
            .starts_with(&format!("data folder: {}", tiki.path("data").display()))
    );
    for said in [
        "crawl-product-details begins",
        "load-products done in",
        "3 of 3 days to run",
    ] {
        assert!(done.err.contains(said), "{said}: {}", done.err);
    }
    let commands: Vec<&str> = done
        .out
        .lines()
        .skip_while(|line| *line != "Try next:")
        .skip(1)
        .collect();
    assert_eq!(commands.len(), 3, "{}", done.out);
    for command in commands {
        let words = shell_words(command);
        assert!(words[0].ends_with("tiki"), "{command}");
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        assert!(arguments.contains(&"--demo"), "{command}");
        let out = tiki.out(&arguments);
        assert!(out.lines().count() > 1, "{command}: {out}");
    }
    let runs = tiki.json(&["runs", "--demo", "--json"]);
    assert_eq!(runs.as_array().expect("a list").len(), 3);
    for run in runs.as_array().expect("a list") {
        assert_eq!(
            (&run["state"], &run["exit_code"]),
            (&"done".into(), &0.into()),
            "{run}"
        );
        assert!(run["id"].as_str().expect("an id").starts_with("demo-2"));
    }
}

#[test]
fn a_second_demo_goes_on_where_the_first_one_ended() {
    let tiki = Tiki::new();
    tiki.fill_demo(60, 2);
    let present = [
        "sql",
        "SELECT id, name, price, sales_count FROM products ORDER BY id",
        "--demo",
    ];
    let before = tiki.out(&present);
    let again = tiki.fill_demo(60, 2);
    assert!(again.err.contains("1 of 2 days to run"), "{}", again.err);
    let id = tiki.json(&["runs", "--demo", "--json"])[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert!(id.ends_with("-2") && id.starts_with("demo-"), "{id}");
    assert_eq!(tiki.out(&present), before, "the shop stood still");
    // Another shop does not belong into this warehouse.
    let other = tiki.ends(2, &["run", "--demo", "--demo-products", "61"]);
    assert!(
        other.err.contains("one warehouse keeps one site"),
        "{}",
        other.err
    );
}

#[test]
fn a_day_that_is_run_after_later_ones_says_what_came_late() {
    let tiki = Tiki::new().with("TIKI_CLOCK", &clock(20));
    let line = |done: Done| done.err.lines().last().expect("the day's line").to_owned();
    let said = line(tiki.fill_demo(60, 1));
    assert!(!said.contains(" late,"), "{said}");
    let tiki = tiki.with("TIKI_CLOCK", &clock(19));
    let said = line(tiki.fill_demo(60, 1));
    let run = tiki.json(&["runs", "show", "demo-2026-11-19", "--demo", "--json"]);
    let products = &run["totals"]["products"];
    let of = |word: &str| products[word].as_i64().expect("a count");
    assert!(of("late") > 0, "{products}");
    let told = format!(
        "{:>4} unchanged, {:>4} late, {:>3} gone",
        of("unchanged"),
        of("late"),
        of("gone")
    );
    assert!(said.contains(&told), "{told}: {said}");
}

#[test]
fn days_before_those_that_the_demo_has_are_not_run() {
    let tiki = Tiki::new().with("TIKI_CLOCK", &clock(20));
    tiki.fill_demo(60, 2);
    let said = tiki.fill_demo(60, 5).err;
    assert!(said.contains("1 of 5 days to run"), "{said}");
    let file = tiki.path("data/demo.db").display().to_string();
    assert!(
        said.contains("earlier days (3) are left out") && said.contains(&format!("remove {file}")),
        "{said}"
    );
    let days = |tiki: &Tiki| {
        let runs = tiki.json(&["runs", "--demo", "--json"]);
        let runs = runs.as_array().expect("a list").iter().rev();
        let ids = runs.map(|run| {
            run["id"]
                .as_str()
                .expect("an id")
                .replace("demo-2026-11-", "")
        });
        ids.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(days(&tiki), "19 20 20-2");
    // Neither are those of a gap; the days after it are.
    let tiki = tiki.with("TIKI_CLOCK", &clock(23));
    tiki.fill_demo(60, 1);
    let tiki = tiki.with("TIKI_CLOCK", &clock(24));
    let said = tiki.fill_demo(60, 6).err;
    assert!(
        said.contains("1 of 6 days to run") && said.contains("earlier days (2) are left out"),
        "{said}"
    );
    assert_eq!(days(&tiki), "19 20 20-2 23 24");
    // What it says to do makes all of them.
    std::fs::remove_file(file).expect("the demo");
    let said = tiki.fill_demo(60, 3).err;
    assert!(!said.contains("left out"), "{said}");
    assert_eq!(days(&tiki), "22 23 24");
}

/// Noon of a day of November.
fn clock(day: u32) -> String {
    format!("2026-11-{day}T05:00:00.000Z")
}

#[test]
fn an_empty_warehouse_beside_a_filled_demo_says_so() {
    let tiki = Tiki::new();
    tiki.fill_demo(60, 1);
    let done = tiki.ends(2, &["products", "search", "x"]);
    let count = tiki.json(&[
        "sql",
        "SELECT COUNT(*) AS n FROM products",
        "--demo",
        "--json",
    ]);
    let count = count[0]["n"].as_str().expect("a count");
    assert!(
        done.err
            .contains(&format!("the demo's has {count} products: add --demo")),
        "{done:?}"
    );
}

#[test]
fn a_run_can_be_redone_from_its_stored_pages() {
    let tiki = Tiki::new();
    tiki.fill_demo(60, 2);
    let before = tiki.out(&["digest", "--demo"]);
    let id = tiki.json(&["runs", "--demo", "--json"])[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    for step in ["transform-products", "crawl-categories"] {
        let done = tiki.ends(0, &["run", "--demo", "--from", step, "--run", &id]);
        assert!(done.err.contains("load-products done"), "{}", done.err);
        assert_eq!(tiki.out(&["digest", "--demo"]), before, "{step}");
    }
}

#[test]
#[ignore = "slow: thirty days, some 30 s"]
fn slow_a_month_shows_in_a_products_history() {
    let tiki = Tiki::new();
    let done = tiki.ends(0, &["run", "--demo"]);
    assert!(done.err.contains("30 of 30 days to run"), "{}", done.err);
    let ids = tiki.json(&["products", "search", "--demo", "--json", "--limit", "1"]);
    let id = ids[0]["id"].to_string();
    let history = tiki.json(&["products", "history", &id, "--demo", "--json"]);
    assert!(history.as_array().expect("a list").len() > 10, "{history}");
}

/// The words of a line as a shell reads it: `"…"` and `'…'` hold together.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.trim().chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, ' ') => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words
}
