//! Answers of `GET /metrics`, read as Prometheus reads them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testkit::wait_until;

use crate::bench::LIMIT;
use crate::serve::Serve;

/// An answer, by the samples' names with their labels as they stand there.
pub(crate) struct Scrape(pub(crate) BTreeMap<String, f64>);

impl Scrape {
    pub(crate) fn of(serve: &Serve) -> Self {
        let (status, text) = serve.get("/metrics");
        assert_eq!(status, 200, "{text}");
        Self(read(&text).unwrap_or_else(|why| panic!("{why} in\n{text}")))
    }

    /// The first one for which something holds: an answer is a few seconds old.
    pub(crate) fn once(serve: &Serve, what: &str, holds: impl Fn(&Self) -> bool) -> Self {
        let mut last = Self::of(serve);
        wait_until(what, LIMIT, || {
            last = Self::of(serve);
            holds(&last)
        });
        last
    }

    pub(crate) fn get(&self, sample: &str) -> Option<f64> {
        self.0.get(sample).copied()
    }

    pub(crate) fn is(&self, sample: &str, value: f64) -> bool {
        self.get(sample) == Some(value)
    }

    #[track_caller]
    pub(crate) fn check(&self, sample: &str, value: impl Into<Value>) {
        let value: Value = value.into();
        assert_eq!(self.get(sample), value.as_f64(), "{sample}");
    }

    /// The names of metrics that have a sample.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let names = self.0.keys();
        names
            .map(|sample| sample.split('{').next().unwrap_or_default())
            .collect()
    }
}

/// Reads the text format, version 0.0.4, and takes nothing that it does not allow.
fn read(text: &str) -> Result<BTreeMap<String, f64>, String> {
    if !text.ends_with('\n') {
        return Err("no line feed at the end".into());
    }
    let mut samples = BTreeMap::new();
    let (mut helped, mut current) = (BTreeSet::new(), None);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, _) = rest.split_once(' ').ok_or("a HELP without text")?;
            if !helped.insert(name) {
                return Err(format!("{name} comes twice"));
            }
            let kind = lines
                .next()
                .and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")));
            if !matches!(kind, Some("gauge" | "counter")) {
                return Err(format!("{name} has no TYPE"));
            }
            current = Some(name);
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').ok_or(format!("no value: {line}"))?;
        let (name, labels) = match sample.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}').ok_or("no end of labels")?),
            None => (sample, ""),
        };
        if current != Some(name) {
            return Err(format!("{name} does not stand below its HELP"));
        }
        check_labels(labels)?;
        let value: f64 = value.parse().map_err(|_| format!("{value} is no number"))?;
        if samples.insert(sample.to_owned(), value).is_some() {
            return Err(format!("{sample} comes twice"));
        }
    }
    Ok(samples)
}

/// Pairs of a name and a quoted value, with commas between them.
fn check_labels(mut rest: &str) -> Result<(), String> {
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").ok_or(format!("no label: {rest}"))?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            return Err(format!("{name:?} is no name of a label"));
        }
        let mut letters = after.char_indices();
        let end = loop {
            match letters.next() {
                Some((_, '\\')) if matches!(letters.next(), Some((_, '\\' | '"' | 'n'))) => {}
                Some((at, '"')) => break at,
                Some((_, c)) if c != '\\' => {}
                _ => return Err(format!("no end of a value: {after}")),
            }
        };
        rest = &after[end + 1..];
        if !rest.is_empty() {
            rest = rest.strip_prefix(',').ok_or("no comma between labels")?;
        }
    }
    Ok(())
}

#[test]
fn the_reader_refuses_what_is_not_the_format() {
    let head = "# HELP a b\n# TYPE a gauge\n";
    let good = |rest: &str| read(&format!("{head}{rest}"));
    assert_eq!(
        good("a{x=\"1\\\"\",y=\"\"} 2.5\n").map(|all| all.len()),
        Ok(1)
    );
    for rest in [
        "a 1",
        "b 1\n",
        "a one\n",
        "a 1\na 2\n",
        "a{x=1} 1\n",
        "a{x=\"1} 1\n",
        "a{x=\"\\q\"} 1\n",
        "a{x=\"1\"y=\"2\"} 1\n",
        "a 1\n# HELP a b\n# TYPE a gauge\n",
        "a 1\n# HELP c d\nc 1\n",
    ] {
        assert!(good(rest).is_err(), "{rest}");
    }
}
