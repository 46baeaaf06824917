//! C1 and C2: the category tree and the menu.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::answers::HOME;
use crate::query::Parameters;
use crate::reply::Reply;
use crate::site::Site;
use crate::tree::Node;

/// The invisible category above the roots.
const TOP: u64 = 2;

/// C1. A leaf and an unknown category have no children; how the site refuses is not recorded.
pub(crate) fn categories(site: &Site, parameters: &Parameters, day: i64) -> Reply {
    let parent = match parameters.get("parent_id") {
        None => TOP,
        Some(text) => match text.trim().parse() {
            Ok(parent) => parent,
            Err(_) => return Reply::error(StatusCode::BAD_REQUEST, "parent_id is no number"),
        },
    };
    let mut include = parameters.get("include").unwrap_or("").split(',');
    let nested = include.any(|part| part.trim() == "children");
    let data: Vec<Value> = children(site, parent)
        .iter()
        .map(|place| category(site, *place, day, nested))
        .collect();
    Reply::json(&json!({ "data": data }))
}

/// C2. The menu gives root ids only inside the links.
pub(crate) fn menu(site: &Site) -> Reply {
    let tree = site.tree();
    let items: Vec<Value> = tree
        .roots()
        .iter()
        .map(|place| {
            let node = tree.node(*place);
            json!({
                "text": node.name,
                "icon_url": "https://salt.tikicdn.com/ts/category/icon.png",
                "link": format!("{HOME}/{}", node.url_path()),
            })
        })
        .collect();
    Reply::json(&json!({ "menu_block": { "title": "Danh mục", "items": items } }))
}

/// Places of the children of a category id.
pub(crate) fn children(site: &Site, parent: u64) -> &[usize] {
    let tree = site.tree();
    if parent == TOP {
        return tree.roots();
    }
    tree.place(parent)
        .map_or(&[], |place| &tree.node(place).children)
}

/// A category with all its fields; with `nested` also its children, in a shorter form.
pub(crate) fn category(site: &Site, place: usize, day: i64, nested: bool) -> Value {
    let tree = site.tree();
    let node = tree.node(place);
    let parent = node.parent.map_or(TOP, |parent| tree.node(parent).id);
    let mut value = json!({
        "id": node.id,
        "parent_id": parent,
        "name": node.name,
        "type": null,
        "url_key": node.url_key,
        "url_path": node.url_path(),
        "level": node.level,
        "status": "active",
        "include_in_menu": true,
        "product_count": site.product_count(place, day),
        "is_leaf": node.is_leaf(),
        "meta_title": node.name,
        "meta_description": "",
        "meta_keywords": null,
        "thumbnail_url": "https://salt.tikicdn.com/assets/img/image.svg",
    });
    if let (true, Some(map)) = (nested, value.as_object_mut()) {
        let children: Vec<Value> = node
            .children
            .iter()
            .map(|child| nested_category(site, *child, day))
            .collect();
        map.insert("children".to_owned(), Value::Array(children));
    }
    value
}

fn nested_category(site: &Site, place: usize, day: i64) -> Value {
    let node = site.tree().node(place);
    json!({
        "id": node.id,
        "name": node.name,
        "type": null,
        "children": [],
        "include_in_menu": true,
        "url_key": node.url_key,
        "url_path": node.url_path(),
        "product_count": site.product_count(place, day),
        "thumbnail_url": "https://salt.tikicdn.com/assets/img/image.svg",
        "is_leaf": node.is_leaf(),
    })
}

/// The categories above `place`, as a page lists them: `include_in_menu` is a string here.
pub(crate) fn ancestors(site: &Site, place: usize) -> Vec<Value> {
    let mut line: Vec<&Node> = site.tree().line(place);
    line.pop();
    line.iter()
        .map(|node| {
            json!({
                "id": node.id,
                "level": node.level,
                "name": node.name,
                "url_key": node.url_key,
                "full_url_key": node.url_key,
                "include_in_menu": "1",
                "type": null,
                "url_path": node.url_path(),
            })
        })
        .collect()
}
