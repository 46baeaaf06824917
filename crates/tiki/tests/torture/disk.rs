//! A disk that fails at the N-th call: a library that is loaded before the C library and counts what the
//! program does to the file of its warehouse.
//!
//! Why not a switch in the program: what is shipped is what is tried, with nothing in it that can be
//! turned on.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What happens at the call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The process is gone before the call: `kill -9`.
    Kill,
    /// The call fails: EIO.
    Error,
}

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long calls;

/* Whether this call of a file of the warehouse is the one that fails. */
static int strikes(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!strstr(path, "/tiki.db")) return 0;
    if (atomic_fetch_add(&calls, 1) + 1 != atol(getenv("FAULT_AT"))) return 0;
    close(open(getenv("FAULT_MARK"), O_CREAT | O_WRONLY, 0600));
    if (!strcmp(getenv("FAULT"), "kill")) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    errno = EIO;
    return 1;
}

#define FAILING(kind, name, parameters, arguments)              \
    kind name parameters {                                      \
        static kind (*real) parameters;                         \
        if (strikes(fd)) return -1;                             \
        if (!real) real = (kind (*) parameters)dlsym(RTLD_NEXT, #name); \
        return real arguments;                                  \
    }

FAILING(ssize_t, write, (int fd, const void *from, size_t length), (fd, from, length))
FAILING(ssize_t, pwrite, (int fd, const void *from, size_t length, off_t at), (fd, from, length, at))
FAILING(ssize_t, pwrite64, (int fd, const void *from, size_t length, off64_t at), (fd, from, length, at))
FAILING(int, fsync, (int fd), (fd))
FAILING(int, fdatasync, (int fd), (fd))
FAILING(int, ftruncate, (int fd, off_t length), (fd, length))
FAILING(int, ftruncate64, (int fd, off64_t length), (fd, length))
"#;

/// The library.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Compiles it.
    pub(crate) fn new() -> Self {
        let disk = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let source = disk.folder.path().join("disk.c");
        std::fs::write(&source, LIBRARY).expect("a file");
        let made = Command::new("gcc")
            .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
            .args([&disk.library(), &source])
            .arg("-ldl")
            .status()
            .expect("gcc");
        assert!(made.success());
        disk
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("disk.so")
    }

    /// Has a program meet a fault at a call; `mark` is a file that is there once it did.
    pub(crate) fn strike(&self, command: &mut Command, call: u64, fault: Fault, mark: &Path) {
        let word = match fault {
            Fault::Kill => "kill",
            Fault::Error => "error",
        };
        command
            .env("LD_PRELOAD", self.library())
            .env("FAULT_AT", call.to_string())
            .env("FAULT", word)
            .env("FAULT_MARK", mark);
    }
}
