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
}

/// Asks the server of a `redis://` URL what it is (`INFO`, which needs no more rights than `PING`), and
/// waits `patience` at most. Leaves nothing there.
pub async fn redis_facts(url: &str, patience: Duration) -> Result<RedisFacts, PingError> {
    let asked = ask_once(url, patience, async |mut connection| {
        let server: String = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut connection)
            .await?;
        let memory: String = redis::cmd("INFO")
            .arg("memory")
            .query_async(&mut connection)
            .await?;
        Ok(server + &memory)
    });
    asked.await.map(|text| read(&text))
}

fn read(text: &str) -> RedisFacts {
    let field = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.trim().split_once(':'));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    RedisFacts {
        version: field("redis_version").unwrap_or_default().to_owned(),
        used: field("used_memory").and_then(|text| text.parse().ok()),
        limit: field("maxmemory").and_then(|text| text.parse().ok()),
        policy: field("maxmemory_policy").unwrap_or_default().to_owned(),
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
        };
        assert_eq!(read(text), facts);
        assert_eq!(read("used_memory:much"), RedisFacts::default());
    }
}
