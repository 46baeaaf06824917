-- Of SQLite alone: tables whose rows lie in the order of their key. A key beside the rows is a second
-- tree, to be searched and written with every row. Where rows are large or only ever appended (pages,
-- listings, observations) a key beside them is cheaper.

DROP VIEW product_current;

CREATE TABLE products_by_key (
    id INTEGER PRIMARY KEY,
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
INSERT INTO products_by_key SELECT * FROM products;
DROP TABLE products;
ALTER TABLE products_by_key RENAME TO products;
CREATE INDEX idx_products_url ON products (url);
CREATE INDEX idx_products_sku ON products (sku);
CREATE INDEX idx_products_created_at ON products (created_at);

CREATE VIEW product_current AS
SELECT p.*,
    (SELECT MAX(o.observed_at) FROM observations o WHERE o.product_id = p.id) AS last_seen_at,
    (SELECT COUNT(*) FROM observations o WHERE o.product_id = p.id) AS looks
FROM products p;

CREATE TABLE product_categories_by_key (
    product_id BIGINT NOT NULL,
    category_id BIGINT NOT NULL,
    first_seen_at {time} NOT NULL,
    last_seen_at {time} NOT NULL,
    position BIGINT NOT NULL,
    is_primary {flag} NOT NULL,
    PRIMARY KEY (product_id, category_id)
) WITHOUT ROWID;
INSERT INTO product_categories_by_key SELECT * FROM product_categories;
DROP TABLE product_categories;
ALTER TABLE product_categories_by_key RENAME TO product_categories;

CREATE TABLE product_state_by_key (
    product_id INTEGER PRIMARY KEY,
    fingerprint BIGINT,
    detail_at {time} NOT NULL
);
INSERT INTO product_state_by_key SELECT * FROM product_state;
DROP TABLE product_state;
ALTER TABLE product_state_by_key RENAME TO product_state;

CREATE TABLE run_products_by_key (
    run_id TEXT NOT NULL,
    product_id BIGINT NOT NULL,
    listed_in BIGINT,
    reason TEXT,
    rank BIGINT NOT NULL,
    detail TEXT NOT NULL,
    spid BIGINT,
    fingerprint BIGINT,
    attempts BIGINT NOT NULL,
    next_at {time},
    page_id BIGINT,
    answered_at {time},
    stage TEXT NOT NULL,
    outcome TEXT,
    claim BIGINT,
    error TEXT,
    PRIMARY KEY (run_id, product_id)
) WITHOUT ROWID;
INSERT INTO run_products_by_key SELECT * FROM run_products;
DROP TABLE run_products;
ALTER TABLE run_products_by_key RENAME TO run_products;
CREATE INDEX idx_run_products_due ON run_products (run_id, rank, product_id) WHERE detail = 'due';
CREATE INDEX idx_run_products_waiting ON run_products (run_id, product_id) WHERE stage = 'waiting';
