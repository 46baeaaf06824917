-- What somebody should be told: written in the transaction that it tells of, sent by whoever comes next.

CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    -- Two alerts with the same key are the same trouble: within a time it is told once and counted.
    dedup_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    run_id TEXT,
    title TEXT NOT NULL,
    details {json} NOT NULL,
    seen BIGINT NOT NULL,
    first_at {time} NOT NULL,
    last_at {time} NOT NULL
);
CREATE INDEX idx_alerts_key ON alerts (dedup_key, first_at);
CREATE INDEX idx_alerts_first ON alerts (first_at, id);
CREATE INDEX idx_alerts_run ON alerts (run_id);

CREATE TABLE alert_deliveries (
    alert_id TEXT NOT NULL,
    channel TEXT NOT NULL,
    -- 'waiting', 'sent', 'failed' (given up), 'held' (it waited in a backup that was restored).
    state TEXT NOT NULL,
    tries BIGINT NOT NULL,
    -- While somebody sends it, the time at which another may.
    next_at {time} NOT NULL,
    sent_at {time},
    error TEXT,
    PRIMARY KEY (alert_id, channel)
);
CREATE INDEX idx_alert_deliveries_waiting ON alert_deliveries (channel, next_at) WHERE state = 'waiting';
