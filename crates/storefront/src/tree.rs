//! The category tree, whichever catalogue it belongs to. Roots have level 2, as on the site.

use std::collections::HashMap;
use std::ops::Range;

/// Deepest level that is kept; the real tree ends at level 6.
pub(crate) const MAX_LEVEL: u8 = 12;

/// A category.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: u64,
    pub(crate) parent: Option<usize>,
    pub(crate) name: String,
    pub(crate) url_key: String,
    pub(crate) level: u8,
    pub(crate) children: Vec<usize>,
    /// The leafs under it, as numbers in depth-first order; a leaf holds itself.
    pub(crate) leafs: Range<usize>,
}

impl Node {
    pub(crate) fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }

    /// `slug/c<id>`, without a leading slash.
    pub(crate) fn url_path(&self) -> String {
        format!("{}/c{}", self.url_key, self.id)
    }
}

/// Categories by place; a place is an index that never leaves this process.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    by_id: HashMap<u64, usize>,
    roots: Vec<usize>,
    leafs: Vec<usize>,
}

impl Tree {
    /// Adds a category under `parent`; none when the id is taken or the parent is too deep.
    pub(crate) fn add(
        &mut self,
        parent: Option<usize>,
        id: u64,
        name: String,
        url_key: String,
    ) -> Option<usize> {
        let level = match parent {
            None => 2,
            Some(place) => self.nodes.get(place)?.level + 1,
        };
        if level > MAX_LEVEL || self.by_id.contains_key(&id) {
            return None;
        }
        let place = self.nodes.len();
        match parent.and_then(|above| self.nodes.get_mut(above)) {
            Some(above) => above.children.push(place),
            None => self.roots.push(place),
        }
        self.by_id.insert(id, place);
        self.nodes.push(Node {
            id,
            parent,
            name,
            url_key,
            level,
            children: Vec::new(),
            leafs: 0..0,
        });
        Some(place)
    }

    /// Numbers the leafs depth-first; to be called once, after the last `add`.
    pub(crate) fn number_leafs(&mut self) {
        self.leafs.clear();
        for root in self.roots.clone() {
            self.number_under(root);
        }
    }

    fn number_under(&mut self, place: usize) {
        let first = self.leafs.len();
        let children = self.nodes[place].children.clone();
        if children.is_empty() {
            self.leafs.push(place);
        }
        for child in children {
            self.number_under(child);
        }
        self.nodes[place].leafs = first..self.leafs.len();
    }

    pub(crate) fn node(&self, place: usize) -> &Node {
        &self.nodes[place]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn roots(&self) -> &[usize] {
        &self.roots
    }

    /// Places of the leafs in depth-first order.
    pub(crate) fn leafs(&self) -> &[usize] {
        &self.leafs
    }

    pub(crate) fn place(&self, id: u64) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// From the root down to `place`, both included.
    pub(crate) fn line(&self, place: usize) -> Vec<&Node> {
        let mut line = Vec::new();
        let mut next = Some(place);
        while let Some(at) = next {
            let node = &self.nodes[at];
            line.push(node);
            next = node.parent;
        }
        line.reverse();
        line
    }

    /// `1/2/<root>/…/<place>`, the site's `primary_category_path`.
    pub(crate) fn id_path(&self, place: usize) -> String {
        let ids: Vec<String> = self
            .line(place)
            .iter()
            .map(|node| node.id.to_string())
            .collect();
        format!("1/2/{}", ids.join("/"))
    }
}
