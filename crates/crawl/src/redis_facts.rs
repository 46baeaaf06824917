//! What a Redis server says of itself. Not here: what of it is well (`pipeline`).

use std::time::Duration;

use crate::redis_ping::{PingError, ask_once};

/// Of a Redis server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisFacts {
    /// Its version; empty where it does not say.
    pub version: String,
    /// Bytes in use.
    pub used: Option<u64>,
    /// Bytes from which on it evicts or refuses; 0: no limit.
    pub limit: Option<u64>,
    /// What it evicts then (`maxmemory-policy`); empty where it does not say.
    pub policy: String,
    /// The most bytes that it has used since it began.
    pub used_peak: Option<u64>,
    /// Connections now.
    pub clients: Option<u64>,
    /// Connections since it began, as all counts below.
    pub connections: Option<u64>,
    /// Commands.
    pub commands: Option<u64>,
    /// Keys that were asked for and there.
    pub hits: Option<u64>,
    /// Keys that were asked for and not there.
    pub misses: Option<u64>,
    /// Keys that it threw away for want of memory.
    pub evicted: Option<u64>,
}

/// Asks the server of a `redis://` URL what it is (`INFO`, which needs no more rights than `PING`), and
/// waits `patience` at most. Leaves nothing there.
pub async fn redis_facts(url: &str, patience: Duration) -> Result<RedisFacts, PingError> {
    let asked = ask_once(url, patience, async |mut connection| {
        let all: redis::RedisResult<String> = redis::cmd("INFO").query_async(&mut connection).await;
        all
    });
    asked.await.map(|text| read(&text))
}

fn read(text: &str) -> RedisFacts {
    let field = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let number = |name: &str| field(name).and_then(|text| text.parse().ok());
    RedisFacts {
        version: field("redis_version").unwrap_or_default().to_owned(),
        used: number("used_memory"),
        limit: number("maxmemory"),
        policy: field("maxmemory_policy").unwrap_or_default().to_owned(),
        used_peak: number("used_memory_peak"),
        clients: number("connected_clients"),
        connections: number("total_connections_received"),
        commands: number("total_commands_processed"),
        hits: number("keyspace_hits"),
        misses: number("keyspace_misses"),
        evicted: number("evicted_keys"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_what_it_does_not_say_is_not_known() {
        let text = "# Server\r\nredis_version:7.2.4\r\n# Memory\r\nused_memory:1048576\r\n\
                    used_memory_human:1.00M\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n";
        let facts = RedisFacts {
            version: "7.2.4".into(),
            used: Some(1 << 20),
            limit: Some(0),
            policy: "noeviction".into(),
            ..RedisFacts::default()
        };
        assert_eq!(read(text), facts);
        assert_eq!(read("used_memory:much"), RedisFacts::default());
    }
}
