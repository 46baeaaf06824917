//! The documents against the program: what they repeat of it is compared with it.
//!
//! Not here: whether a sentence is true that repeats nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

#[path = "docs/compose.rs"]
mod compose;
#[path = "docs/dags.rs"]
mod dags;
#[path = "docs/figures.rs"]
mod figures;
#[path = "docs/metrics.rs"]
mod metrics;
#[path = "docs/oncall.rs"]
mod oncall;
#[path = "docs/samples.rs"]
mod samples;
#[path = "docs/schema.rs"]
mod schema;
#[path = "docs/security.rs"]
mod security;

/// The pages, below the project's folder.
const PAGES: [&str; 14] = [
    "README.md",
    "ARCHITECTURE.md",
    "STYLE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/ANALYSTS.md",
    "docs/SCHEMA.md",
    "docs/BENCHMARKS.md",
    "docs/CHECKLIST.md",
    "docs/DEPLOYMENT.md",
    "docs/OPTIMIZATIONS.md",
    "docs/PARAMETERS.md",
    "docs/RUNBOOK.md",
    "docs/SECURITY.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The program in a folder, without the settings of whoever runs the tests.
fn tiki(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiki"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIKI_") {
            command.env_remove(name);
        }
    }
    command.current_dir(folder).args(arguments);
    command
}

fn said(mut command: Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("tiki");
    let (out, err) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(status.success(), "{command:?}: {status}\n{out}\n{err}");
    out.into_owned()
}

/// What a command prints that needs no warehouse.
fn told(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    said(tiki(folder.path(), arguments))
}

/// The text between two lines that hold nothing but these marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!("{begin}\n"))
        .unwrap_or_else(|| panic!("no {begin}"));
    rest.split_once(end).unwrap_or_else(|| panic!("no {end}")).0
}

/// Cells of the rows of tables whose first cell begins with a code span, without the span's marks.
fn rows(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let unescaped = rows.map(|row| row.trim_matches('|').replace("\\|", "\u{1}"));
    let cells = unescaped.map(|row| row.split('|').map(cell).collect());
    cells.collect()
}

fn cell(text: &str) -> String {
    text.replace('\u{1}', "|")
        .trim()
        .trim_matches('`')
        .to_owned()
}

/// The commands below one, as its help lists them; none for one that has none.
fn commands(below: &[&str]) -> Vec<String> {
    let help = told(&[below, &["--help"]].concat());
    let Some((_, list)) = help.split_once("Commands:\n") else {
        return Vec::new();
    };
    let names = list.lines().take_while(|line| !line.trim().is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// The help of every command.
fn all_help() -> String {
    let mut help = told(&["--help"]);
    for command in commands(&[]) {
        help += &told(&[&command, "--help"]);
        for below in commands(&[&command]) {
            help += &told(&[&command, &below, "--help"]);
        }
    }
    help
}

/// Code spans and code blocks of a page.
fn code(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 1 {
            found.push(part);
        } else {
            found.extend(
                part.split('`')
                    .enumerate()
                    .filter(|(n, _)| n % 2 == 1)
                    .map(|(_, span)| span),
            );
        }
    }
    found
}

#[test]
fn the_settings_are_those_of_the_program() {
    let parameters = page("docs/PARAMETERS.md");
    let table = between(
        &parameters,
        "<!-- settings: begin -->",
        "<!-- settings: end -->",
    );
    let shown = told(&["config", "show", "--markdown"]);
    let same = table.trim() == shown.trim();
    assert!(
        same,
        "put `tiki config show --markdown` into docs/PARAMETERS.md"
    );
}

#[test]
fn the_readme_repeats_defaults_as_they_are() {
    let known: Value = serde_json::from_str(&told(&["config", "show", "--json"])).expect("JSON");
    let defaults: BTreeMap<&str, &str> = known
        .as_array()
        .expect("settings")
        .iter()
        .map(|row| {
            (
                row["name"].as_str().expect("name"),
                row["default"].as_str().expect("default"),
            )
        })
        .collect();
    let readme = page("README.md");
    let table = between(
        &readme,
        "<!-- settings: begin -->",
        "<!-- settings: end -->",
    );
    let rows = rows(table);
    assert!(rows.len() > 5);
    for row in rows {
        let default = defaults.get(row[0].as_str());
        let written = if row[1] == "–" { "" } else { row[1].as_str() };
        assert_eq!(default, Some(&written), "{} in README.md", row[0]);
    }
}

#[test]
fn every_command_is_in_the_readme_and_no_other() {
    let readme = page("README.md");
    let table = between(
        &readme,
        "<!-- commands: begin -->",
        "<!-- commands: end -->",
    );
    let mut written = BTreeSet::new();
    for row in rows(table) {
        let name = row[0]
            .split_whitespace()
            .nth(1)
            .expect("a command")
            .to_owned();
        let below: BTreeSet<String> = commands(&[&name]).into_iter().collect();
        let listed = if below.is_empty() {
            BTreeSet::new()
        } else {
            ways(&row[0])
        };
        assert_eq!(listed, below, "below `tiki {name}` in README.md");
        assert!(written.insert(name), "{} twice in README.md", row[0]);
    }
    assert_eq!(
        written,
        commands(&[]).into_iter().collect(),
        "the commands in README.md"
    );
}

/// The words in `tiki runs [list|show <id>|resume [<id>]]` or `tiki config show`.
fn ways(command: &str) -> BTreeSet<String> {
    let list = match command.find(['[', '(']) {
        Some(at) => command[at..].trim_start_matches(['[', '(']),
        None => command.rsplit(' ').next().unwrap_or_default(),
    };
    let ways = list
        .split('|')
        .filter_map(|way| way.split([' ', ']', ')']).next());
    ways.map(str::to_owned).collect()
}

#[test]
fn how_long_looks_are_kept_is_said_where_a_reader_begins() {
    let settings = told(&["config", "show", "--markdown"]);
    let row = settings
        .lines()
        .find(|line| line.contains("`TIKI_KEEP_OBSERVATIONS`"));
    let row = row.expect("the setting");
    for name in ["README.md", "docs/SCHEMA.md"] {
        let text = page(name);
        let days = text.split(" last ").nth(1).expect("the last so many days");
        let days = days.split(' ').next().expect("a number");
        assert!(row.contains(&format!("| `{days}` |")), "{name}: {row}");
    }
}

#[test]
fn every_exit_code_is_explained_and_no_other() {
    use pipeline::Exit;
    let codes: BTreeSet<u8> = (0..=255)
        .filter(|code| Exit::from_code((*code).into()).code() == *code)
        .collect();
    let readme = page("README.md");
    let table = between(
        &readme,
        "<!-- exit codes: begin -->",
        "<!-- exit codes: end -->",
    );
    let listed = rows(table)
        .into_iter()
        .map(|row| row[0].parse().expect("a number"));
    assert_eq!(codes, listed.collect(), "the exit codes in README.md");
    let runbook = page("docs/RUNBOOK.md");
    let titles = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("### ")?.split_once(':'));
    let explained = titles.filter_map(|(code, _)| code.parse().ok());
    assert_eq!(
        codes,
        explained.collect(),
        "the exit codes in docs/RUNBOOK.md"
    );
}

#[test]
fn the_steps_are_those_of_the_program() {
    let known: Value = serde_json::from_str(&told(&["step", "--list", "--json"])).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let known = known.as_array().expect("steps").iter().map(|step| {
        let keys = step["keys"].as_array().expect("keys").iter();
        vec![
            text(&step["name"]),
            text(&step["task_id"]),
            keys.map(text).collect::<Vec<_>>().join(", "),
        ]
    });
    let architecture = page("ARCHITECTURE.md");
    let (_, table) = architecture
        .split_once("| step | Airflow task id |")
        .expect("the table of steps");
    let table = table.split("\n\n").next().expect("a table");
    let written = rows(table).into_iter().map(|row| {
        row.into_iter()
            .map(|cell| cell.replace('`', ""))
            .collect::<Vec<_>>()
    });
    assert_eq!(
        written.collect::<Vec<_>>(),
        known.collect::<Vec<_>>(),
        "the steps in ARCHITECTURE.md"
    );
}

#[test]
fn what_a_page_names_exists() {
    let mut help = all_help() + &page("xtask/src/main.rs");
    // Of other programs.
    help += " --release --require-hashes --no-deps --build --format --no-stream --rm --tail --locked --profile \
              --proto --tlsv1 --no-install-recommends --system --user-group --home-dir --shell --now ";
    let known: BTreeSet<String> = commands(&[]).into_iter().collect();
    let of_the_dags = page("airflow/dags/tiki_pipeline/steps.py").replace('"', "`");
    let settings = told(&["config", "show", "--markdown"]) + &of_the_dags;
    let part_of_a_word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    for name in PAGES {
        let text = page(name);
        for word in text
            .split(|c: char| !part_of_a_word(c))
            .filter(|word| word.starts_with("TIKI_"))
        {
            let is_test = word.starts_with("TIKI_TEST_") || word == "TIKI_";
            assert!(
                is_test || settings.contains(&format!("`{word}`")),
                "{word} in {name}"
            );
        }
        for code in code(&text) {
            for flag in code
                .split(|c: char| !part_of_a_word(c))
                .filter(|word| word.starts_with("--"))
            {
                let is_comment = flag.len() <= 3;
                let whole = help
                    .split(|c: char| !part_of_a_word(c))
                    .any(|word| word == flag);
                assert!(is_comment || whole, "{flag} in {name}");
            }
            for (_, rest) in code
                .match_indices("tiki ")
                .map(|(at, found)| code.split_at(at + found.len()))
            {
                let word = rest
                    .split(|c: char| !part_of_a_word(c))
                    .next()
                    .unwrap_or_default();
                let is_name = word.is_empty() || word.starts_with('-') || known.contains(word);
                assert!(is_name, "`tiki {word}` in {name}");
            }
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let mut pages: Vec<String> = PAGES.iter().map(|name| (*name).to_owned()).collect();
    for entry in std::fs::read_dir(root().join("docs/adr")).expect("decisions") {
        let name = entry.expect("a decision").file_name();
        pages.push(format!("docs/adr/{}", name.to_string_lossy()));
    }
    for name in pages {
        let text = page(&name);
        let folder = root().join(&name).parent().expect("a folder").to_path_buf();
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        for (link, _) in links.filter(|(link, _)| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                root().join(&name)
            } else {
                folder.join(path)
            };
            assert!(target.exists(), "{link} in {name}");
            if !anchor.is_empty() {
                let titles = std::fs::read_to_string(&target).expect("a page");
                let titles = titles.lines().filter(|line| line.starts_with('#'));
                assert!(
                    titles.map(slug).any(|slug| slug == anchor),
                    "{link} in {name}"
                );
            }
        }
    }
}

/// The anchor of a title.
fn slug(title: &str) -> String {
    let kept = title.trim_start_matches('#').trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn the_rules_of_tidy_are_those_it_checks() {
    let mut source = page("xtask/src/tidy.rs");
    for entry in std::fs::read_dir(root().join("xtask/src/tidy")).expect("rules") {
        source += &std::fs::read_to_string(entry.expect("a rule").path()).expect("a rule");
    }
    let style = page("STYLE.md");
    let (_, table) = style
        .split_once("`cargo xtask tidy` checks\n")
        .expect("the rules of tidy");
    let rules = rows(table);
    assert!(rules.len() > 5);
    for rule in rules {
        assert!(
            source.contains(&format!("\"{}\"", rule[0])),
            "rule {} in STYLE.md",
            rule[0]
        );
    }
}

#[test]
fn numbers_in_prose_are_those_of_the_constants() {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in NUMBERS.lines() {
        let [name, phrase, source, constant]: [&str; 4] = line
            .split(" | ")
            .collect::<Vec<_>>()
            .try_into()
            .expect(line);
        let (prose, code) = (one_line(&page(name)), one_line(&page(source)));
        assert!(
            prose.contains(phrase),
            "{name} does not say {phrase:?} any more"
        );
        assert!(
            code.contains(constant),
            "{phrase:?} in {name}: not so in {source}"
        );
    }
}

/// A page, what it says, and the source in which it stands so.
const NUMBERS: &str = r#"ARCHITECTURE.md | 30 minutes after its last commit | crates/pipeline/src/runs.rs | ACTIVE_MILLIS: i64 = 30 * 60_000;
ARCHITECTURE.md | idle for 20 hours | crates/pipeline/src/runs.rs | IDLE_MILLIS: i64 = 20 * 3_600_000;
ARCHITECTURE.md | a clock more than 5 minutes off | crates/pipeline/src/clocks.rs | CLOCK_MINUTES: i64 = 5;
ARCHITECTURE.md | within 100 ms is void | crates/crawl/src/permit.rs | PERMIT_VALID: Duration = Duration::from_millis(100);
README.md | never more than five off this machine | crates/crawl/src/rate.rs | LEAST_SPACING: Duration = Duration::from_millis(200);
README.md | an hour at most | crates/crawl/src/receive.rs | MOST_RETRY_AFTER: Duration = Duration::from_hours(1);
README.md | and again every day | crates/crawl/src/robots.rs | ROBOTS_FRESH: Duration = Duration::from_hours(24);
README.md | PostgreSQL (15 or newer) | crates/warehouse/src/postgres.rs | OLDEST_SERVER: i64 = 150_000;
docs/RUNBOOK.md | 30 minutes after its last commit | crates/pipeline/src/runs.rs | ACTIVE_MILLIS: i64 = 30 * 60_000;
docs/RUNBOOK.md | for 20 hours | crates/pipeline/src/runs.rs | IDLE_MILLIS: i64 = 20 * 3_600_000;
docs/RUNBOOK.md | longer than its lease (30 s | crates/warehouse/src/lease.rs | LEASE_SECONDS: i64 = 30;
docs/RUNBOOK.md | more than 5 minutes away | crates/pipeline/src/clocks.rs | CLOCK_MINUTES: i64 = 5;
docs/RUNBOOK.md | after 5, 15 and 45 minutes | crates/pipeline/src/schedule.rs | Duration::from_mins(5), Duration::from_mins(15), Duration::from_mins(45), ];
docs/RUNBOOK.md | finish its batch, for 8 seconds | crates/tiki/src/clockwork.rs | CHILD_PATIENCE: Duration = Duration::from_secs(8);
docs/RUNBOOK.md | takes up to 1,000 | crates/dashboard/src/routes.rs | MOST_RUNS: i64 = 1000;
docs/RUNBOOK.md | An answer is good for 2 seconds | crates/dashboard/src/routes.rs | SHARED_METRICS: Duration = Duration::from_secs(2);
docs/RUNBOOK.md | no engine that answers it within 2 seconds | crates/pipeline/src/containers.rs | ENGINE_PATIENCE: Duration = Duration::from_secs(2);
docs/RUNBOOK.md | no answer in 4 s | crates/pipeline/src/health.rs | PATIENCE: Duration = Duration::from_secs(4);
docs/RUNBOOK.md | ends within 10 seconds | crates/tiki/tests/program/health.rs | IN_TIME: Duration = Duration::from_secs(10);
docs/SCHEMA.md | `budget` under 500,000 | crates/catalog/src/computed.rs | ..500_000 => "budget"
docs/SCHEMA.md | `mid-range` under 2,000,000 | crates/catalog/src/computed.rs | ..2_000_000 => "mid-range"
docs/SCHEMA.md | `premium` under 10,000,000 | crates/catalog/src/computed.rs | ..10_000_000 => "premium"
docs/SCHEMA.md | at most 200 characters | crates/catalog/src/rejection.rs | SEEN_MAX_CHARS: usize = 200;
STYLE.md | under 70 lines | xtask/src/tidy/shape.rs | MAX_FUNCTION_LINES: usize = 70;
STYLE.md | under 500 | xtask/src/tidy/shape.rs | MAX_FILE_LINES: usize = 500;"#;
