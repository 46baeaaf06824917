//! Reading a folder of recorded bodies, within bounds.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Most files in a folder.
const MAX_FILES: usize = 100_000;
/// Largest file, bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// All files together, bytes: they are held in memory.
const MAX_ALL_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Hex digits of the digest that are kept.
const DIGEST_DIGITS: usize = 16;

/// A recorded folder cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", path.display())]
pub struct FolderError {
    /// The folder or the file in it.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub kind: FolderErrorKind,
}

/// What is wrong with a recorded file.
#[derive(Debug, thiserror::Error)]
pub enum FolderErrorKind {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    /// It is no JSON.
    #[error("it is no JSON")]
    Json(#[from] serde_json::Error),
    /// It is JSON of another shape.
    #[error("{0}")]
    Shape(&'static str),
    /// It breaks a bound.
    #[error("{0}")]
    TooMuch(&'static str),
}

/// What was read.
pub(crate) struct Folder {
    pub(crate) trees: Vec<Value>,
    /// Listing items by product id, in the order of the files.
    pub(crate) items: Vec<(u64, Value)>,
    /// Details: product id, body as received, body parsed.
    pub(crate) details: Vec<(u64, Bytes, Value)>,
    pub(crate) digest: String,
}

impl Folder {
    /// Reads `detail/*.json`, `listing_*.json` and `category_tree_*.json`; other files are left
    /// alone.
    pub(crate) fn read(root: &Path) -> Result<Self, FolderError> {
        let mut reader = Reader {
            bytes: 0,
            hash: Sha256::new(),
        };
        let mut folder = Self {
            trees: Vec::new(),
            items: Vec::new(),
            details: Vec::new(),
            digest: String::new(),
        };
        let files = json_files(root)?;
        for path in files
            .iter()
            .filter(|path| name_begins(path, "category_tree_"))
        {
            folder.trees.push(reader.json(path)?.1);
        }
        for path in files.iter().filter(|path| name_begins(path, "listing_")) {
            let (_, value) = reader.json(path)?;
            folder.items.extend(listing_items(path, value)?);
        }
        let details = root.join("detail");
        if details.is_dir() {
            for path in json_files(&details)? {
                let (body, value) = reader.json(&path)?;
                let id = positive_id(&value)
                    .ok_or_else(|| shape(&path, "a product detail without a positive id"))?;
                folder.details.push((id, body, value));
            }
        }
        if folder.items.is_empty() && folder.details.is_empty() {
            let none = "neither detail/*.json nor listing_*.json holds a product";
            return Err(shape(root, none));
        }
        let digest = reader.hash.finalize();
        for byte in digest.iter().take(DIGEST_DIGITS / 2) {
            // Writing to a String cannot fail.
            write!(folder.digest, "{byte:02x}").unwrap_or_default();
        }
        Ok(folder)
    }
}

struct Reader {
    bytes: u64,
    hash: Sha256,
}

impl Reader {
    fn json(&mut self, path: &Path) -> Result<(Bytes, Value), FolderError> {
        let failed = |kind| FolderError {
            path: path.to_owned(),
            kind,
        };
        let length = std::fs::metadata(path)
            .map_err(|error| failed(error.into()))?
            .len();
        if length > MAX_FILE_BYTES {
            return Err(failed(FolderErrorKind::TooMuch("it is larger than 4 MB")));
        }
        self.bytes += length;
        if self.bytes > MAX_ALL_BYTES {
            return Err(failed(FolderErrorKind::TooMuch(
                "with it the folder exceeds 2 GB",
            )));
        }
        let body = std::fs::read(path).map_err(|error| failed(error.into()))?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        self.hash.update((name.len() as u64).to_le_bytes());
        self.hash.update(name.as_bytes());
        self.hash.update((body.len() as u64).to_le_bytes());
        self.hash.update(&body);
        let value = serde_json::from_slice(&body).map_err(|error| failed(error.into()))?;
        Ok((Bytes::from(body), value))
    }
}

/// The JSON files of a folder by name.
fn json_files(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let failed = |kind| FolderError {
        path: folder.to_owned(),
        kind,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| failed(error.into()))? {
        let path = entry.map_err(|error| failed(error.into()))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(failed(FolderErrorKind::TooMuch(
                "it holds more than 100,000 files",
            )));
        }
    }
    files.sort();
    Ok(files)
}

fn name_begins(path: &Path, prefix: &str) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(prefix))
}

/// An array of items, or an answer of the listing API with its `data`.
fn listing_items(path: &Path, value: Value) -> Result<Vec<(u64, Value)>, FolderError> {
    let items = match value {
        Value::Array(items) => items,
        Value::Object(mut envelope) => match envelope.remove("data") {
            Some(Value::Array(items)) => items,
            _ => return Err(shape(path, "a listing without an array of items in data")),
        },
        _ => {
            return Err(shape(
                path,
                "a listing that is neither an array nor an object",
            ));
        }
    };
    items
        .into_iter()
        .map(|item| match positive_id(&item) {
            Some(id) => Ok((id, item)),
            None => Err(shape(path, "a listing item without a positive id")),
        })
        .collect()
}

fn positive_id(value: &Value) -> Option<u64> {
    value
        .get("id")
        .and_then(Value::as_u64)
        .filter(|id| *id > 0 && i64::try_from(*id).is_ok())
}

fn shape(path: &Path, what: &'static str) -> FolderError {
    FolderError {
        path: path.to_owned(),
        kind: FolderErrorKind::Shape(what),
    }
}
