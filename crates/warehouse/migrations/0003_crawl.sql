-- What a crawl needs to be whole and polite: listings in slices, the pace that all processes share, and
-- the shape of what the site sends.

-- A category of more than 2,000 products is listed in slices of its prices; '' is the whole category.
CREATE TABLE listing_pages_in_slices (
    run_id TEXT NOT NULL,
    category_id BIGINT NOT NULL,
    slice {sorted} NOT NULL,
    page BIGINT NOT NULL,
    state TEXT NOT NULL,
    -- Pages that an earlier run could not get come first.
    urgent {flag} NOT NULL,
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
    -- What became of a first page: its slice is read page by page, or in smaller slices.
    split TEXT,
    error TEXT,
    PRIMARY KEY (run_id, category_id, slice, page)
);
INSERT INTO listing_pages_in_slices (run_id, category_id, slice, page, state, urgent, attempts, next_at,
    claim, page_id, items, ads, repeats, malformed, last_page, total, error)
SELECT run_id, category_id, '', page, state, {no}, attempts, next_at,
    claim, page_id, items, ads, repeats, malformed, last_page, total, error FROM listing_pages;
DROP TABLE listing_pages;
ALTER TABLE listing_pages_in_slices RENAME TO listing_pages;
CREATE INDEX idx_listing_pages_pending ON listing_pages (run_id, urgent DESC, page, category_id)
    WHERE state = 'pending';

ALTER TABLE listings ADD COLUMN slice {sorted} NOT NULL DEFAULT '';

-- The pace of all processes: the share of the rate in thousandths, and the breaker.
ALTER TABLE permits ADD COLUMN share BIGINT NOT NULL DEFAULT 1000;
ALTER TABLE permits ADD COLUMN share_at_micros BIGINT NOT NULL DEFAULT 0;
ALTER TABLE permits ADD COLUMN open_until_micros BIGINT NOT NULL DEFAULT 0;
ALTER TABLE permits ADD COLUMN pause_micros BIGINT NOT NULL DEFAULT 0;

-- What the objects of a run look like, field by field: how many have it, and as what.
CREATE TABLE shapes (
    run_id TEXT NOT NULL,
    source {sorted} NOT NULL,
    endpoint {sorted} NOT NULL,
    root BIGINT NOT NULL,
    field {sorted} NOT NULL,
    absent BIGINT NOT NULL,
    nulls BIGINT NOT NULL,
    flags BIGINT NOT NULL,
    integers BIGINT NOT NULL,
    reals BIGINT NOT NULL,
    texts BIGINT NOT NULL,
    lists BIGINT NOT NULL,
    objects BIGINT NOT NULL,
    -- Of the numbers: sum and sum of squares of ln(1 + |n|).
    log_sum {real} NOT NULL,
    log_squares {real} NOT NULL,
    PRIMARY KEY (run_id, source, endpoint, root, field)
);

-- What differs from the runs before.
CREATE TABLE drift (
    run_id TEXT NOT NULL,
    source {sorted} NOT NULL,
    endpoint {sorted} NOT NULL,
    root BIGINT NOT NULL,
    field {sorted} NOT NULL,
    kind {sorted} NOT NULL,
    was {real} NOT NULL,
    now_is {real} NOT NULL,
    sample BIGINT NOT NULL,
    stops {flag} NOT NULL,
    PRIMARY KEY (run_id, source, endpoint, root, field, kind)
);
-- What a person said about a run that drift had stopped: 'accepted' or 'rejected'.
ALTER TABLE runs ADD COLUMN drift TEXT;

-- How often a tier of the page cache had what was wanted.
CREATE TABLE cache_counts (
    run_id TEXT NOT NULL,
    tier {sorted} NOT NULL,
    hits BIGINT NOT NULL,
    misses BIGINT NOT NULL,
    PRIMARY KEY (run_id, tier)
);
