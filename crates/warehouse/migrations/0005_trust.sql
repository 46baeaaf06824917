-- Records carry the number of the rules that derived them from the page to the look, and what higher rules
-- correct is counted.

ALTER TABLE listings ADD COLUMN derivation BIGINT NOT NULL DEFAULT 1;
ALTER TABLE staged_products ADD COLUMN derivation BIGINT NOT NULL DEFAULT 1;
-- Lower rules made a record of these pages, and these rules make none.
ALTER TABLE staged_products ADD COLUMN withdrawn {flag} NOT NULL DEFAULT {no};

-- Rows that the load of a run corrected, column by column.
CREATE TABLE corrections (
    run_id TEXT NOT NULL,
    column_name {sorted} NOT NULL,
    corrected BIGINT NOT NULL,
    PRIMARY KEY (run_id, column_name)
);

-- A product of a run changes its stage three times. What waits is found along the key, from where a worker
-- was: an index of it would be written with every change, and in PostgreSQL be the reason that a change
-- writes the key's index too.
DROP INDEX idx_run_products_waiting;
-- Room in a page for the next states of its rows, so that a change of state stays in the page.
{room:run_products};

-- Cleaning up goes from run to run: every closed run once for each kind of rows, so that it costs what
-- goes and not what stays.

-- From then on the run cannot be derived anew: something that it is made of may be gone.
ALTER TABLE runs ADD COLUMN sealed_at {time};
ALTER TABLE runs ADD COLUMN listings_cleaned {flag} NOT NULL DEFAULT {no};
ALTER TABLE runs ADD COLUMN pages_cleaned {flag} NOT NULL DEFAULT {no};
ALTER TABLE runs ADD COLUMN looks_cleaned {flag} NOT NULL DEFAULT {no};

-- Pages are met by their run or by their subject, no longer by their age.
CREATE INDEX idx_pages_run ON pages (run_id, id);
DROP INDEX idx_pages_fetched;
