//! A client for the storefront under test.
#![allow(dead_code)] // each test file uses a part of it

use std::io::Read;

use serde_json::Value;
use storefront::{Clock, Content, Generated, Pace, Prices, Settings, Storefront};

/// A day in 2026.
pub(crate) const DAY: i64 = 20_500;

pub(crate) struct Shop {
    pub(crate) site: Storefront,
    pub(crate) client: reqwest::Client,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("a UTF-8 body")
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("a readable header"))
    }
}

pub(crate) fn generated(products: u64) -> Settings {
    Settings {
        content: Content::Generated(Generated {
            seed: 7,
            products,
            leaf_categories: None,
            pace: Pace::Lively,
            prices: Prices::Spread,
        }),
        clock: Clock::frozen_at_day(DAY),
        ..Settings::default()
    }
}

impl Shop {
    pub(crate) async fn open(settings: Settings) -> Self {
        // Another test of this process may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let site = Storefront::start(settings).await.expect("a storefront");
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self { site, client }
    }

    pub(crate) async fn ask(&self, path: &str, accept: &str) -> Result<Answer, reqwest::Error> {
        let url = format!("{}{path}", self.site.base_url());
        let answer = self
            .client
            .get(url)
            .header("Accept-Encoding", accept)
            .send()
            .await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer {
            status,
            headers,
            body: answer.bytes().await?.to_vec(),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(path, "identity").await.expect("an answer")
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(
            answer.status,
            200,
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()
    }

    pub(crate) async fn post(&self, path: &str, body: String) -> Answer {
        let url = format!("{}{path}", self.site.base_url());
        let answer = self
            .client
            .post(url)
            .body(body)
            .send()
            .await
            .expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer {
            status,
            headers,
            body: answer.bytes().await.expect("a body").to_vec(),
        }
    }

    /// Leafs in depth-first order, as a crawler finds them: `(id, product_count)`.
    pub(crate) async fn leafs(&self) -> Vec<(u64, u64)> {
        let mut leafs = Vec::new();
        let mut open = vec![2_u64];
        while let Some(parent) = open.pop() {
            let answer = self
                .json(&format!("/api/v2/categories?parent_id={parent}"))
                .await;
            let data = answer["data"].as_array().expect("data").clone();
            for category in data.iter().rev() {
                open.push(category["id"].as_u64().expect("an id"));
            }
            if data.is_empty() {
                leafs.push(parent);
            }
        }
        let mut counted = Vec::new();
        for leaf in leafs {
            let page = self
                .json(&format!("/api/v2/products?category={leaf}&limit=1"))
                .await;
            counted.push((leaf, page["paging"]["total"].as_u64().expect("a total")));
        }
        counted
    }
}

pub(crate) fn ids(page: &Value) -> Vec<u64> {
    let items = page["data"].as_array().expect("data");
    items
        .iter()
        .map(|item| item["id"].as_u64().expect("an id"))
        .collect()
}

pub(crate) fn unpack(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut plain)?;
    Ok(plain)
}
