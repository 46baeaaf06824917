//! The tree of a generated catalogue and how many products each leaf is given.

use crate::draw::{Draw, Topic};
use crate::generated::domains::{DOMAINS, Domain};
use crate::generated::words::{GROUPS, QUALIFIERS};
use crate::settings::Generated;
use crate::slug::slug;
use crate::tree::Tree;

/// First id of the invented categories below the roots; the real ones of 2023 end near 71,000.
const FIRST_CATEGORY: u64 = 80_000;
/// Leafs that a small catalogue promises enough products in.
const DEMO_LEAFS: usize = 5;
/// Products each of them gets at least, if there are that many.
const DEMO_LEAF_SIZE: u64 = 110;
/// Deepest level of a leaf, as in the tree of 2023.
const MAX_LEAF_LEVEL: u8 = 6;

/// What a leaf sells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeafKind {
    domain: usize,
    noun: usize,
}

impl LeafKind {
    pub(crate) fn domain(self) -> &'static Domain {
        &DOMAINS[self.domain % DOMAINS.len()]
    }

    pub(crate) fn noun(self) -> &'static str {
        let nouns = &self.domain().nouns;
        nouns[self.noun % nouns.len()]
    }
}

/// How many leafs a catalogue has when nobody says.
pub(crate) fn default_leafs(products: u64) -> u32 {
    let leafs = match products {
        ..500 => (products / 50).clamp(2, 5),
        500..660 => 5,
        660..1_000 => 6,
        1_000..10_000 => products / 150,
        _ => 66 + (products - 10_000) / 480,
    };
    leafs.min(2_300) as u32
}

/// Grows the tree and says what each leaf sells, in depth-first order.
pub(crate) fn grow(settings: &Generated, leafs: usize, draw: Draw) -> (Tree, Vec<LeafKind>) {
    let mut grower = Grower {
        tree: Tree::default(),
        kinds: Vec::with_capacity(leafs),
        next_id: FIRST_CATEGORY,
        draw: draw.of(Topic::Tree),
    };
    let roots = (leafs / 2).min(leafs / 4 + 2).clamp(1, DOMAINS.len());
    let first = usize::from(!settings.seed.is_multiple_of(2));
    let mut left = leafs;
    for at in 0..roots {
        let domain = if at < 2 { (at + first) % 2 } else { at };
        // Wide roots beside narrow ones, but each root gets its two leafs.
        let others = roots - at - 1;
        let mean = left / (others + 1);
        let wide = grower.draw.at(at as u64).between(50, 170).unsigned_abs() as usize;
        let most = left.saturating_sub(others * 2).max(1);
        let share = if others == 0 {
            left
        } else {
            (mean * wide / 100).clamp(most.min(2), most)
        };
        left -= share;
        let Domain { root, name, .. } = &DOMAINS[domain];
        let place = grower.tree.add(None, *root, (*name).to_owned(), slug(name));
        if let Some(place) = place {
            let mut cut = Cut {
                domain,
                first_leaf: 0,
            };
            grower.fill(place, 3, share, &mut cut);
        }
    }
    grower.tree.number_leafs();
    (grower.tree, grower.kinds)
}

struct Grower {
    tree: Tree,
    kinds: Vec<LeafKind>,
    next_id: u64,
    draw: Draw,
}

/// Where in a root the growing is.
struct Cut {
    domain: usize,
    first_leaf: usize,
}

impl Grower {
    /// Puts `leafs` leafs under `place`, at `level` or deeper.
    fn fill(&mut self, place: usize, level: u8, leafs: usize, cut: &mut Cut) {
        let mut left = leafs;
        while left > 0 {
            let draw = self.draw.at(self.next_id);
            let widest = match level {
                3 => (leafs / 4).max(2),
                4 => 9,
                5 => 4,
                _ => 1,
            };
            let group = if draw.one_in(3) {
                1
            } else {
                1 + draw.at(1).below(widest as u64) as usize
            };
            let group = group.min(left);
            if level >= MAX_LEAF_LEVEL || group == 1 || (group == leafs && level > 3) {
                for _ in 0..group {
                    self.leaf(place, cut);
                }
            } else if let Some(inner) = self.inner(place, cut) {
                self.fill(inner, level + 1, group, cut);
            }
            left -= group;
        }
    }

    fn leaf(&mut self, parent: usize, cut: &mut Cut) {
        let nouns = DOMAINS[cut.domain].nouns.len();
        let noun = cut.first_leaf % nouns;
        let round = cut.first_leaf / nouns;
        cut.first_leaf += 1;
        let kind = LeafKind {
            domain: cut.domain,
            noun,
        };
        let mut name = kind.noun().to_owned();
        let qualifier = QUALIFIERS[round % QUALIFIERS.len()];
        if !qualifier.is_empty() {
            name = format!("{name} {qualifier}");
        }
        if round >= QUALIFIERS.len() {
            name = format!("{name} {}", round / QUALIFIERS.len() + 1);
        }
        if self.add(parent, name).is_some() {
            self.kinds.push(kind);
        }
    }

    fn inner(&mut self, parent: usize, cut: &Cut) -> Option<usize> {
        let group = self.draw.at(self.next_id).of(Topic::Name).word(&GROUPS);
        let nouns = &DOMAINS[cut.domain].nouns;
        let noun = nouns[cut.first_leaf % nouns.len()].to_lowercase();
        self.add(parent, format!("{group}: {noun}"))
    }

    fn add(&mut self, parent: usize, name: String) -> Option<usize> {
        let id = self.next_id;
        self.next_id += 1 + self.draw.at(id).below(4);
        let url_key = slug(&name);
        self.tree.add(Some(parent), id, name, url_key)
    }
}

/// How many products each leaf is the primary category of; adds up to `products`. Long-tailed:
/// a few leafs are large, most are small, in a large catalogue some are empty.
pub(crate) fn leaf_sizes(products: u64, leafs: usize, draw: Draw) -> Vec<u64> {
    let draw = draw.of(Topic::LeafSize);
    let share = products / leafs.max(1) as u64;
    let promised = |at: usize| match (products, leafs) {
        (2_000.., _) if at < DEMO_LEAFS => DEMO_LEAF_SIZE,
        (500.., ..20) => DEMO_LEAF_SIZE.min(share),
        (_, ..30) => share.min(1),
        _ => 0,
    };
    let mut sizes: Vec<u64> = vec![0; leafs];
    let mut left = products;
    for (at, size) in sizes.iter_mut().enumerate() {
        *size = promised(at).min(left);
        left -= *size;
    }
    let weights: Vec<u64> = (0..leafs as u64)
        .map(|at| {
            if leafs >= 30 && at >= DEMO_LEAFS as u64 && draw.at(at).one_in(40) {
                return 0;
            }
            // A power law by a drawn rank: weight = 1/(rank + 4).
            1_000_000 / (draw.of(Topic::Order).at(at).below(leafs as u64) + 4)
        })
        .collect();
    let all: u128 = weights
        .iter()
        .map(|weight| u128::from(*weight))
        .sum::<u128>()
        .max(1);
    let to_share = left;
    for (size, weight) in sizes.iter_mut().zip(&weights) {
        let share = (u128::from(to_share) * u128::from(*weight) / all) as u64;
        *size += share;
        left -= share;
    }
    // What rounding left over goes to the first leafs with a weight, one each, round and round.
    let open: Vec<usize> = (0..leafs).filter(|at| weights[*at] > 0).collect();
    for at in 0..left as usize {
        if let Some(leaf) = open.get(at % open.len().max(1)) {
            sizes[*leaf] += 1;
        }
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(products: u64) -> (Tree, Vec<LeafKind>, Vec<u64>) {
        let settings = Generated {
            products,
            ..Generated::default()
        };
        let leafs = default_leafs(products) as usize;
        let (tree, kinds) = grow(&settings, leafs, Draw::new(7));
        let sizes = leaf_sizes(products, tree.leafs().len(), Draw::new(7));
        (tree, kinds, sizes)
    }

    #[test]
    fn a_tree_has_the_leafs_it_was_asked_for_and_gives_away_every_product() {
        for products in [10, 100, 499, 500, 700, 3_000, 20_000, 1_000_000, 10_000_000] {
            let (tree, kinds, sizes) = shape(products);
            assert_eq!(
                tree.leafs().len(),
                default_leafs(products) as usize,
                "{products}"
            );
            assert_eq!(kinds.len(), tree.leafs().len(), "{products}");
            assert_eq!(sizes.iter().sum::<u64>(), products, "{products}");
            let deepest = tree.leafs().iter().map(|leaf| tree.node(*leaf).level).max();
            assert!(deepest <= Some(MAX_LEAF_LEVEL), "{products}: {deepest:?}");
        }
    }

    #[test]
    fn a_small_catalogue_fills_its_first_five_leafs() {
        for products in [
            500, 550, 659, 660, 700, 999, 1_000, 2_000, 3_000, 3_500, 50_000,
        ] {
            let (_, _, sizes) = shape(products);
            assert!(
                sizes[..5].iter().all(|size| *size >= 100),
                "{products}: {sizes:?}"
            );
        }
    }

    #[test]
    fn a_large_catalogue_has_the_shape_of_the_site() {
        let (tree, _, sizes) = shape(1_000_000);
        assert_eq!(tree.roots().len(), 26);
        assert!(sizes.iter().any(|size| *size > 2_000));
        assert!(sizes.contains(&0));
        let levels: std::collections::BTreeSet<u8> = tree
            .leafs()
            .iter()
            .map(|leaf| tree.node(*leaf).level)
            .collect();
        assert!(levels.len() >= 3, "{levels:?}");
    }
}
