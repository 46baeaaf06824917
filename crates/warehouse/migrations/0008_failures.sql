-- Why an attempt failed stays with the attempt, also once a later one has done the step.

ALTER TABLE attempts ADD COLUMN exit_code BIGINT;
ALTER TABLE attempts ADD COLUMN error TEXT;
