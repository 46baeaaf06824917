//! Which of the site's routes a path is.

use crate::faults::RouteClass;
use crate::query::Parameters;

/// A request, recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Robots,
    /// C1.
    Categories,
    /// C2.
    Menu,
    /// L1, L2 and L3.
    Listing,
    /// D1 and D2.
    Detail(u64),
    /// H1.
    CategoryPage(u64),
    /// H2 in its three spellings.
    ProductPage(u64),
    Sitemap(Sitemap),
    /// R1: personal data, refused although robots.txt allows it.
    Reviews,
    /// Disallowed by robots.txt, refused.
    Disallowed,
    Unknown,
    /// Anything but GET and HEAD.
    WrongMethod,
}

/// A file of the sitemap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sitemap {
    CategoryIndex,
    /// From 1.
    Categories(u64),
    ProductIndex,
    /// From 1.
    Products(u64),
}

/// The path prefixes that robots.txt disallows. Which areas they are was read by others; the
/// exact text of the file is not recorded, so the spelling is invented.
pub(crate) const DISALLOWED: [&str; 9] = [
    "/customer/",
    "/account",
    "/cart",
    "/checkout",
    "/order/tracking",
    "/api/v2/me/",
    "/v1/private/",
    "/feed/",
    "/top/",
];
/// Disallowed, and under the reviews that are refused anyway.
pub(crate) const DISALLOWED_REVIEWS: &str = "/api/v2/reviews/writable";
/// Spam searches carry a URL.
pub(crate) const DISALLOWED_SEARCH: &str = "/search?q=*http";

impl Route {
    pub(crate) fn of(method: &str, path: &str, query: Option<&str>) -> Self {
        if is_disallowed(path, query) {
            return Self::Disallowed;
        }
        if path == "/api/v2/reviews" || path.starts_with("/api/v2/reviews/") {
            return Self::Reviews;
        }
        if method != "GET" && method != "HEAD" {
            return Self::WrongMethod;
        }
        match path {
            "/robots.txt" => Self::Robots,
            "/api/v2/categories" => Self::Categories,
            "/raiden/v2/menu-config" => Self::Menu,
            "/api/personalish/v1/blocks/listings" | "/api/v2/products" | "/v2/products" => {
                Self::Listing
            }
            _ => Self::with_id(path).unwrap_or(Self::Unknown),
        }
    }

    fn with_id(path: &str) -> Option<Self> {
        for prefix in [
            "/api/v2/products/",
            "/product-detail/api/v1/products/",
            "/product-detail/api/v2/products/",
        ] {
            if let Some(id) = path.strip_prefix(prefix) {
                return number(id).map(Self::Detail);
            }
        }
        if let Some(rest) = path.strip_prefix("/clover/") {
            return Sitemap::of(rest).map(Self::Sitemap);
        }
        if let Some(id) = path.strip_prefix("/p/") {
            return number(id).map(Self::ProductPage);
        }
        let mut parts = path.strip_prefix('/')?.split('/');
        match (parts.next()?, parts.next(), parts.next()) {
            (page, None, None) => {
                let (_, id) = page.strip_suffix(".html")?.rsplit_once("-p")?;
                number(id).map(Self::ProductPage)
            }
            (_, Some(category), None) => {
                number(category.strip_prefix('c')?).map(Self::CategoryPage)
            }
            _ => None,
        }
    }

    /// The class that faults are set for; none for what is refused or unknown.
    pub(crate) fn class(&self) -> Option<RouteClass> {
        Some(match self {
            Self::Robots => RouteClass::Robots,
            Self::Categories | Self::Menu => RouteClass::Category,
            Self::Listing => RouteClass::Listing,
            Self::Detail(_) => RouteClass::Detail,
            Self::CategoryPage(_) => RouteClass::CategoryPage,
            Self::ProductPage(_) => RouteClass::ProductPage,
            Self::Sitemap(_) => RouteClass::Sitemap,
            Self::Reviews | Self::Disallowed | Self::Unknown | Self::WrongMethod => return None,
        })
    }

    /// The product or category that a request is about.
    pub(crate) fn subject(&self, parameters: &Parameters) -> Option<u64> {
        match self {
            Self::Detail(id) | Self::CategoryPage(id) | Self::ProductPage(id) => Some(*id),
            Self::Listing => parameters.number("category"),
            Self::Categories => parameters.number("parent_id"),
            _ => None,
        }
    }

    /// The name in the counts.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Robots => "robots",
            Self::Categories => "categories",
            Self::Menu => "menu",
            Self::Listing => "listing",
            Self::Detail(_) => "detail",
            Self::CategoryPage(_) => "category_page",
            Self::ProductPage(_) => "product_page",
            Self::Sitemap(_) => "sitemap",
            Self::Reviews => "reviews",
            Self::Disallowed => "disallowed",
            Self::Unknown => "unknown",
            Self::WrongMethod => "wrong_method",
        }
    }

    /// Whether a polite crawler would never have asked.
    pub(crate) fn is_forbidden(&self) -> bool {
        matches!(self, Self::Reviews | Self::Disallowed)
    }
}

impl Sitemap {
    fn of(rest: &str) -> Option<Self> {
        if let Some(page) = rest.strip_prefix("sitemap/product_master") {
            return match page.strip_prefix('/') {
                None => page.is_empty().then_some(Self::ProductIndex),
                Some(page) => number(page).map(Self::Products),
            };
        }
        match rest
            .strip_prefix("sitemap_categories_")?
            .strip_suffix(".xml")?
        {
            "index" => Some(Self::CategoryIndex),
            page => number(page).map(Self::Categories),
        }
    }
}

fn is_disallowed(path: &str, query: Option<&str>) -> bool {
    DISALLOWED.iter().any(|prefix| path.starts_with(prefix))
        || path.starts_with(DISALLOWED_REVIEWS)
        || (path == "/search" && query.unwrap_or("").contains("http"))
}

/// A plain decimal number without sign or spaces.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_route_is_recognised() {
        for (path, expected) in [
            ("/robots.txt", Route::Robots),
            ("/api/v2/categories", Route::Categories),
            ("/raiden/v2/menu-config", Route::Menu),
            ("/api/v2/products", Route::Listing),
            ("/v2/products", Route::Listing),
            ("/api/personalish/v1/blocks/listings", Route::Listing),
            ("/api/v2/products/12", Route::Detail(12)),
            ("/product-detail/api/v1/products/12", Route::Detail(12)),
            ("/api/v2/products/+12", Route::Unknown),
            ("/api/v2/products/99999999999999999999", Route::Unknown),
            ("/api/v2/products/", Route::Unknown),
            ("/dien-thoai/c1789", Route::CategoryPage(1789)),
            ("/a/b/c1789", Route::Unknown),
            ("/binh-p-500-p77.html", Route::ProductPage(77)),
            ("/product-p77.html", Route::ProductPage(77)),
            ("/p/77", Route::ProductPage(77)),
            (
                "/clover/sitemap_categories_index.xml",
                Route::Sitemap(Sitemap::CategoryIndex),
            ),
            (
                "/clover/sitemap_categories_2.xml",
                Route::Sitemap(Sitemap::Categories(2)),
            ),
            (
                "/clover/sitemap/product_master",
                Route::Sitemap(Sitemap::ProductIndex),
            ),
            (
                "/clover/sitemap/product_master/3",
                Route::Sitemap(Sitemap::Products(3)),
            ),
            ("/clover/sitemap/product_masterX", Route::Unknown),
            ("/api/v2/reviews", Route::Reviews),
            ("/api/v2/reviews/writable", Route::Disallowed),
            ("/checkout/payment", Route::Disallowed),
            ("/", Route::Unknown),
            ("", Route::Unknown),
        ] {
            assert_eq!(Route::of("GET", path, None), expected, "{path}");
        }
        assert_eq!(
            Route::of("GET", "/search", Some("q=http://x")),
            Route::Disallowed
        );
        assert_eq!(Route::of("POST", "/p/1", None), Route::WrongMethod);
    }
}
