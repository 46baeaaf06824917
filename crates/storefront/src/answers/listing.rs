//! L1, L2 and L3: a page of a category.
//!
//! The paging law: the total is what there is, at most 2,000; past the last page come 200s
//! without data. Advertised items repeat organic ones and come on top of the page's limit.

use std::ops::Range;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::answers::categories;
use crate::draw::{Draw, Topic};
use crate::query::{Listing, Parameters, Sort, WINDOW};
use crate::reply::Reply;
use crate::site::{Facet, MAX_ADS, Site, Window};

/// The delivery zone that anonymous visitors get.
const DEFAULT_ZONE: &str = "VN039006001";
/// Advertised items are among the first so many of the category.
const AD_POOL: usize = 200;

/// A page before it takes the shape of the API or of the HTML page.
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    pub(crate) paging: Value,
    /// The real size of the category, which the paging hides above 2,000.
    pub(crate) real_total: u64,
    pub(crate) window: Arc<Window>,
    pub(crate) trace_id: String,
}

/// Answers L1, L2 and L3. A search (`q`) finds nothing here; neither a category nor a search is a
/// 400 (invented).
pub(crate) fn listing(site: &Site, parameters: &Parameters, moved: i64, day: i64) -> Reply {
    let Some(category) = parameters.number::<u64>("category") else {
        if parameters.get("q").is_some() {
            return Reply::json(&envelope(
                site,
                None,
                empty_page(),
                &Listing::of(parameters),
                day,
            ));
        }
        return Reply::error(StatusCode::BAD_REQUEST, "category is missing or no number");
    };
    let query = Listing {
        moved,
        ..Listing::of(parameters)
    };
    let place = site.tree().place(category);
    let page = match place {
        Some(place) => page(site, place, parameters, &query, day),
        None => empty_page(),
    };
    Reply::json(&envelope(site, place, page, &query, day))
}

fn empty_page() -> Page {
    Page {
        items: Vec::new(),
        paging: paging(0, 1, 40, 0),
        real_total: 0,
        window: Arc::default(),
        trace_id: String::new(),
    }
}

/// The items of a page, advertised ones mixed in.
pub(crate) fn page(
    site: &Site,
    place: usize,
    parameters: &Parameters,
    query: &Listing,
    day: i64,
) -> Page {
    let window = site.window(place, query, day);
    let from = (query.page - 1)
        .saturating_mul(query.limit)
        .min(WINDOW as u64) as usize;
    let till = (from + query.limit as usize).min(window.ids.len());
    let organic = shown(&window.ids, from..till, query.moved);
    let category = site.tree().node(place).id;
    let draw = Draw::new(category).of(Topic::Ad).on(day).at(query.page);
    let trace_id = format!("{:016x}", draw.bits());
    let ads = if query.ads && !organic.is_empty() {
        advertised(&window, draw)
    } else {
        Vec::new()
    };
    let mut request = Request {
        category,
        parameters,
        trace_id: &trace_id,
        position: 0,
    };
    let mut items = Vec::with_capacity(organic.len() + ads.len());
    for (id, is_ad) in mixed(&organic, &ads) {
        if let Some(mut item) = site.item(id, day) {
            request.position += 1;
            request.mark(&mut item, is_ad);
            items.push(item);
        }
    }
    let paging = paging(
        window.ids.len() as u64,
        query.page,
        query.limit,
        organic.len() as u64,
    );
    Page {
        items,
        paging,
        real_total: window.total,
        window,
        trace_id,
    }
}

/// The ids at `range` once `moved` of them have gone from the front to the end.
fn shown(ids: &[u64], range: Range<usize>, moved: i64) -> Vec<u64> {
    let count = ids.len();
    if count == 0 {
        return Vec::new();
    }
    let first = moved.rem_euclid(count as i64) as usize;
    range
        .filter_map(|at| ids.get((first + at) % count).copied())
        .collect()
}

/// Up to 15 products, at most a quarter of the window, each once.
fn advertised(window: &Window, draw: Draw) -> Vec<u64> {
    let most = (window.ids.len() / 4).min(MAX_ADS);
    let pool = window.ids.len().min(AD_POOL) as u64;
    let mut chosen = Vec::with_capacity(most);
    for at in 0..4 * most as u64 {
        let id = window.ids.get(draw.at(at).below(pool) as usize);
        if let Some(id) = id.filter(|id| chosen.len() < most && !chosen.contains(*id)) {
            chosen.push(*id);
        }
    }
    chosen
}

/// Advertised items stand at 0–4, 10–14 and 20–24, as on the site.
fn mixed(organic: &[u64], ads: &[u64]) -> Vec<(u64, bool)> {
    let mut organic = organic.iter().map(|id| (*id, false)).peekable();
    let mut ads = ads.iter().map(|id| (*id, true));
    let mut all = Vec::new();
    loop {
        let for_ads = matches!(all.len(), 0..=4 | 10..=14 | 20..=24);
        let ad = if for_ads || organic.peek().is_none() {
            ads.next()
        } else {
            None
        };
        match ad.or_else(|| organic.next()) {
            Some(entry) => all.push(entry),
            None => return all,
        }
    }
}

/// What an item says about the request it answers.
struct Request<'a> {
    category: u64,
    parameters: &'a Parameters,
    trace_id: &'a str,
    position: u64,
}

impl Request<'_> {
    fn mark(&self, item: &mut Value, is_ad: bool) {
        let Some(item) = item.as_object_mut() else {
            return;
        };
        // A recorded item keeps what it said about its own request.
        if is_ad || !item.contains_key("impression_info") {
            let impression = self.impression(item, is_ad);
            item.insert("impression_info".to_owned(), impression);
        }
        if is_ad {
            let spid = item
                .get("seller_product_id")
                .cloned()
                .unwrap_or(Value::Null);
            item.insert("advertisement".to_owned(), advertisement(&spid));
        }
    }

    fn impression(&self, item: &Map<String, Value>, is_ad: bool) -> Value {
        let field = |name: &str| item.get(name).cloned().unwrap_or(Value::Null);
        let asked: Map<String, Value> = self
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        let sold = item.get("quantity_sold").and_then(|sold| sold.get("value"));
        json!([{
            "impression_id": format!("storefront-{}-{}", self.trace_id, self.position),
            "metadata": {
                "mpid": field("id"),
                "spid": field("seller_product_id"),
                "price": field("price"),
                "discount_rate": field("discount_rate"),
                "rating": field("rating_average"),
                "quantity_sold": sold.cloned().unwrap_or(json!(0)),
                "position": self.position,
                "is_ad": u8::from(is_ad),
                "category": self.category,
                "delivery_zone": DEFAULT_ZONE,
                "request_id": self.trace_id,
                "params": asked,
                "flags": {},
            },
            "checksum": "",
        }])
    }
}

fn advertisement(spid: &Value) -> Value {
    json!({ "ad": [{
        "clickUrl": "//127.0.0.1/pixel/click",
        "impUrl": "//127.0.0.1/pixel/impression",
        "trueImpUrl": "//127.0.0.1/pixel/seen",
        "properties": { "product_id": spid.to_string(), "cta": "Xem thêm" },
        "type": "ProductAdvertType",
    }] })
}

fn paging(total: u64, page: u64, limit: u64, shown: u64) -> Value {
    let before = (page - 1).saturating_mul(limit);
    let (from, to) = match shown {
        0 => (0, 0),
        _ => (before.saturating_add(1), before.saturating_add(shown)),
    };
    json!({
        "current_page": page,
        "from": from,
        "last_page": total.div_ceil(limit.max(1)),
        "per_page": limit,
        "to": to,
        "total": total,
    })
}

fn envelope(site: &Site, place: Option<usize>, page: Page, query: &Listing, day: i64) -> Value {
    let title = place.map_or("", |place| site.tree().node(place).name.as_str());
    let is_ad = |item: &&Value| !item["advertisement"].is_null();
    let ads = page.items.iter().filter(is_ad).count();
    let filters = filters(site, place, &page.window, day);
    let mut envelope = json!({
        "block": { "code": "tiki_listing", "title": title, "icon": "" },
        "amplitude": {
            "number_of_sponsored_product_ad": ads.to_string(),
            "selected_sort_option": "",
            "user_strategy": "",
        },
        "sort_options": sort_options(query.sort),
        "widgets": [],
        "experiment_variants": {},
        "model_debug": null,
        "trace_id": page.trace_id,
        "items": [],
    });
    // Moved in: inside `json!` they would be copied.
    if let Some(map) = envelope.as_object_mut() {
        map.insert("data".to_owned(), Value::Array(page.items));
        map.insert("paging".to_owned(), page.paging);
        map.insert("filters".to_owned(), Value::Array(filters));
    }
    envelope
}

pub(crate) fn sort_options(selected: Sort) -> Vec<Value> {
    Sort::ALL
        .iter()
        .map(|(sort, value, display)| {
            json!({ "query_value": value, "display_value": display,
                "selected": *sort == selected })
        })
        .collect()
}

/// Filters with their values: ints for categories and sellers, strings for all others.
pub(crate) fn filters(site: &Site, place: Option<usize>, window: &Window, day: i64) -> Vec<Value> {
    let Some(place) = place else {
        return Vec::new();
    };
    let node = site.tree().node(place);
    let categories: Vec<Value> = categories::children(site, node.id)
        .iter()
        .map(|child| {
            let child_node = site.tree().node(*child);
            json!({ "display_value": child_node.name, "count": site.product_count(*child, day),
                "query_value": child_node.id, "url_key": child_node.url_key, "selected": false })
        })
        .collect();
    let counted = |facets: &[Facet], as_text: bool| -> Vec<Value> {
        facets
            .iter()
            .map(|facet| {
                let value = if as_text {
                    json!(facet.id.to_string())
                } else {
                    json!(facet.id)
                };
                json!({ "display_value": facet.name, "count": facet.count, "query_value": value,
                    "selected": false })
            })
            .collect()
    };
    let plain = |values: &[(&str, &str)]| -> Vec<Value> {
        values
            .iter()
            .map(|(value, display)| {
                json!({ "display_value": display, "query_value": value, "selected": false })
            })
            .collect()
    };
    let filter = |code: &str, name: &str, multi: bool, values: Vec<Value>| {
        json!({ "query_name": code, "code": code, "display_name": name, "collapsed": 5,
            "multi_select": multi, "values": values })
    };
    let mut price = filter(
        "price",
        "Giá",
        false,
        plain(&[
            ("0,400000", "Dưới 400.000"),
            ("400000,1200000", "400.000 -> 1.200.000"),
            ("1200000,10000000000", "Trên 1.200.000"),
        ]),
    );
    price["min"] = json!(0);
    price["max"] = json!(10_000_000_000_u64);
    vec![
        filter("category", "Danh Mục Sản Phẩm", false, categories),
        filter(
            "rating",
            "Đánh giá",
            false,
            plain(&[("5", "từ 5 sao"), ("4", "từ 4 sao"), ("3", "từ 3 sao")]),
        ),
        price,
        filter("brand", "Thương hiệu", true, counted(&window.brands, true)),
        filter(
            "seller",
            "Nhà cung cấp",
            true,
            counted(&window.sellers, false),
        ),
    ]
}
