-- What people read: the catalogue and its history. Words in braces: src/dialect.rs.

CREATE TABLE warehouse_info (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE categories (
    id BIGINT PRIMARY KEY,
    parent_id BIGINT,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    url_key TEXT NOT NULL,
    level BIGINT NOT NULL,
    is_leaf {flag} NOT NULL,
    product_count BIGINT NOT NULL,
    path {sorted} NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL
);
CREATE INDEX idx_categories_url ON categories (url);

CREATE TABLE category_parents (
    category_id BIGINT NOT NULL,
    parent_id BIGINT NOT NULL,
    -- The place among the parent's children.
    position BIGINT NOT NULL,
    PRIMARY KEY (category_id, parent_id)
);
CREATE INDEX idx_category_parents_parent ON category_parents (parent_id);

CREATE TABLE products (
    id BIGINT PRIMARY KEY,
    spid BIGINT,
    sku TEXT,
    seller_sku TEXT,
    name TEXT NOT NULL,
    -- The name in lower case without accents.
    search_name TEXT NOT NULL,
    url TEXT NOT NULL,
    image_url TEXT,
    category_id BIGINT,
    category_path TEXT,
    brand_id BIGINT,
    brand TEXT,
    seller_id BIGINT,
    seller_name TEXT,
    seller_is_official {flag},
    price BIGINT,
    original_price BIGINT,
    discount_amount BIGINT,
    discount_percent BIGINT,
    rating_average {real},
    review_count BIGINT,
    sales_count BIGINT,
    stock_status TEXT,
    stock_quantity BIGINT,
    description TEXT,
    specifications {json},
    images {json},
    estimated_revenue BIGINT,
    price_category TEXT,
    popularity_score {real},
    value_score {real},
    sales_velocity {real},
    site_created_on TEXT,
    delisted_at {time},
    observed_at {time} NOT NULL,
    detail_observed_at {time},
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL,
    -- The seller whose name `named_seller_name` is; `seller_name` shows it while that seller sells.
    named_seller_id BIGINT,
    named_seller_name TEXT,
    -- What identity and details said last, to see in eight bytes that they say nothing new.
    identity_hash BIGINT NOT NULL,
    details_hash BIGINT,
    -- The newest look that changed identity or details.
    content_at {time} NOT NULL
);
CREATE INDEX idx_products_url ON products (url);
CREATE INDEX idx_products_sku ON products (sku);
CREATE INDEX idx_products_created_at ON products (created_at);

CREATE TABLE product_categories (
    product_id BIGINT NOT NULL,
    category_id BIGINT NOT NULL,
    first_seen_at {time} NOT NULL,
    last_seen_at {time} NOT NULL,
    position BIGINT NOT NULL,
    is_primary {flag} NOT NULL,
    PRIMARY KEY (product_id, category_id)
);

CREATE TABLE observations (
    product_id BIGINT NOT NULL,
    observed_at {time} NOT NULL,
    source TEXT NOT NULL,
    gone {flag} NOT NULL,
    run_id TEXT NOT NULL,
    page_id BIGINT,
    price BIGINT,
    original_price BIGINT,
    discount_percent BIGINT,
    sales_count BIGINT,
    rating_average {real},
    review_count BIGINT,
    seller_id BIGINT,
    spid BIGINT,
    stock_status TEXT,
    stock_quantity BIGINT,
    derivation BIGINT NOT NULL,
    PRIMARY KEY (product_id, observed_at)
);

CREATE TABLE product_history (
    product_id BIGINT NOT NULL,
    observed_at {time} NOT NULL,
    kind TEXT NOT NULL,
    changed TEXT NOT NULL,
    price BIGINT,
    original_price BIGINT,
    discount_percent BIGINT,
    sales_count BIGINT,
    rating_average {real},
    review_count BIGINT,
    seller_id BIGINT,
    spid BIGINT,
    stock_status TEXT,
    previous_price BIGINT,
    price_change BIGINT,
    price_change_percent {real},
    sales_velocity {real},
    PRIMARY KEY (product_id, observed_at)
);

CREATE VIEW product_current AS
SELECT p.*,
    (SELECT MAX(o.observed_at) FROM observations o WHERE o.product_id = p.id) AS last_seen_at,
    (SELECT COUNT(*) FROM observations o WHERE o.product_id = p.id) AS looks
FROM products p;
