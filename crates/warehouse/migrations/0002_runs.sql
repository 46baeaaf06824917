-- How the records came to be: the ledger of runs and the tables between the steps.

CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    scope {json} NOT NULL,
    scope_key TEXT NOT NULL,
    clock_at {time} NOT NULL,
    created_at {time} NOT NULL,
    finished_at {time},
    exit_code BIGINT,
    totals {json}
);
CREATE INDEX idx_runs_number ON runs (number);

CREATE TABLE run_steps (
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    exit_code BIGINT,
    planned_to TEXT,
    report {json},
    error TEXT,
    started_at {time} NOT NULL,
    finished_at {time},
    PRIMARY KEY (run_id, step)
);

CREATE TABLE attempts (
    epoch {serial},
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    shard BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    host TEXT NOT NULL,
    process TEXT NOT NULL,
    state TEXT NOT NULL,
    lease_until {time} NOT NULL,
    first_claim_at {time},
    last_commit_at {time},
    started_at {time} NOT NULL,
    ended_at {time}
);
CREATE INDEX idx_attempts_run ON attempts (run_id, step);

CREATE TABLE run_categories (
    run_id TEXT NOT NULL,
    category_id BIGINT NOT NULL,
    walk_order {sorted} NOT NULL,
    is_leaf {flag} NOT NULL,
    product_count BIGINT NOT NULL,
    state TEXT NOT NULL,
    selected {flag} NOT NULL,
    attempts BIGINT NOT NULL,
    next_at {time},
    claim BIGINT,
    error TEXT,
    PRIMARY KEY (run_id, category_id)
);
CREATE INDEX idx_run_categories_pending ON run_categories (run_id, walk_order)
    WHERE state = 'pending';

CREATE TABLE listing_pages (
    run_id TEXT NOT NULL,
    category_id BIGINT NOT NULL,
    page BIGINT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    next_at {time},
    claim BIGINT,
    page_id BIGINT,
    items BIGINT NOT NULL,
    ads BIGINT NOT NULL,
    repeats BIGINT NOT NULL,
    malformed BIGINT NOT NULL,
    last_page BIGINT,
    total BIGINT,
    error TEXT,
    PRIMARY KEY (run_id, category_id, page)
);
CREATE INDEX idx_listing_pages_pending ON listing_pages (run_id, page, category_id)
    WHERE state = 'pending';

CREATE TABLE listings (
    run_id TEXT NOT NULL,
    product_id BIGINT NOT NULL,
    category_id BIGINT NOT NULL,
    page BIGINT NOT NULL,
    position BIGINT NOT NULL,
    beyond {flag} NOT NULL,
    page_id BIGINT NOT NULL,
    source TEXT NOT NULL,
    observed_at {time} NOT NULL,
    fingerprint BIGINT NOT NULL,
    url TEXT NOT NULL,
    spid BIGINT,
    name TEXT NOT NULL,
    image_url TEXT,
    brand TEXT,
    seller_sku TEXT,
    seller_id BIGINT,
    seller_is_official {flag},
    category_path TEXT,
    price BIGINT,
    original_price BIGINT,
    discount_percent BIGINT,
    sales_count BIGINT,
    rating_average {real},
    review_count BIGINT,
    PRIMARY KEY (run_id, product_id, category_id)
);
CREATE INDEX idx_listings_category ON listings (run_id, category_id, page, position);

CREATE TABLE pages (
    id {serial},
    kind TEXT NOT NULL,
    subject BIGINT NOT NULL,
    source TEXT NOT NULL,
    encoding TEXT NOT NULL,
    body {bytes} NOT NULL,
    fetched_at {time} NOT NULL,
    run_id TEXT NOT NULL
);
CREATE INDEX idx_pages_subject ON pages (kind, subject, fetched_at);
CREATE INDEX idx_pages_fetched ON pages (fetched_at);

CREATE TABLE run_products (
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
);
CREATE INDEX idx_run_products_due ON run_products (run_id, rank, product_id) WHERE detail = 'due';
CREATE INDEX idx_run_products_waiting ON run_products (run_id, product_id) WHERE stage = 'waiting';

CREATE TABLE product_state (
    product_id BIGINT PRIMARY KEY,
    fingerprint BIGINT,
    detail_at {time} NOT NULL
);

CREATE TABLE staged_products (
    run_id TEXT NOT NULL,
    product_id BIGINT NOT NULL,
    record TEXT,
    gone_at {time},
    listing_page_id BIGINT,
    detail_page_id BIGINT,
    PRIMARY KEY (run_id, product_id)
);

CREATE TABLE rejections (
    id {serial},
    run_id TEXT NOT NULL,
    step TEXT NOT NULL,
    product_id BIGINT,
    category_id BIGINT,
    page_id BIGINT,
    reason TEXT NOT NULL,
    field TEXT,
    seen TEXT NOT NULL,
    created_at {time} NOT NULL
);
CREATE INDEX idx_rejections_run ON rejections (run_id, reason);
CREATE INDEX idx_rejections_page ON rejections (page_id);

CREATE TABLE permits (
    origin TEXT PRIMARY KEY,
    granted_by TEXT NOT NULL,
    next_at_micros BIGINT NOT NULL
);
