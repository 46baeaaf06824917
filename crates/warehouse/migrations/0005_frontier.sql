-- A product of a run changes its stage three times. What waits is found along the key, from where a worker
-- was: an index of it would be written with every change, and in PostgreSQL be the reason that a change
-- writes the key's index too.
DROP INDEX idx_run_products_waiting;
