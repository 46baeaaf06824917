-- Products of a run go from step to step in batches. A product's row names its batch once it is claimed, and the
-- batch's row says how far it is and holds its records: one row to stage, to take and to finish, and another state
-- only for a product that fares otherwise than most of its batch.

ALTER TABLE run_products ADD COLUMN batch BIGINT;

CREATE TABLE staged_in_batches (
    batch {serial},
    run_id TEXT NOT NULL,
    -- 'taken' by a worker that transforms it, 'staged', 'loaded'.
    state TEXT NOT NULL,
    -- The epoch of that worker.
    claim BIGINT,
    -- Those claimed; once staged, those with a record; once loaded, those with its outcome.
    products BIGINT NOT NULL,
    -- Once loaded: what became of each of its products whose own row says nothing else.
    outcome TEXT,
    -- Numbers between commas; and their records.
    ids TEXT,
    records {bytes},
    product_id BIGINT,
    line TEXT
);

-- What had been staged product by product: batches of one.
INSERT INTO staged_in_batches (run_id, state, products, ids, product_id, line)
SELECT run_id, 'staged', 1, CAST(product_id AS TEXT), product_id, product_id || ' ' || COALESCE({text:gone_at}, '-')
        || ' ' || COALESCE(CAST(listing_page_id AS TEXT), '-')
        || ' ' || COALESCE(CAST(detail_page_id AS TEXT), '-')
        || ' ' || derivation || CASE WHEN withdrawn THEN ' 1 - -' ELSE ' 0 - -' END
        -- A tab stands before the record.
        || '	' || COALESCE(record, '-')
FROM staged_products AS o ORDER BY o.run_id, o.product_id;
UPDATE staged_in_batches SET records = {bytes:line};
CREATE INDEX staged_one_by_one ON staged_in_batches (run_id, product_id);
UPDATE run_products SET claim = CASE WHEN detail = 'due' THEN claim END, batch = (SELECT s.batch FROM staged_in_batches s
    WHERE s.run_id = run_products.run_id AND s.product_id = run_products.product_id)
WHERE stage <> 'done';
DROP INDEX staged_one_by_one;
ALTER TABLE staged_in_batches DROP COLUMN product_id;
ALTER TABLE staged_in_batches DROP COLUMN line;

DROP TABLE staged_products;
ALTER TABLE staged_in_batches RENAME TO staged_products;
CREATE INDEX idx_staged_products_run ON staged_products (run_id, state, batch);
-- They are packed.
{unpacked:staged_products.records};

ALTER TABLE run_products DROP COLUMN stage;

-- A product in seven or eight of a page may change without leaving it, so that no key of it is written.
{room:products,85};

CREATE VIEW run_outcomes AS
SELECT p.run_id, p.product_id, p.listed_in,
    CASE WHEN p.outcome IS NOT NULL OR b.state = 'loaded' THEN 'done'
        WHEN p.batch IS NULL THEN 'waiting' ELSE b.state END AS stage,
    COALESCE(p.outcome, b.outcome) AS outcome
FROM run_products p LEFT JOIN staged_products b ON b.batch = p.batch;
