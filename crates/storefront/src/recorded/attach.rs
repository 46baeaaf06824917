//! The recorded tree, and a place in it for every recorded product.
//!
//! The site's own data does not fit together: products name categories that are no leafs, that
//! were removed, or the invisible root. A place is then invented and its name says so.

use serde_json::Value;

use crate::slug::slug;
use crate::tree::{MAX_LEVEL, Tree};

/// Ids of invented categories; the real ones are below 100,000.
const FIRST_INVENTED: u64 = 900_000_000;
/// Categories below these ids are the site's invisible top.
const TOP_IDS: u64 = 2;
/// What follows the name of an invented leaf.
const LEAF_MARK: &str = "(invented leaf)";
/// What follows the name of an invented root.
const ROOT_MARK: &str = "(invented root)";

/// A tree that is being completed.
pub(crate) struct Arrangement {
    tree: Tree,
    next_id: u64,
    /// The root for what the tree does not know.
    stray_root: Option<usize>,
}

impl Arrangement {
    /// Starts from recorded trees: `{"parent_categories":[{id,text,link,categories:[…]}]}`, each
    /// level under another key, ids as numbers or strings.
    pub(crate) fn new(trees: &[Value]) -> Self {
        let mut arranged = Self {
            tree: Tree::default(),
            next_id: FIRST_INVENTED,
            stray_root: None,
        };
        for tree in trees {
            for root in tree
                .get("parent_categories")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                arranged.add(None, root);
            }
        }
        arranged
    }

    pub(crate) fn into_tree(self) -> Tree {
        self.tree
    }

    fn add(&mut self, parent: Option<usize>, node: &Value) {
        let Some(id) = number(node.get("id")).filter(|id| *id > TOP_IDS) else {
            return;
        };
        let name = node
            .get("text")
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned();
        let url_key = url_key(node.get("link").and_then(Value::as_str)).unwrap_or(slug(&name));
        let Some(place) = self.tree.add(parent, id, name, url_key) else {
            return;
        };
        for children in node.as_object().into_iter().flat_map(|map| map.values()) {
            for child in children.as_array().into_iter().flatten() {
                self.add(Some(place), child);
            }
        }
    }

    /// By the last id of its `primary_category_path`.
    pub(crate) fn place_of_item(&mut self, item: &Value) -> usize {
        let path = item
            .get("primary_category_path")
            .and_then(Value::as_str)
            .unwrap_or("");
        let id = path
            .rsplit('/')
            .next()
            .and_then(|id| id.parse().ok())
            .unwrap_or(0);
        self.leaf_for(id, "")
    }

    /// By `categories.id`, or by the last category of the breadcrumbs that the tree knows.
    pub(crate) fn place_of_detail(&mut self, detail: &Value) -> usize {
        let category = detail.get("categories");
        let id = category
            .and_then(|category| number(category.get("id")))
            .unwrap_or(0);
        let name = category
            .and_then(|category| category.get("name")?.as_str())
            .unwrap_or("");
        if id > TOP_IDS && self.tree.place(id).is_some() {
            return self.leaf_for(id, name);
        }
        let crumbs = detail.get("breadcrumbs").and_then(Value::as_array);
        let crumb = crumbs
            .into_iter()
            .flatten()
            .rev()
            .filter_map(|crumb| number(crumb.get("category_id")))
            .find(|id| self.tree.place(*id).is_some());
        self.leaf_for(crumb.unwrap_or(id), name)
    }

    /// The category itself where it is a leaf, else a leaf under it that is made once.
    fn leaf_for(&mut self, id: u64, name: &str) -> usize {
        let Some(place) = self.tree.place(id) else {
            return self.stray(id, name);
        };
        let node = self.tree.node(place);
        if node.is_leaf() {
            return place;
        }
        let made = |child: &&usize| self.tree.node(**child).name.ends_with(LEAF_MARK);
        if let Some(child) = node.children.iter().find(made) {
            return *child;
        }
        if node.level >= MAX_LEVEL {
            return place;
        }
        let label = format!("{} {LEAF_MARK}", node.name.trim());
        let id = self.invented_id();
        self.tree
            .add(Some(place), id, label.clone(), slug(&label))
            .unwrap_or(place)
    }

    /// A category that the tree does not know, under a root of our own.
    fn stray(&mut self, id: u64, name: &str) -> usize {
        let root = self.stray_root();
        let (id, name) = match id {
            0..=TOP_IDS => return self.leaf_for(self.tree.node(root).id, name),
            id => (
                id,
                if name.is_empty() {
                    format!("Category {id}")
                } else {
                    name.to_owned()
                },
            ),
        };
        let url_key = slug(&name);
        self.tree.add(Some(root), id, name, url_key).unwrap_or(root)
    }

    fn stray_root(&mut self) -> usize {
        if let Some(root) = self.stray_root {
            return root;
        }
        let name = format!("Not in the recorded tree {ROOT_MARK}");
        let id = self.invented_id();
        let url_key = slug(&name);
        let root = self.tree.add(None, id, name, url_key).unwrap_or(0);
        // A leaf of its own keeps it from being one.
        let label = format!("Without a category {LEAF_MARK}");
        let leaf = self.invented_id();
        self.tree.add(Some(root), leaf, label.clone(), slug(&label));
        self.stray_root = Some(root);
        root
    }

    /// Ids that no recorded category has.
    fn invented_id(&mut self) -> u64 {
        loop {
            self.next_id += 1;
            if self.tree.place(self.next_id).is_none() {
                return self.next_id;
            }
        }
    }
}

fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// `slug` of `…/slug/c123`.
fn url_key(link: Option<&str>) -> Option<String> {
    let mut parts = link?.rsplit('/');
    parts.next()?.strip_prefix('c')?;
    parts
        .next()
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
}
