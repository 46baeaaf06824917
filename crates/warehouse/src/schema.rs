//! What every table, view and column means: `schema.toml`, read once.
//!
//! Not here: making the tables (`migrations`), telling PostgreSQL (`comments`).

use std::sync::OnceLock;

use serde::Deserialize;

/// What a column holds, in either database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// 64 bits.
    Integer,
    /// A double.
    Real,
    /// Yes or no; 0 or 1 in SQLite.
    Flag,
    /// Unicode.
    Text,
    /// An instant in UTC with milliseconds; text in SQLite.
    Time,
    /// JSON as text.
    Json,
    /// Bytes.
    Bytes,
}

/// A group of tables.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its heading.
    pub title: String,
    /// What they have in common, in Markdown.
    #[serde(default)]
    pub about: String,
    /// The tables and views.
    #[serde(rename = "table")]
    pub tables: Vec<Table>,
}

/// A table or view.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// For a view that begins with all columns of a table: that table.
    #[serde(default)]
    pub of: Option<String>,
    /// The columns of its key, in order.
    pub key: Vec<String>,
    /// The column that names a product.
    #[serde(default)]
    pub product: Option<String>,
    /// The column that names a category.
    #[serde(default)]
    pub category: Option<String>,
    /// The column that says since when a row is as it is.
    #[serde(default)]
    pub since: Option<String>,
    /// Columns that are the program's own.
    #[serde(default)]
    pub internal: Vec<String>,
    /// What it holds, in Markdown.
    #[serde(default)]
    pub about: String,
    /// What to know besides, in Markdown.
    #[serde(default)]
    pub note: String,
    /// Its columns in order; of a view only those that its table has not.
    pub columns: Vec<Column>,
}

/// A column.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "(String, String, String, String)")]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// What it means and in which unit, in Markdown.
    pub words: String,
    /// Where it comes from.
    pub from: String,
}

impl From<(String, String, String, String)> for Column {
    fn from((name, kind, words, from): (String, String, String, String)) -> Self {
        let plain = kind.trim_end_matches('?');
        let nullable = plain.len() < kind.len();
        let found = KINDS.iter().find(|(word, _)| *word == plain);
        Self {
            name,
            // A test reads the file and refuses other words.
            kind: found.map_or(Kind::Text, |(_, kind)| *kind),
            nullable,
            words,
            from,
        }
    }
}

const KINDS: [(&str, Kind); 7] = [
    ("integer", Kind::Integer),
    ("real", Kind::Real),
    ("flag", Kind::Flag),
    ("text", Kind::Text),
    ("time", Kind::Time),
    ("json", Kind::Json),
    ("bytes", Kind::Bytes),
];

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self);
        found.map_or("text", |(word, _)| word)
    }
}

impl Column {
    /// Its type as the docs write it: a `?` behind what may be NULL.
    pub fn type_word(&self) -> String {
        let mark = if self.nullable { "?" } else { "" };
        format!("{}{mark}", self.kind.as_str())
    }

    /// What it means, for readers without Markdown.
    pub fn plain(&self) -> String {
        plain(&self.words)
    }
}

impl Table {
    /// Every column in order; a view's begin with its table's.
    pub fn all_columns(&self) -> impl Iterator<Item = &Column> {
        let of = self.of.as_deref().and_then(table);
        let inherited = of.map_or(&[][..], |of| &of.columns);
        inherited.iter().chain(&self.columns)
    }

    /// Whether a column is the program's own.
    pub fn is_internal(&self, column: &str) -> bool {
        let of = self.of.as_deref().and_then(table);
        let tables = of.into_iter().chain([self]);
        tables.flat_map(|t| &t.internal).any(|name| name == column)
    }

    /// What it holds, for readers without Markdown, on one line.
    pub fn plain(&self) -> String {
        let words = [self.about.trim(), self.note.trim()].join(" ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        plain(&words)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    group: Vec<Group>,
}

/// Every group, in the order of the docs.
pub fn groups() -> &'static [Group] {
    static GROUPS: OnceLock<Vec<Group>> = OnceLock::new();
    GROUPS.get_or_init(|| {
        let file: Result<File, _> = toml::from_str(include_str!("../schema.toml"));
        file.expect("a test reads this file").group
    })
}

/// Every table and view.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    groups().iter().flat_map(|group| &group.tables)
}

/// A table or view by its name.
pub fn table(name: &str) -> Option<&'static Table> {
    tables().find(|table| table.name == name)
}

/// The tables as Markdown, for docs/SCHEMA.md.
#[allow(
    clippy::format_push_string,
    reason = "an allocation is nothing in a page for people"
)]
pub fn markdown() -> String {
    let mut text = String::new();
    for group in groups() {
        text += &format!("## {}\n\n", group.title);
        paragraph(&mut text, &group.about);
        for table in &group.tables {
            text += &format!("### `{}`\n\n", table.name);
            if table.of.is_none() {
                let key: Vec<_> = table.key.iter().map(|name| format!("`{name}`")).collect();
                text += &format!("Key: {}.\n\n", key.join(", "));
            }
            paragraph(&mut text, &table.about);
            text += "| column | type | unit and meaning | from |\n| --- | --- | --- | --- |\n";
            for column in &table.columns {
                let (name, kind, from) = (&column.name, column.type_word(), &column.from);
                let words = column.words.replace('|', "\\|");
                text += &format!("| `{name}` | {kind} | {words} | {from} |\n");
            }
            text += "\n";
            paragraph(&mut text, &table.note);
        }
    }
    text
}

fn paragraph(text: &mut String, words: &str) {
    if !words.trim().is_empty() {
        *text += words.trim();
        *text += "\n\n";
    }
}

/// Markdown without its marks: of links their words are left.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        text += before;
        match link.split_once("](") {
            Some((words, target)) if !words.contains([']', '"']) => {
                text += words;
                rest = target.split_once(')').map_or("", |(_, after)| after);
            }
            _ => {
                text.push('[');
                rest = link;
            }
        }
    }
    text += rest;
    text.replace(['`', '*'], "")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_file_is_read_and_names_what_it_has() {
        let raw: toml::Table = toml::from_str(include_str!("../schema.toml")).expect("TOML");
        let mut kinds = BTreeSet::new();
        for table in raw["group"].as_array().expect("groups") {
            for table in table["table"].as_array().expect("tables") {
                for column in table["columns"].as_array().expect("columns") {
                    let kind = column[1].as_str().expect("a type");
                    kinds.insert(kind.trim_end_matches('?').to_owned());
                }
            }
        }
        for kind in kinds {
            assert!(KINDS.iter().any(|(word, _)| *word == kind), "{kind}");
        }
        let mut seen = BTreeSet::new();
        for table in tables() {
            let name = &table.name;
            assert!(seen.insert(name), "{name} twice");
            let columns: BTreeSet<_> = table.all_columns().map(|c| &c.name).collect();
            assert_eq!(columns.len(), table.all_columns().count(), "{name}");
            let named = [&table.product, &table.category, &table.since];
            let named = named.into_iter().flatten();
            for column in named.chain(&table.key).chain(&table.internal) {
                assert!(columns.contains(column), "{name}.{column}");
            }
            assert!(!table.key.is_empty() && !table.plain().is_empty(), "{name}");
            for column in &table.columns {
                assert!(!column.plain().trim().is_empty(), "{name}.{}", column.name);
            }
        }
    }

    #[test]
    fn readers_without_markdown_see_no_marks() {
        for (words, seen) in [
            ("`price` × `sales_count`", "price × sales_count"),
            ("see [Nothing](../A.md#b); more", "see Nothing; more"),
            ("`[{\"a\", \"b\": [1]}]`", "[{\"a\", \"b\": [1]}]"),
            ("**1000** is it", "1000 is it"),
        ] {
            assert_eq!(plain(words), seen);
        }
    }
}
