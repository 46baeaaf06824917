//! What can be typed to read the data.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Output, limit, span};

/// Of `tiki categories`.
#[derive(Debug, Args)]
pub(crate) struct CategoriesArguments {
    /// What about them [default: tree]
    #[command(subcommand)]
    pub(crate) command: Option<CategoriesCommand>,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What about categories.
#[derive(Debug, Subcommand)]
pub(crate) enum CategoriesCommand {
    /// All known ones, children under their parents
    Tree {
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Those whose name has these words (accents do not matter)
    Search {
        /// The words
        #[arg(required = true)]
        text: Vec<String>,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
}

/// Of `tiki products`.
#[derive(Debug, Args)]
pub(crate) struct ProductsArguments {
    /// What about them
    #[command(subcommand)]
    pub(crate) command: ProductsCommand,
}

/// What about products.
#[derive(Debug, Subcommand)]
pub(crate) enum ProductsCommand {
    /// Those whose name has these words, best sellers first (accents do not matter)
    Search {
        /// The words; none: all
        text: Vec<String>,
        /// Only of this category and all below it (id, URL or name)
        #[arg(long, value_name = "ID|URL|NAME")]
        category: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = limit())]
        limit: i64,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// One product, whole
    Show {
        /// Its id, or its URL
        #[arg(value_name = "ID|URL", value_parser = product)]
        id: i64,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// What changed when
    History {
        /// The product's id, or its URL
        #[arg(value_name = "ID|URL", value_parser = product)]
        id: i64,
        /// The newest so many changes
        #[arg(long, default_value_t = 100, value_parser = limit())]
        limit: i64,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
}

/// Of `tiki drift`.
#[derive(Debug, Args)]
pub(crate) struct DriftArguments {
    /// What about it [default: show]
    #[command(subcommand)]
    pub(crate) command: Option<DriftCommand>,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What about drift.
#[derive(Debug, Subcommand)]
pub(crate) enum DriftCommand {
    /// What a run found changed
    Show {
        /// The run's id [default: the newest run that is held, else the newest]
        run: Option<String>,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Load a run that was stopped, without a request; later runs are compared with it
    Accept {
        /// The run's id
        run: String,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Give a run up that was stopped: nothing of it is loaded
    Reject {
        /// The run's id
        run: String,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
}

/// Of `tiki rejections`.
#[derive(Debug, Args)]
pub(crate) struct RejectionsArguments {
    /// What about them [default: list]
    #[command(subcommand)]
    pub(crate) command: Option<RejectionsCommand>,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}

/// What about rejections.
#[derive(Debug, Subcommand)]
pub(crate) enum RejectionsCommand {
    /// The newest ones
    List {
        /// Only of this run
        #[arg(long, value_name = "ID")]
        run: Option<String>,
        /// Only for this reason
        #[arg(long, value_parser = reason)]
        reason: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = limit())]
        limit: i64,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// One of them, and the body that was refused
    Show {
        /// Its id; a run that is derived anew numbers its rejections anew
        id: i64,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
    /// Transforms and loads the kept pages of their runs again, without asking the site: for after a
    /// newer tiki, or whoever refused, has been mended
    Replay {
        /// Only of this run
        #[arg(long, value_name = "ID")]
        run: Option<String>,
        /// Only runs with a rejection for this reason
        #[arg(long, value_parser = reason)]
        reason: Option<String>,
        /// Only the run of this rejection
        #[arg(long, value_name = "REJECTION")]
        id: Option<i64>,
        /// Whose and how
        #[command(flatten)]
        output: Output,
    },
}

const EXPORT_AFTER: &str = "\
Examples:
  tiki export products.csv
  tiki export history.parquet --table history --since 2026-11-01
  tiki export - --format jsonl --category 8095 --columns id,name,price | head

A file appears when it is whole: it is written beside and renamed. `tiki schema` shows tables and columns.";

/// Of `tiki export`.
#[derive(Debug, Args)]
#[command(after_help = EXPORT_AFTER)]
pub(crate) struct ExportArguments {
    /// The file, or - for standard output
    pub(crate) file: PathBuf,
    /// Its format [default: by the file's ending, csv for -]
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Which table or view; history is product_history
    #[arg(long, value_name = "NAME", default_value = "products")]
    pub(crate) table: String,
    /// Only rows seen or changed since a day or an instant (see docs/ANALYSTS.md, Files)
    #[arg(long, value_name = "DAY|INSTANT")]
    pub(crate) since: Option<String>,
    /// Only of this category and all below it (id, URL or name)
    #[arg(long, value_name = "ID|URL|NAME")]
    pub(crate) category: Option<String>,
    /// Only these columns, in this order [default: all but the program's own]
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub(crate) columns: Option<Vec<String>>,
    /// CSV: leave texts that a spreadsheet would run (=, +, -, @ …) without an apostrophe before them
    #[arg(long)]
    pub(crate) raw: bool,
    /// The demo's warehouse
    #[arg(long)]
    pub(crate) demo: bool,
}

/// Formats of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated, a header first.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Apache Parquet, with types.
    Parquet,
}

/// Of `tiki schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// Only this table or view, with its columns
    pub(crate) table: Option<String>,
    /// JSON, for machines
    #[arg(long)]
    pub(crate) json: bool,
    /// As Markdown, for docs/SCHEMA.md
    #[arg(long, conflicts_with_all = ["table", "json"])]
    pub(crate) markdown: bool,
}

const SQL_AFTER: &str = "\
Example:
  tiki sql 'SELECT brand, COUNT(*) AS n FROM products GROUP BY brand ORDER BY n DESC LIMIT 10'

`tiki schema` shows tables and columns. With --json every value is text or null.";

/// Of `tiki sql`.
#[derive(Debug, Args)]
#[command(after_help = SQL_AFTER)]
pub(crate) struct SqlArguments {
    /// One statement that reads
    #[arg(allow_hyphen_values = true)]
    pub(crate) statement: String,
    /// Rows at most
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    /// How long it may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = span)]
    pub(crate) timeout: std::time::Duration,
    /// Whose and how
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Of `tiki digest`.
#[derive(Debug, Args)]
pub(crate) struct DigestArguments {
    /// Without times: for crawls of the same site at different times
    #[arg(long)]
    pub(crate) content: bool,
    /// The demo's warehouse
    #[arg(long)]
    pub(crate) demo: bool,
}

fn reason(word: &str) -> Result<String, String> {
    let words = catalog::RejectionReason::ALL.map(catalog::RejectionReason::as_str);
    if words.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(format!("the reasons are {}", words.join(", ")))
}

fn product(text: &str) -> Result<i64, String> {
    let is_id = text.bytes().all(|byte| byte.is_ascii_digit());
    let id = if is_id {
        text.parse().ok()
    } else {
        catalog::product_id_from_url(text)
    };
    id.ok_or_else(|| {
        "write an id, as `tiki products search` shows it, or the URL of the product's page".into()
    })
}
