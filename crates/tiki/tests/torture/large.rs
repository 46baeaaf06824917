//! What a day of 100,000 products holds in memory; in the tests of every day one of 20,000.
//!
//! Not counted: the simulated shop, which is a process of its own here.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use testkit::ChildGuard;

use crate::home::{Home, store};

/// Runs a day of so many products without limits in both warehouses.
fn large_day(products: u32) {
    for postgres in [false, true] {
        let home = Home::new(postgres);
        let products = products.to_string();
        let (_shop, origin) = shop(&home, &products);
        let mut command = home.tiki(&origin, &["run"]);
        command
            .env_remove("TIKI_CLOCK")
            .env_remove("TIKI_BATCH")
            .env("TIKI_MAX_CATEGORIES", "0")
            .env("TIKI_MAX_PRODUCTS_PER_CATEGORY", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = ChildGuard::spawn(&mut command).expect("tiki");
        let status = format!("/proc/{}/status", child.id());
        let stderr = child.child().stderr.take().expect("stderr");
        let mut peak_kb: u64 = 0;
        // Its lines are the moments to look: one every five seconds at least.
        for line in BufReader::new(stderr).lines() {
            line.expect("a line");
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kb = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            peak_kb = kb.unwrap_or(0).max(peak_kb);
        }
        assert_eq!(child.child().wait().expect("its end").code(), Some(0));
        let store = store(postgres);
        println!(
            "{store}: a day of {products} products peaks at {} MB",
            peak_kb / 1024
        );
        assert!((10_000..200_000).contains(&peak_kb), "{peak_kb} kB");
    }
}

/// A shop and where it is.
fn shop(home: &Home, products: &str) -> (ChildGuard, String) {
    let arguments = ["storefront", "--port", "0", "--products", products];
    let mut command = home.tiki("", &arguments);
    command
        .env_remove("TIKI_CLOCK")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = ChildGuard::spawn(&mut command).expect("the storefront");
    let out = child.child().stdout.take().expect("its output");
    let mut origin = String::new();
    let read = BufReader::new(out).read_line(&mut origin);
    read.expect("its address");
    (child, origin.trim().into())
}

#[test]
#[ignore = "slow: 20,000 products in both warehouses"]
fn a_large_day_holds_little_in_memory() {
    large_day(20_000);
}

#[test]
#[ignore = "torture: 100,000 products in both warehouses"]
fn torture_a_large_day_holds_little_in_memory() {
    large_day(100_000);
}
