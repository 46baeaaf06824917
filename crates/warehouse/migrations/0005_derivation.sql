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
