//! A clock that is far ahead: of one of two processes, and of whoever cleans up.

use std::path::PathBuf;
use std::process::Command;

use crate::count;
use crate::tiki::{Shop, Tiki};

/// A library that answers every question for the time of day with a later one.
const AHEAD: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, at);
    if (done == 0 && clock == CLOCK_REALTIME) at->tv_sec += DAYS * 86400;
    return done;
}
#ifdef SQLITE_TOO
#include <sys/time.h>
int gettimeofday(struct timeval *at, void *zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
    int done = real(at, zone);
    if (done == 0) at->tv_sec += DAYS * 86400;
    return done;
}
#endif
"#;

/// Makes it.
fn ahead(tiki: &Tiki, days: &[&str]) -> PathBuf {
    tiki.write("ahead.c", AHEAD);
    let library = tiki.path("ahead.so");
    let made = Command::new("gcc")
        .args(days)
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &tiki.path("ahead.c")])
        .arg("-ldl")
        .status()
        .expect("gcc");
    assert!(made.success());
    library
}

#[test]
fn of_two_processes_the_one_whose_clock_is_a_day_off_is_refused() {
    let tiki = Tiki::new()
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_MAX_CATEGORIES", "2");
    let shop = Shop::open(&tiki, &["--products", "120"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    let library = ahead(&tiki, &["-DDAYS=1"]);
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

/// Nobody asks the site, so that nobody tells what time it is.
#[test]
fn a_clock_that_is_far_ahead_takes_nothing_away() {
    let tiki = Tiki::new()
        .with("TIKI_RATE_LIMIT", "0")
        .with("TIKI_MAX_CATEGORIES", "2")
        .with("TIKI_DETAILS", "always");
    let shop = Shop::open(&tiki, &["--products", "60"]);
    let tiki = tiki.with("TIKI_ORIGIN", &shop.url);
    tiki.ends(0, &["run"]);
    tiki.ends(0, &["run"]);
    let kept = || {
        ["pages", "listings", "observations", "runs"]
            .map(|table| count(&tiki, &format!("SELECT COUNT(*) AS n FROM {table}")))
    };
    let before = kept();
    let library = ahead(&tiki, &["-DDAYS=800", "-DSQLITE_TOO"]);
    // The first time it would only say so.
    for _ in 0..2 {
        let cleaned = tiki
            .command(&["cleanup"])
            .env("LD_PRELOAD", &library)
            .output()
            .expect("the program");
        let text = String::from_utf8_lossy(&cleaned.stderr).into_owned();
        assert_eq!(cleaned.status.code(), Some(0), "{text}");
    }
    assert_eq!(kept(), before);
    assert!(before.iter().all(|rows| *rows > 1), "{before:?}");
}
