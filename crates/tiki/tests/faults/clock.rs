//! Two processes, of which one has a clock that is a day off.

use std::process::Command;

use crate::count;
use crate::tiki::{Shop, Tiki};

/// A library that answers every question for the time of day with that of tomorrow.
const TOMORROW: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, at);
    if (done == 0 && clock == CLOCK_REALTIME) at->tv_sec += 86400;
    return done;
}
"#;

#[test]
fn of_two_processes_the_one_whose_clock_is_a_day_off_is_refused() {
    let tiki = Tiki::new()
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_MAX_CATEGORIES", "2");
    let shop = Shop::open(&tiki, &["--products", "120"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    tiki.write("tomorrow.c", TOMORROW);
    let library = tiki.path("tomorrow.so");
    let made = Command::new("gcc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &tiki.path("tomorrow.c")])
        .arg("-ldl")
        .status()
        .expect("gcc");
    assert!(made.success());
    for step in ["crawl-categories", "extract-product-urls"] {
        tiki.ends(0, &["step", step, "--run", "two"]);
    }
    let step = ["step", "crawl-product-details", "--run", "two", "--join"];
    let off = tiki
        .command(&step)
        .env("LD_PRELOAD", &library)
        .output()
        .expect("the program");
    let text = String::from_utf8_lossy(&off.stderr).into_owned();
    assert_eq!(off.status.code(), Some(2), "{text}");
    assert!(text.contains("clock"), "{text}");
    tiki.ends(0, &step);
    tiki.ends(0, &["step", "load-products", "--run", "two"]);
    let tomorrow = "SELECT COUNT(*) AS n FROM observations WHERE observed_at > \
        (SELECT MAX(finished_at) FROM run_steps)";
    assert_eq!(count(&tiki, tomorrow), 0);
}
