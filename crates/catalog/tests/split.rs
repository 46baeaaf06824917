//! Categories of more products than the site shows of a listing, listed whole.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::Write;

use catalog::{
    Facet, Facets, Listing, ListingAnswer, ListingItem, Order, PRICE_TOP, Paging, Slice, Split,
    WINDOW, crowded_more, split,
};
use proptest::prelude::*;

const PER_PAGE: i64 = 40;

fn item(product_id: i64, price: Option<i64>) -> ListingItem {
    ListingItem::Organic(Listing {
        product_id,
        price,
        ..Listing::default()
    })
}

fn answer(total: i64, prices: impl IntoIterator<Item = i64>) -> ListingAnswer {
    let items = prices.into_iter().enumerate();
    ListingAnswer {
        items: items
            .map(|(at, price)| item(at as i64 + 1, Some(price)))
            .collect(),
        paging: Some(Paging {
            current_page: 1,
            last_page: (total + PER_PAGE - 1) / PER_PAGE,
            per_page: PER_PAGE,
            total,
        }),
        facets: Facets::default(),
    }
}

fn window(low: i64, high: i64) -> Slice {
    Slice {
        price: Some((low, high)),
        ..Slice::default()
    }
}

#[track_caller]
fn check_windows(slice: &Slice, answer: &ListingAnswer, expected: &[(i64, i64)]) {
    let expected = expected.iter().map(|(low, high)| Slice {
        price: Some((*low, *high)),
        ..*slice
    });
    assert_eq!(
        split(slice, answer),
        Some(Split::Into(expected.collect())),
        "{slice}"
    );
}

#[test]
fn a_listing_below_the_window_is_read_page_by_page() {
    let whole = Slice::default();
    assert_eq!(
        split(&whole, &answer(WINDOW - 1, [5])),
        Some(Split::Pages { last: 50 })
    );
    assert_eq!(
        split(&whole, &answer(0, [])),
        Some(Split::Pages { last: 0 })
    );
    let silent = ListingAnswer {
        paging: None,
        ..answer(WINDOW, [5])
    };
    assert_eq!(split(&whole, &silent), None);
}

#[test]
fn a_full_listing_is_cut_at_the_quartiles_of_its_prices() {
    let whole = Slice::default();
    check_windows(
        &whole,
        &answer(WINDOW, [80, 10, 70, 20, 60, 30, 50, 40]),
        &[(0, 20), (21, 40), (41, 60), (61, PRICE_TOP)],
    );
    let again = Slice {
        again: true,
        ..window(10, 40)
    };
    check_windows(
        &again,
        &answer(WINDOW, [10, 20, 30, 40]),
        &[(10, 10), (11, 20), (21, 30), (31, 40)],
    );
}

#[test]
fn a_price_that_many_share_becomes_a_window_of_its_own() {
    let prices = [99, 99, 10, 20, 120, 130];
    check_windows(
        &window(5, 200),
        &answer(WINDOW, prices),
        &[(5, 98), (99, 99), (100, 200)],
    );
    check_windows(
        &window(99, 200),
        &answer(WINDOW, [99, 99, 120]),
        &[(99, 99), (100, 200)],
    );
    check_windows(
        &window(5, 99),
        &answer(WINDOW, [99, 99, 99]),
        &[(5, 98), (99, 99)],
    );
}

#[test]
fn without_prices_to_cut_at_the_geometric_middle_is_the_cut() {
    check_windows(
        &Slice::default(),
        &answer(WINDOW, []),
        &[(0, 99_999), (100_000, PRICE_TOP)],
    );
    check_windows(&window(7, 8), &answer(WINDOW, [7, 8]), &[(7, 7), (8, 8)]);
}

#[test]
fn one_price_a_brand_a_seller_or_an_order_cannot_be_cut() {
    let full = answer(WINDOW, [99; 40]);
    for slice in [
        "price=99,99",
        "price=0,99;brand=5",
        "seller=7",
        "order=newest",
    ] {
        assert_eq!(
            split(&slice.parse().unwrap(), &full),
            Some(Split::Crowded { last: 50 }),
            "{slice}"
        );
    }
}

#[test]
fn a_site_that_does_not_heed_windows_is_not_cut_on() {
    let outside = answer(WINDOW, [10, 20, 30, 40]);
    for slice in [window(100, 200), window(100, 100), window(40, 50)] {
        assert_eq!(
            split(&slice, &outside),
            Some(Split::Pages { last: 50 }),
            "{slice}"
        );
    }
    let unpriced = ListingAnswer {
        items: vec![item(1, None); 40],
        ..answer(WINDOW, [])
    };
    assert_eq!(
        split(&window(0, 100), &unpriced),
        Some(Split::Pages { last: 50 })
    );
}

#[test]
fn a_crowded_price_is_listed_by_brand_then_by_seller_then_in_other_orders() {
    let facet = |id, count| Facet { id, count };
    let facets = Facets {
        brands: vec![facet(5, Some(9)), facet(6, Some(0)), facet(7, None)],
        sellers: vec![facet(1, Some(2))],
    };
    let words = |slice: &str, level| -> Vec<String> {
        let more = crowded_more(&slice.parse().unwrap(), &facets, level);
        more.iter().map(Slice::to_string).collect()
    };
    let price = "price=9,9";
    assert_eq!(words(price, 1), ["price=9,9;brand=5", "price=9,9;brand=7"]);
    assert_eq!(words(price, 2), ["price=9,9;seller=1"]);
    let orders = ["price=9,9;order=newest", "price=9,9;order=default"];
    assert_eq!(words(price, 3), orders);
    let brand = "price=9,9;brand=5";
    assert_eq!(words(brand, 1), [""; 0]);
    assert_eq!(words(brand, 2), ["price=9,9;brand=5;seller=1"]);
    assert_eq!(words(brand, 3).len(), 2);
    assert_eq!(words("brand=5", 3).len(), 4, "prices differ");
    for (slice, level) in [(price, 0), (price, 4), ("price=9,9;order=newest", 1)] {
        assert_eq!(words(slice, level), [""; 0]);
    }
}

proptest! {
    #[test]
    fn windows_are_disjoint_and_smaller_and_cover_the_slice(
        low in 0_i64..1_000_000,
        width in prop_oneof![1_i64..50, 1_i64..PRICE_TOP],
        places in prop::collection::vec(0.0..=1.0_f64, 0..40),
        round in prop::sample::select(vec![1_i64, 10, 1_000, 100_000]),
    ) {
        let high = low + width;
        let price = |place: f64| ((low as f64 + place * width as f64) as i64 / round * round)
            .clamp(low, high);
        let mut prices: Vec<i64> = places.into_iter().map(price).collect();
        prices.push(low);
        let Some(Split::Into(parts)) = split(&window(low, high), &answer(WINDOW, prices)) else {
            return Err(TestCaseError::fail("not cut"));
        };
        prop_assert!((2..=4).contains(&parts.len()));
        let mut next = low;
        for part in parts {
            let (from, to) = part.price.unwrap();
            prop_assert_eq!(from, next);
            prop_assert!(to >= from && to - from < width);
            next = to + 1;
        }
        prop_assert_eq!(next, high + 1);
    }

    #[test]
    fn no_numbers_of_a_site_break_a_split(
        price in any::<Option<(i64, i64)>>(),
        total in any::<i64>(),
        prices in prop::collection::vec(any::<i64>(), 0..5),
    ) {
        let slice = Slice { price, ..Slice::default() };
        let mut answer = answer(2_000, prices);
        answer.paging = answer.paging.map(|paging| Paging { total, ..paging });
        if let Some(Split::Into(parts)) = split(&slice, &answer) {
            prop_assert!(parts.iter().all(|part| part.price.is_some() && part.price != price));
        }
    }
}

/// Numbers that look like chance, the same in every run (SplitMix64).
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.number()).sum::<f64>() - 6.0
    }

    /// 1 to `n`, the first far more often than the last.
    fn long_tailed(&mut self, sums: &[f64]) -> i64 {
        let at = self.number() * sums.last().unwrap();
        sums.partition_point(|sum| *sum <= at) as i64 + 1
    }
}

fn tail(n: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let add = |rank: usize| {
        sum += 1.0 / rank as f64;
        sum
    };
    (1..=n).map(add).collect()
}

struct Item {
    id: i64,
    price: i64,
    brand: i64,
    seller: i64,
    sales: f64,
    weight: f64,
}

/// What the site shows of a slice: ids and prices, and the facets of all.
struct Shown {
    items: Vec<(i64, i64)>,
    facets: Facets,
}

/// A category on a site with the rules of the real one.
struct Site {
    /// The cheapest first.
    items: Vec<Item>,
    shown: HashMap<Slice, Shown>,
    requests: i64,
}

/// Prices that thousands of products share, and how many.
const CROWDS: [(i64, usize); 5] = [
    (99_000, 5_000),
    (199_000, 4_000),
    (149_000, 3_000),
    (299_000, 2_500),
    (49_000, 2_000),
];
const PRODUCTS: usize = 50_000;

impl Site {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let (brands, sellers) = (tail(60), tail(1_250));
        let crowds = CROWDS.iter();
        let crowded = crowds.flat_map(|(price, count)| std::iter::repeat_n(*price, *count));
        let mut prices: Vec<i64> = crowded.collect();
        while prices.len() < PRODUCTS {
            let price = (12.34 + 1.2 * chance.normal()).exp();
            prices.push((price as i64 / 1_000).max(1) * 1_000);
        }
        prices.sort_unstable();
        let item = |(at, price): (usize, i64)| Item {
            id: at as i64 + 1,
            price,
            brand: if chance.number() < 0.3 {
                100
            } else {
                chance.long_tailed(&brands)
            },
            seller: chance.long_tailed(&sellers),
            // What is cheap sells more, so the best sellers are no fair sample.
            sales: chance.normal() * 1.5 - (price as f64).ln() * 0.5,
            weight: chance.number(),
        };
        Self {
            items: prices.into_iter().enumerate().map(item).collect(),
            shown: HashMap::new(),
            requests: 0,
        }
    }

    fn matches(&self, slice: &Slice) -> Vec<&Item> {
        let (low, high) = slice.price.unwrap_or((0, i64::MAX));
        let from = self.items.partition_point(|item| item.price < low);
        let to = self.items.partition_point(|item| item.price <= high);
        let wanted = |item: &&Item| {
            slice.brand.is_none_or(|brand| brand == item.brand)
                && slice.seller.is_none_or(|seller| seller == item.seller)
        };
        let mut items: Vec<&Item> = self.items[from..to].iter().filter(wanted).collect();
        let place = |item: &Item| match slice.order {
            Order::TopSeller => -item.sales,
            Order::Newest => (item.id * 7_919 % 50_021) as f64,
            Order::Popular => item.weight - item.sales * 0.02,
            Order::Cheapest => item.price as f64,
            Order::Dearest => -item.price as f64,
        };
        items.sort_by(|a, b| place(a).total_cmp(&place(b)));
        items
    }

    fn facet(items: &[&Item], of: impl Fn(&Item) -> i64) -> Vec<Facet> {
        let mut counts = BTreeMap::<i64, i64>::new();
        for item in items {
            *counts.entry(of(item)).or_default() += 1;
        }
        let mut facets: Vec<Facet> = counts
            .into_iter()
            .map(|(id, count)| Facet {
                id,
                count: Some(count),
            })
            .collect();
        facets.sort_by_key(|facet| -facet.count.unwrap());
        facets.truncate(30);
        facets
    }

    fn ask(&mut self, slice: &Slice, page: i64) -> ListingAnswer {
        self.requests += 1;
        if !self.shown.contains_key(slice) {
            let items = self.matches(slice);
            let facets = Facets {
                brands: Self::facet(&items, |item| item.brand),
                sellers: Self::facet(&items, |item| item.seller),
            };
            let items = items.iter().map(|item| (item.id, item.price));
            let items = items.take(WINDOW as usize).collect();
            self.shown.insert(*slice, Shown { items, facets });
        }
        let Shown { items, facets } = &self.shown[slice];
        let start = (((page - 1) * PER_PAGE) as usize).min(items.len());
        let page = items[start..].iter().take(PER_PAGE as usize);
        let mut answer = answer(items.len() as i64, []);
        answer.items = page.map(|(id, price)| item(*id, Some(*price))).collect();
        answer.facets.clone_from(facets);
        answer
    }
}

/// What reads a category to its end.
struct Reader {
    site: Site,
    listed: HashSet<i64>,
    asked: HashSet<Slice>,
    crowded: Vec<(Slice, Facets)>,
    /// What all slices showed: few brands are rare everywhere.
    facets: Facets,
}

impl Reader {
    fn read(&mut self, slices: Vec<Slice>) {
        let mut waiting = VecDeque::from(slices);
        while let Some(slice) = waiting.pop_front() {
            if !self.asked.insert(slice) {
                continue;
            }
            let first = self.page(&slice, 1);
            self.facets.merge(&first.facets);
            let last = match split(&slice, &first).unwrap() {
                Split::Into(parts) => {
                    waiting.extend(parts);
                    continue;
                }
                Split::Pages { last } => last,
                Split::Crowded { last } => {
                    self.crowded.push((slice, first.facets));
                    last
                }
            };
            for page in 2..=last {
                self.page(&slice, page);
            }
        }
    }

    fn page(&mut self, slice: &Slice, page: i64) -> ListingAnswer {
        let answer = self.site.ask(slice, page);
        for item in &answer.items {
            if let ListingItem::Organic(listing) = item {
                self.listed.insert(listing.product_id);
            }
        }
        answer
    }
}

#[test]
fn a_category_of_fifty_thousand_products_is_listed_whole() {
    for seed in 1..=2 {
        let mut reader = Reader {
            site: Site::new(seed),
            listed: HashSet::new(),
            asked: HashSet::new(),
            crowded: Vec::new(),
            facets: Facets::default(),
        };
        reader.read(vec![Slice::default()]);
        let mut story = vec![(reader.listed.len(), reader.site.requests)];
        for level in 1..=3 {
            if reader.listed.len() >= PRODUCTS {
                break;
            }
            for (slice, mut facets) in reader.crowded.clone() {
                let sellers = facets.sellers.clone();
                facets.merge(&reader.facets);
                facets.sellers = sellers;
                reader.read(crowded_more(&slice, &facets, level));
            }
            story.push((reader.listed.len(), reader.site.requests));
        }
        writeln!(
            std::io::stdout(),
            "seed {seed}: (listed, requests) after each level: {story:?}"
        )
        .unwrap();
        assert!(reader.listed.len() * 1_000 >= PRODUCTS * 999, "{story:?}");
        let ideal = PRODUCTS as i64 / PER_PAGE;
        assert!(reader.site.requests * 10 <= ideal * 22, "{story:?}");
    }
}
