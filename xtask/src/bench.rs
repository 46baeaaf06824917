//! `cargo xtask bench`: benchmarks by name.

mod build;
mod crawl;
mod growth;
mod origin;
mod process;
mod transform;
mod warehouse;

use crate::{Failure, Outcome};

/// A benchmark: its name, what it measures, and how it is run with the rest of the arguments.
struct Bench {
    name: &'static str,
    measures: &'static str,
    run: fn(&[String]) -> Outcome,
}

/// A new benchmark is a line here.
const BENCHES: &[Bench] = &[
    Bench {
        name: "crawl",
        measures: "crawl-product-details beside a bare client: CPU, rate, memory",
        run: crawl::run,
    },
    Bench {
        name: "growth",
        measures: "a day in a warehouse of 1 million looks, and of 10 million",
        run: growth::run,
    },
    Bench {
        name: "transform",
        measures: "transform-products beside making the same records in memory",
        run: transform::run,
    },
    Bench {
        name: "warehouse",
        measures: "staging and loading a day beside a bare COPY, psycopg 3 and a bare append",
        run: warehouse::run,
    },
];

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let (name, rest) = arguments.split_first().unzip();
    let name = name.map(String::as_str);
    if let Some(bench) = BENCHES.iter().find(|bench| Some(bench.name) == name) {
        return (bench.run)(rest.unwrap_or_default());
    }
    let list: Vec<_> = BENCHES
        .iter()
        .map(|b| format!("  {:<20} {}", b.name, b.measures))
        .collect();
    let list = list.join("\n");
    let what = name.map_or("which benchmark?".to_owned(), |name| {
        format!("no benchmark '{name}'")
    });
    Err(Failure::Usage(format!("{what} There are:\n{list}")))
}

/// The one in the middle; of an odd number.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
