//! A product as the product API shows it, in the shape of 2023 to 2026.

use serde_json::{Map, Value, json};

use crate::draw::Topic;
use crate::generated::Catalogue;
use crate::generated::offers::{self, Offer, Variant};
use crate::generated::sheet::{Product, Sheet};
use crate::generated::text::{self, sold_text};
use crate::generated::words::{MATERIALS, SENTENCES};
use crate::slug::slug;

/// None when `spid` is neither an offer nor a variant of the product.
pub(crate) fn detail(
    catalogue: &Catalogue,
    product: &Product,
    spid: Option<u64>,
    day: i64,
) -> Option<Value> {
    let sheet = Sheet::of(catalogue, product, day);
    let variants = offers::variants(sheet.draw, sheet.id);
    let choice = Choice::of(catalogue, &sheet, &variants, spid)?;
    let mut detail = frame();
    for part in [
        identity(&sheet, &choice, &variants),
        numbers(&sheet, &choice),
        words(catalogue, &sheet),
        sale(catalogue, &sheet, &choice),
        options(&sheet, &choice, &variants),
    ] {
        if let Value::Object(part) = part {
            detail.extend(part);
        }
    }
    Some(Value::Object(detail))
}

/// What the `spid` of a request chose.
struct Choice {
    offer: Offer,
    /// Which of the offers it is.
    at: usize,
    /// Which of the variants, for a configurable product.
    variant: usize,
    price: i64,
}

impl Choice {
    fn of(
        catalogue: &Catalogue,
        sheet: &Sheet,
        variants: &[Variant],
        spid: Option<u64>,
    ) -> Option<Self> {
        let shown = sheet.price.price;
        let spid = spid.unwrap_or(sheet.offer.spid);
        if !variants.is_empty() {
            let at = variants.iter().position(|variant| variant.spid == spid)?;
            let offer = Offer {
                spid,
                ..sheet.offer.clone()
            };
            let price = in_thousands(shown, variants[at].price_percent);
            return Some(Self {
                offer,
                at: 0,
                variant: at,
                price,
            });
        }
        let at = (0..sheet.offers).find(|at| offers::spid(sheet.id, *at) == spid)?;
        let offer = offers::offer(sheet.draw, sheet.id, at, catalogue.settings.products);
        let price = offer_price(sheet, &offer, at);
        Some(Self {
            offer,
            at,
            variant: 0,
            price,
        })
    }
}

/// The first offer costs what the listing says, the others a little less or more.
fn offer_price(sheet: &Sheet, offer: &Offer, at: usize) -> i64 {
    if at == sheet.offer_at {
        return sheet.price.price;
    }
    in_thousands(sheet.price.price, offer.price_percent)
}

fn in_thousands(price: i64, percent: i64) -> i64 {
    if percent == 100 {
        price
    } else {
        price * percent / 100_000 * 1_000
    }
}

/// Keys whose values are the same for every product.
fn frame() -> Map<String, Value> {
    let fields = json!({
        "book_cover": null,
        "badges": [{ "code": "new_pdp", "text": "v1" }],
        "favourite_count": 0,
        "has_ebook": false,
        "productset_group_name": "",
        "is_fresh": false,
        "seller": null,
        "is_flower": false,
        "has_buynow": true,
        "is_gift_card": false,
        "salable_type": null,
        "data_version": 3300,
        "meta_title": "",
        "meta_description": "",
        "meta_keywords": "",
        "is_baby_milk": false,
        "is_acoholic_drink": false,
        "warranty_policy": null,
        "warranty_info": [{ "name": "Hình thức bảo hành", "value": "Hóa đơn" }],
        "return_and_exchange_policy": "Đổi trả trong<br><b>30 ngày</b>",
        "return_policy": { "title": "Đổi trả trong 30 ngày", "body": [
            { "label": "", "content": ["Sản phẩm còn nguyên vẹn"] }] },
        "benefits": [{ "icon": "https://salt.tikicdn.com/ts/upload/benefit.png",
            "text": "Được kiểm tra hàng khi nhận" }],
        "product_links": [],
        "gift_item_title": "0 quà tặng kèm",
        "services_and_promotions": [],
        "promitions": [],
        "installment_info_v2": null,
        "is_seller_in_chat_whitelist": true,
        "inventory": { "product_virtual_type": null, "fulfillment_type": "tiki_delivery" },
        "is_tier_pricing_available": false,
        "is_tier_pricing_eligible": false,
    });
    match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn identity(sheet: &Sheet, choice: &Choice, variants: &[Variant]) -> Value {
    let spid = choice.offer.spid;
    let mut fields = json!({
        "id": sheet.id,
        "master_id": sheet.id,
        "sku": sheet.master_sku(),
        "name": sheet.name,
        "url_key": sheet.url_key,
        "url_path": format!("{}.html?spid={spid}", sheet.url_key),
        "short_url": format!("https://tiki.vn/product-p{}.html?spid={spid}", sheet.id),
        "type": if variants.is_empty() { "simple" } else { "configurable" },
        "thumbnail_url": sheet.thumbnail_url(),
    });
    if let (Some(brand), Some(map)) = (&sheet.brand, fields.as_object_mut()) {
        let brand = json!({ "id": brand.id, "name": brand.name, "slug": slug(brand.name) });
        map.insert("brand".to_owned(), brand);
    }
    if let (false, Some(map)) = (sheet.authors.is_empty(), fields.as_object_mut()) {
        let authors: Vec<Value> = (sheet.authors.iter().zip(0_u64..))
            .map(|(name, at)| {
                let id = 700_000 + sheet.draw.of(Topic::Brand).at(40 + at).below(90_000);
                json!({ "id": id, "name": name, "slug": slug(name) })
            })
            .collect();
        map.insert("authors".to_owned(), json!(authors));
    }
    fields
}

fn numbers(sheet: &Sheet, choice: &Choice) -> Value {
    let price = choice.price;
    let original = sheet.price.original.max(price);
    let shown = crate::generated::market::Price { price, original };
    let mut fields = json!({
        "price": price,
        "list_price": original,
        "original_price": original,
        "discount": shown.discount(),
        "discount_rate": shown.discount_rate(),
        "rating_average": sheet.rating(),
        "review_count": sheet.reviews,
        "review_text": format!("({})", sheet.reviews),
        "day_ago_created": sheet.age_days,
        "all_time_quantity_sold": sheet.sold,
    });
    // Crawlers also met it null and missing; here that is for products nobody bought.
    let sold = match (sheet.sold, sheet.id % 3) {
        (0, 0) => None,
        (0, 1) => Some(Value::Null),
        (sold, _) => Some(json!({ "text": sold_text(sold, true), "value": sold })),
    };
    if let (Some(sold), Some(map)) = (sold, fields.as_object_mut()) {
        map.insert("quantity_sold".to_owned(), sold);
    }
    fields
}

fn words(catalogue: &Catalogue, sheet: &Sheet) -> Value {
    let picture = format!("https://salt.tikicdn.com/ts/tmp/{}", sheet.image(0));
    let leaf = catalogue.tree.node(sheet.place);
    // A few products say the root instead of their leaf.
    let line = catalogue.tree.line(sheet.place);
    let vague = sheet.draw.of(Topic::Text).at(3).chance(6);
    let said = if vague {
        line.first().copied().unwrap_or(leaf)
    } else {
        leaf
    };
    json!({
        "short_description": text::short_description(sheet.draw),
        "description": text::description(sheet.draw, &sheet.name, &picture),
        "images": images(sheet),
        "specifications": specifications(sheet),
        "categories": { "id": said.id, "name": said.name, "is_leaf": said.is_leaf() },
        "breadcrumbs": breadcrumbs(catalogue, sheet),
        "highlight": { "title": "Đặc điểm nổi bật", "items": [
            sheet.draw.of(Topic::Text).at(4).word(&SENTENCES)] },
        "tracking_info": { "amplitude": {
            "is_authentic": sheet.is_authentic(),
            "is_freeship_xtra": sheet.is_freeship(),
            "is_hero": false,
            "is_top_brand": sheet.is_top_brand(),
            "return_reason": "any_reason" } },
    })
}

fn images(sheet: &Sheet) -> Vec<Value> {
    (0..sheet.image_count())
        .map(|at| {
            let path = sheet.image(at);
            let cached = |size| format!("https://salt.tikicdn.com/cache/{size}/{path}");
            json!({
                "base_url": format!("https://salt.tikicdn.com/{path}"),
                "is_gallery": true,
                "label": null,
                "large_url": cached("w1200"),
                "medium_url": cached("w300"),
                "position": null,
                "small_url": cached("200x280"),
                "thumbnail_url": cached("200x280"),
            })
        })
        .collect()
}

/// Values may hold HTML and entities; one in eight carries a number as an int, as in 2021.
fn specifications(sheet: &Sheet) -> Value {
    let draw = sheet.draw.of(Topic::Text).at(5);
    let attribute = |code: &str, name: &str, value: Value| json!({ "code": code, "name": name, "value": value });
    let mut content = vec![
        attribute("origin", "Xuất xứ", json!(sheet.origin)),
        attribute("material", "Chất liệu", json!(draw.word(&MATERIALS))),
    ];
    if let Some(brand) = &sheet.brand {
        content.push(attribute("brand", "Thương hiệu", json!(brand.name)));
    }
    if draw.at(1).one_in(8) {
        content.push(attribute(
            "sku",
            "SKU",
            json!(sheet.draw.at(1).below(10_000_000_000)),
        ));
    }
    let size = format!(
        "{} x {} cm",
        draw.at(2).between(5, 60),
        draw.at(3).between(5, 60)
    );
    content.push(attribute("dimensions", "Kích thước", json!(size)));
    let answer = if draw.at(4).chance(70) {
        "Có"
    } else {
        "Không"
    };
    let operation = [attribute(
        "is_warranty_applied",
        "Sản phẩm có được bảo hành không?",
        json!(answer),
    )];
    json!([
        { "name": "Content", "attributes": content },
        { "name": "Operation", "attributes": operation },
    ])
}

/// Categories by relative URL; the last entry is the product itself, absolute, category 0.
fn breadcrumbs(catalogue: &Catalogue, sheet: &Sheet) -> Vec<Value> {
    let line = catalogue.tree.line(sheet.place);
    let mut crumbs: Vec<Value> = line
        .iter()
        .map(|node| {
            let url = format!("/{}", node.url_path());
            json!({ "url": url, "name": node.name, "category_id": node.id })
        })
        .collect();
    let url = format!("https://tiki.vn/{}", sheet.url_path());
    crumbs.push(json!({ "url": url, "name": sheet.name, "category_id": 0 }));
    crumbs
}

/// Sellers and stock; a product that cannot be bought has neither.
fn sale(catalogue: &Catalogue, sheet: &Sheet, choice: &Choice) -> Value {
    if !sheet.stock.sellable {
        return json!({
            "inventory_status": "discontinued",
            "current_seller": null,
            "other_sellers": [],
        });
    }
    let others: Vec<Value> = (0..sheet.offers)
        .filter(|at| *at != choice.at)
        .map(|at| {
            let offer = offers::offer(sheet.draw, sheet.id, at, catalogue.settings.products);
            json!({
                "id": offer.seller.id,
                "name": offer.seller.name,
                "link": offer.seller.link(),
                "logo": offer.seller.logo,
                "price": offer_price(sheet, &offer, at),
                "product_id": offer.spid.to_string(),
                "store_id": offer.seller.store_id,
            })
        })
        .collect();
    let seller = &choice.offer.seller;
    let mut fields = json!({
        "inventory_status": "available",
        "inventory_type": if sheet.stock.backorder { "backorder" } else { "instock" },
        "stock_item": {
            "qty": sheet.stock.quantity,
            "min_sale_qty": 1,
            "max_sale_qty": sheet.stock.quantity,
            "preorder_date": null,
        },
        "current_seller": {
            "id": seller.id,
            "sku": sheet.seller_sku(),
            "name": seller.name,
            "link": seller.link(),
            "logo": seller.logo,
            "price": choice.price,
            "product_id": choice.offer.spid.to_string(),
            "store_id": seller.store_id,
            "is_best_store": seller.best_store,
            "is_offline_installment_supported": null,
        },
    });
    if let Some(map) = fields.as_object_mut() {
        if !others.is_empty() {
            let comparison = json!({ "title": "So sánh giá",
                "sub_title": format!("{} nhà bán khác", others.len()) });
            map.insert("price_comparison".to_owned(), comparison);
        }
        map.insert("other_sellers".to_owned(), Value::Array(others));
    }
    fields
}

/// Only configurable products have these keys.
fn options(sheet: &Sheet, choice: &Choice, variants: &[Variant]) -> Value {
    if variants.is_empty() {
        return json!({});
    }
    let labels = |of: fn(&Variant) -> Option<&'static str>| {
        let mut seen: Vec<&str> = Vec::new();
        for label in variants.iter().filter_map(of) {
            if !seen.contains(&label) {
                seen.push(label);
            }
        }
        seen.iter()
            .map(|label| json!({ "label": label }))
            .collect::<Vec<_>>()
    };
    // The option is called "Màu", "Màu sắc" or "Màu:" as sellers please.
    let name = ["Màu", "Màu sắc", "Màu:", "Ma\u{300}u"][(sheet.id / 16 % 4) as usize];
    let mut options = vec![json!({ "code": "option1", "name": name, "position": 0,
        "show_preview_image": true, "values": labels(|variant| Some(variant.option1)) })];
    let second = labels(|variant| variant.option2);
    if !second.is_empty() {
        options.push(json!({ "code": "option2", "name": "Kích cỡ", "position": 1,
            "show_preview_image": false, "values": second }));
    }
    let products: Vec<Value> = variants
        .iter()
        .enumerate()
        .map(|(at, variant)| configured(sheet, choice, at, variant))
        .collect();
    json!({ "configurable_options": options, "configurable_products": products })
}

fn configured(sheet: &Sheet, choice: &Choice, at: usize, variant: &Variant) -> Value {
    let path = sheet.image(at as u64);
    let cached = |size| format!("https://salt.tikicdn.com/cache/{size}/{path}");
    let price = in_thousands(sheet.price.price, variant.price_percent);
    let mut product = json!({
        "child_id": variant.child_id,
        "id": variant.spid,
        "sku": format!("{}", 1_000_000_000_000 + variant.child_id),
        "name": format!("{} - {}", sheet.name.trim(), variant.option1),
        "price": price,
        "original_price": sheet.price.original.max(price),
        "thumbnail_url": cached("280x280"),
        "images": [{ "large_url": cached("w1200"), "medium_url": cached("550x550"),
            "small_url": cached("200x280") }],
        "selected": at == choice.variant,
        "inventory_status": if sheet.stock.sellable { "available" } else { "discontinued" },
        "option1": variant.option1,
        "seller": { "id": choice.offer.seller.id, "name": choice.offer.seller.name },
    });
    if let (Some(label), Some(map)) = (variant.option2, product.as_object_mut()) {
        map.insert("option2".to_owned(), json!(label));
    }
    product
}
