//! An imagined site with one category, and a worker that lists it to the end.
//!
//! Not here: a site that is asked by HTTP (`storefront`).

use std::collections::{BTreeMap, HashMap};

use catalog::{Category, ListingAnswer, Order, Product, Slice, WINDOW};
use serde_json::{Value, json};
use warehouse::{
    Attempt, Identities, ListingAsk, ListingOutcome, ListingResult, NewPage, PageKind,
    PlannedProduct, Transformed, Walk, Warehouse,
};

use crate::store::{Store, at, merge, transformed_batch};

pub(crate) const CATEGORY: i64 = 7;
pub(crate) const LISTING_STEP: &str = "extract-product-urls";
const PER_PAGE: usize = 40;
/// Values that the site names of a filter at most.
const NAMED: usize = 30;

#[derive(Clone, Copy)]
pub(crate) struct Good {
    pub(crate) id: i64,
    pub(crate) price: i64,
    pub(crate) brand: i64,
    pub(crate) seller: i64,
}

/// What the site has, and what is wrong with it.
#[derive(Clone, Default)]
pub(crate) struct Shop {
    pub(crate) goods: Vec<Good>,
    /// A first look meets another product in the place of these.
    pub(crate) moved: Vec<i64>,
    /// A second look does so as well.
    pub(crate) restless: bool,
    /// Pages that never answer.
    pub(crate) failing: Vec<(Slice, i64)>,
    /// No page says how many there are.
    pub(crate) silent: bool,
    /// Items without an id at the end of each first page.
    pub(crate) nameless: usize,
    /// When it is asked, in minutes.
    pub(crate) minute: i64,
}

impl Shop {
    /// Goods 1 to `count`; the price of each by its id, 30 brands and 20 sellers in turns.
    pub(crate) fn of(count: i64, price: impl Fn(i64) -> i64) -> Self {
        let good = |id| Good {
            id,
            price: price(id),
            brand: 100 + id % 30,
            seller: 500 + id % 20,
        };
        Self {
            goods: (1..=count).map(good).collect(),
            minute: 1,
            ..Self::default()
        }
    }

    /// The body of a page.
    pub(crate) fn body(&self, slice: &Slice, page: i64) -> Vec<u8> {
        let found = self.found(slice);
        let shown = found.len().min(WINDOW as usize);
        let skip = (page as usize - 1) * PER_PAGE;
        let on_page = found.iter().take(shown).skip(skip).take(PER_PAGE);
        let hides = !slice.again || self.restless;
        let mut data: Vec<Value> = on_page
            .map(|good| {
                if hides && self.moved.contains(&good.id) {
                    item(&self.goods[0])
                } else {
                    item(good)
                }
            })
            .collect();
        if page == 1 {
            data.extend((0..self.nameless).map(|_| json!({"name": "?"})));
        }
        let mut body = json!({
            "data": data,
            "filters": [filter("brand", &found, |good| good.brand),
                filter("seller", &found, |good| good.seller)],
        });
        if !self.silent {
            body["paging"] = json!({"current_page": page, "last_page": shown.div_ceil(PER_PAGE),
                "per_page": PER_PAGE, "total": shown});
        }
        body.to_string().into_bytes()
    }

    fn found(&self, slice: &Slice) -> Vec<Good> {
        let fits = |good: &&Good| {
            let (low, high) = slice.price.unwrap_or((0, i64::MAX));
            (low..=high).contains(&good.price)
                && slice.brand.is_none_or(|brand| brand == good.brand)
                && slice.seller.is_none_or(|seller| seller == good.seller)
        };
        let mut found: Vec<Good> = self.goods.iter().filter(fits).copied().collect();
        match slice.order {
            Order::TopSeller => {}
            Order::Newest => found.reverse(),
            Order::Popular => found.sort_by_key(|good| good.id * 7919 % 10_007),
            Order::Cheapest => found.sort_by_key(|good| (good.price, good.id)),
            Order::Dearest => found.sort_by_key(|good| (-good.price, good.id)),
        }
        found
    }
}

fn item(good: &Good) -> Value {
    json!({"id": good.id, "seller_product_id": good.id * 10, "seller_id": good.seller,
        "name": format!("Sản phẩm {}", good.id), "url_path": format!("p{}.html", good.id),
        "price": good.price, "brand_name": format!("Hãng {}", good.brand)})
}

/// The largest values of a filter, as the site names them.
fn filter(code: &str, found: &[Good], of: impl Fn(&Good) -> i64) -> Value {
    let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
    for good in found {
        *counts.entry(of(good)).or_default() += 1;
    }
    let mut counts: Vec<(i64, i64)> = counts.into_iter().collect();
    counts.sort_by_key(|(id, count)| (-count, *id));
    let values: Vec<Value> = counts
        .iter()
        .take(NAMED)
        .map(|(id, count)| json!({"query_value": id.to_string(), "count": count}))
        .collect();
    json!({"query_name": code, "code": code, "values": values})
}

/// A run that takes the category, of which the tree announces so many products; its listing has begun.
pub(crate) async fn begin(store: &Store, run: &str, announced: i64, limit: i64) -> Attempt {
    store.create_run(run).await;
    take_category(store, run, announced).await;
    let attempt = store.attempt(run, LISTING_STEP).await;
    let begun = store.warehouse.begin_listing(&attempt, limit).await;
    begun.expect("a beginning");
    attempt
}

async fn take_category(store: &Store, run: &str, announced: i64) {
    let attempt = store.attempt(run, "crawl-categories").await;
    let warehouse = &store.warehouse;
    let begun = warehouse.begin_walk(&attempt, &[2]).await;
    begun.expect("a walk");
    let walk = warehouse.next_categories(&attempt, 0, 9).await;
    let Walk::Ask(nodes) = walk.expect("an answer") else {
        panic!("nothing to ask")
    };
    let leaf = Category {
        id: CATEGORY,
        parent_id: Some(2),
        name: "Sách".into(),
        url: "https://tiki.vn/sach/c7".into(),
        url_key: "sach".into(),
        level: 2,
        is_leaf: true,
        product_count: announced,
    };
    let kept = warehouse
        .commit_category(&attempt, &nodes[0], None, &[leaf], &[], at(0))
        .await;
    kept.expect("a leaf");
    let taken = warehouse.select_leaves(&attempt, 0, &[]).await;
    assert_eq!(taken.expect("a count"), 1);
    store.end(&attempt).await;
}

/// Claims up to `n` pages; none: nothing may be asked now.
pub(crate) async fn claim(warehouse: &Warehouse, attempt: &Attempt, n: i64) -> Vec<ListingAsk> {
    let claimed = warehouse.next_listings(attempt, n).await;
    match claimed.expect("an answer") {
        ListingOutcome::Ask(asks) => asks,
        ListingOutcome::Wait | ListingOutcome::Done => Vec::new(),
    }
}

/// Brings what the shop says of a claimed page; one that never answers is given up.
pub(crate) async fn bring(
    warehouse: &Warehouse,
    attempt: &Attempt,
    shop: &Shop,
    asked: &ListingAsk,
    limit: i64,
) {
    if shop.failing.contains(&(asked.slice, asked.page)) {
        let failed = warehouse.fail_listing(attempt, asked, "503", None, true, limit);
        return failed.await.expect("given up");
    }
    let body = shop.body(&asked.slice, asked.page);
    let answer: ListingAnswer = catalog::parse_listing(&body).expect("a listing");
    let page = NewPage {
        kind: PageKind::Listing,
        subject: asked.category_id,
        source: "api",
        encoding: catalog::Encoding::Identity,
        body,
        fetched_at: at(shop.minute),
    };
    let result = ListingResult {
        page,
        answer: &answer,
        limit,
        shapes: &[],
    };
    let kept = warehouse.commit_listing(attempt, asked, result).await;
    kept.expect("kept");
}

/// Asks until no page is left; the pages in the order in which they were asked.
pub(crate) async fn ask_all(
    warehouse: &Warehouse,
    attempt: &Attempt,
    shop: &Shop,
    limit: i64,
) -> Vec<ListingAsk> {
    let mut asked = Vec::new();
    loop {
        let asks = claim(warehouse, attempt, 50).await;
        if asks.is_empty() {
            return asked;
        }
        for ask in asks {
            bring(warehouse, attempt, shop, &ask, limit).await;
            asked.push(ask);
        }
    }
}

/// Asks until nothing is missing that another look could bring.
pub(crate) async fn list(
    store: &Store,
    attempt: &Attempt,
    shop: &Shop,
    limit: i64,
) -> Vec<ListingAsk> {
    let mut asked = Vec::new();
    loop {
        asked.extend(ask_all(&store.warehouse, attempt, shop, limit).await);
        let more = store.warehouse.look_again(attempt).await;
        if !more.expect("an answer") {
            return asked;
        }
    }
}

/// Ends the listing and takes what was listed through the other steps, without a detail; the counts
/// of the run, all of which hold.
pub(crate) async fn end(store: &Store, attempt: &Attempt, limit: i64) -> Identities {
    let (warehouse, run) = (&store.warehouse, attempt.run.as_str());
    let settled = warehouse.settle_listing(attempt, limit).await;
    settled.expect("settled");
    store.end(attempt).await;
    plan_listed(store, run).await;
    stage_listed(store, run).await;
    store.load_staged(run, &merge()).await;
    store.finish_run(run).await;
    let counts = warehouse.identities(run).await.expect("counts");
    assert!(counts.broken().is_empty(), "{:?}", counts.broken());
    counts
}

async fn plan_listed(store: &Store, run: &str) {
    let attempt = store.attempt(run, "crawl-product-details").await;
    let mut after = 0;
    loop {
        let listed = store.warehouse.listed_products(run, after, 1000).await;
        let listed = listed.expect("products");
        let Some(last) = listed.last() else { break };
        after = last.product_id;
        let planned: Vec<PlannedProduct> = listed
            .into_iter()
            .map(|known| PlannedProduct {
                known,
                reason: None,
                rank: 0,
            })
            .collect();
        let stored = store.warehouse.commit_plan(&attempt, &planned, "listed");
        stored.await.expect("a stretch");
    }
    store.end(&attempt).await;
}

async fn stage_listed(store: &Store, run: &str) {
    let attempt = store.attempt(run, "transform-products").await;
    while let Some(claimed) = store
        .warehouse
        .next_to_transform(&attempt, 1000)
        .await
        .expect("a claim")
    {
        let staged: Vec<Transformed> = claimed
            .products
            .into_iter()
            .map(|product| {
                let (listing, page_id) = product.listing.expect("it is listed");
                let record = Product::new(Some(listing), None, product.listed_in, |_| false);
                Transformed::Staged {
                    product: Box::new(record.expect("a believed record")),
                    listing_page_id: Some(page_id),
                    detail_page_id: None,
                    detail_rejected: None,
                }
            })
            .collect();
        let stored = store.warehouse.commit_batch(
            &attempt,
            transformed_batch(claimed.batch, &staged),
            &[],
            at(1),
        );
        stored.await.expect("a staged batch");
    }
    store.end(&attempt).await;
}

/// How many pages were asked of each slice.
pub(crate) fn by_slice(asked: &[ListingAsk]) -> HashMap<Slice, usize> {
    let mut pages = HashMap::new();
    for ask in asked {
        *pages.entry(ask.slice).or_default() += 1;
    }
    pages
}
