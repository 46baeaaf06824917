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
