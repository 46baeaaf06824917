//! M1: sitemaps. That they exist and which URLs they hold was seen; the details are invented.

use axum::http::StatusCode;

use crate::answers::HOME;
use crate::reply::{Kind, Reply};
use crate::route::Sitemap;
use crate::site::Site;

/// Categories a file; the site needed three files for about 3,000.
const CATEGORIES_A_FILE: usize = 1_000;
/// Places for products a file.
const PLACES_A_FILE: u64 = 5_000;

pub(crate) fn sitemap(site: &Site, part: Sitemap, day: i64) -> Reply {
    match part {
        Sitemap::CategoryIndex => {
            let files = site.tree().len().div_ceil(CATEGORIES_A_FILE);
            index((1..=files).map(|n| format!("{HOME}/clover/sitemap_categories_{n}.xml")))
        }
        Sitemap::Categories(page) => categories(site, page),
        Sitemap::ProductIndex => {
            let files = site.places().div_ceil(PLACES_A_FILE);
            index((1..=files).map(|n| format!("{HOME}/clover/sitemap/product_master/{n}")))
        }
        Sitemap::Products(page) => products(site, page, day),
    }
}

fn categories(site: &Site, page: u64) -> Reply {
    let first = (page as usize)
        .saturating_sub(1)
        .saturating_mul(CATEGORIES_A_FILE);
    let places = (0..site.tree().len()).skip(first).take(CATEGORIES_A_FILE);
    let urls: Vec<String> = places
        .map(|place| format!("{HOME}/{}", site.tree().node(place).url_path()))
        .collect();
    urlset(page, &urls)
}

fn products(site: &Site, page: u64, day: i64) -> Reply {
    let first = page
        .saturating_sub(1)
        .saturating_mul(PLACES_A_FILE)
        .min(site.places());
    let last = (first + PLACES_A_FILE).min(site.places());
    let paths = (first..last).filter_map(|place| site.url_path_at(place, day));
    let urls: Vec<String> = paths
        .map(|path| format!("{HOME}/{}", path.split('?').next().unwrap_or(&path)))
        .collect();
    urlset(page, &urls)
}

fn index(files: impl Iterator<Item = String>) -> Reply {
    let entries: Vec<String> = files
        .map(|url| format!("<sitemap><loc>{url}</loc></sitemap>"))
        .collect();
    xml(&format!(
        "<sitemapindex xmlns=\"{NAMESPACE}\">{}</sitemapindex>",
        entries.concat()
    ))
}

fn urlset(page: u64, urls: &[String]) -> Reply {
    if page == 0 || urls.is_empty() {
        return Reply::error(StatusCode::NOT_FOUND, "no such sitemap");
    }
    let entries: Vec<String> = urls
        .iter()
        .map(|url| format!("<url><loc>{url}</loc></url>"))
        .collect();
    xml(&format!(
        "<urlset xmlns=\"{NAMESPACE}\">{}</urlset>",
        entries.concat()
    ))
}

const NAMESPACE: &str = "http://www.sitemaps.org/schemas/sitemap/0.9";

fn xml(body: &str) -> Reply {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}");
    Reply::new(StatusCode::OK, Kind::Xml, text)
}
