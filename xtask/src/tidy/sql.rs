//! SQL only in `warehouse`: string literals that read like a statement.
//!
//! A sample for people, like the one in a help text, is marked with the comment
//! `tidy: sample SQL` on its line or on the line above.

use super::Violation;
use super::lexer::Kind;
use super::source::Source;

const MARK: &str = "tidy: sample SQL";

pub(super) fn check(source: &Source<'_>, violations: &mut Vec<Violation>) {
    if ["warehouse", "testkit", "xtask"].contains(&source.owner) {
        return;
    }
    let marked = |line: usize| {
        let mut comments = source.comments.iter();
        comments.any(|comment| {
            comment.text.contains(MARK) && (comment.line == line || comment.line + 1 == line)
        })
    };
    for (index, token) in source.code.iter().enumerate() {
        if token.kind == Kind::Str
            && is_statement(token.text)
            && source.ships(index)
            && !marked(token.line)
        {
            let message = format!(
                "SQL outside crates/warehouse: move the statement there (a sample for people: \
                 `// {MARK}` on the line above)"
            );
            violations.push(source.violation(token.line, "sql", message));
        }
    }
}

/// What follows a keyword in a sentence and never in a statement.
const ARTICLES: &[&str] = &[
    "a", "an", "the", "this", "that", "these", "its", "your", "each", "every", "any", "one", "it",
];

/// Whether a string literal begins like a statement. Keywords are all upper or all lower case,
/// and a name follows where a sentence has an article.
fn is_statement(literal: &str) -> bool {
    // Escapes (line breaks, quotes) only separate words here.
    let mut text = String::with_capacity(literal.len());
    let mut characters = literal.chars();
    while let Some(found) = characters.next() {
        let escape = found == '\\' && characters.next().is_some();
        text.push(if escape { ' ' } else { found });
    }
    let text = text.replace('(', " ( ").replace([',', ';'], " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let Some(&first) = words.first() else {
        return false;
    };
    if first != first.to_uppercase() && first != first.to_lowercase() {
        return false;
    }
    let lower: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let word = |index: usize| lower.get(index).map_or("", String::as_str);
    let named = |index: usize| !word(index).is_empty() && !ARTICLES.contains(&word(index));
    match word(0) {
        "select" => select(&lower),
        "insert" | "replace" => word(1) == "into" && named(2),
        "delete" => word(1) == "from" && named(2),
        "update" => named(1) && lower.iter().take(6).any(|word| word == "set"),
        "create" | "alter" | "drop" => {
            let object = [
                "table", "index", "view", "trigger", "schema", "database", "sequence",
            ];
            let at = lower
                .iter()
                .take(4)
                .position(|word| object.contains(&word.as_str()));
            at.is_some_and(|at| (1..at).all(named) && named(at + 1))
        }
        "truncate" | "lock" => word(1) == "table" && named(2),
        "with" => {
            word(1) == "recursive" || lower.windows(2).take(8).any(|pair| pair == ["as", "("])
        }
        "pragma" => words[0] == "PRAGMA" || word(1).contains(['_', '=']),
        "begin" => ["immediate", "exclusive", "deferred"].contains(&word(1)) && words.len() == 2,
        "explain" => ["select", "query", "analyze"].contains(&word(1)),
        _ => false,
    }
}

/// `select *`, `select 1`, `select f(…)`, or `select … from` a name.
fn select(lower: &[String]) -> bool {
    let first = lower.get(1).map_or("", String::as_str);
    if first.starts_with(|found: char| found == '*' || found == '$' || found.is_ascii_digit()) {
        return true;
    }
    if lower.get(2).is_some_and(|word| word == "(") && !ARTICLES.contains(&first) {
        return true;
    }
    let from = lower.iter().position(|word| word == "from");
    from.is_some_and(|at| {
        !ARTICLES.contains(&first)
            && lower
                .get(at + 1)
                .is_none_or(|word| !ARTICLES.contains(&word.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::is_statement;

    #[test]
    fn statements_are_recognised() {
        for text in [
            "SELECT id FROM products",
            "\n  select id,\n name\n from products where id = $1",
            "select *",
            "select 1",
            "SELECT pg_advisory_lock($1)",
            "select count(*) from {table}",
            "INSERT INTO products (id) VALUES ($1)",
            "insert into \\\"products\\\" select 1",
            "UPDATE runs SET state = 'done'",
            "update {table} as t\\n set x = 1",
            "DELETE FROM listings",
            "CREATE TABLE runs (id)",
            "create unique index if not exists by_day on runs (day)",
            "alter table runs add column b",
            "drop table runs",
            "WITH due AS (SELECT 1) SELECT 2",
            "with recursive tree(id) as (select 1)",
            "PRAGMA journal_mode = wal",
            "begin immediate",
            "explain query plan select 1",
        ] {
            assert!(is_statement(text), "{text}");
        }
    }

    #[test]
    fn prose_is_not_sql() {
        for text in [
            "",
            "select",
            "Select a category from the tree",
            "select a category from the tree",
            "select products from the newest run",
            "update the page and set the clock",
            "update failed",
            "insert into the warehouse",
            "delete from the folder",
            "create a table of categories",
            "create the index first",
            "with a delay of {delay_ms} ms",
            "with prices as of (yesterday)",
            "drop the table",
            "begin immediately",
            "cannot select from products",
            "Pragma",
            "explain it",
        ] {
            assert!(!is_statement(text), "{text}");
        }
    }
}
