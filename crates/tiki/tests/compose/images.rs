//! The images: bases made on the spot, under the names that our files use, and ours of them.
//!
//! Not here: what is in ours (`Dockerfile`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::docker::{Docker, finish, mirror, said};

const BASE: &str = "debian:bookworm-slim";
/// An image with nothing but the program, in place of the stage that builds it.
pub(crate) const PROGRAM: &str = "tiki-program:built";

/// The image of Rust in place of the official one: Debian's compiler of C, and this machine's toolchain.
const RUST: &str = r"FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
COPY toolchain /usr/local/rust
ENV PATH=/usr/local/rust/bin:/usr/local/bin:/usr/bin:/bin CARGO_HOME=/usr/local/cargo
";

/// How this machine reaches its packages; a container of it must do the same.
const WAYS: [&str; 6] = [
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
    "/etc/ssl/certs",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/etc/pip.conf",
];

pub(crate) fn project() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the project").to_path_buf()
}

/// Debian, PostgreSQL and Redis.
pub(crate) fn bases(docker: &Docker) {
    let root = docker.folder("root");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "--include=ca-certificates", "bookworm"]);
    finish(debootstrap.arg(&root).arg(mirror()));
    for way in WAYS.iter().map(Path::new).filter(|way| way.exists()) {
        let place = root.join(way.strip_prefix("/").expect("an absolute path"));
        let folder = place.parent().expect("a folder");
        fs::create_dir_all(folder).expect("a folder");
        // Links between the certificates of both point at the same names.
        let mut copy = Command::new("cp");
        finish(
            copy.args(["-rL", "--remove-destination"])
                .arg(way)
                .arg(folder),
        );
    }
    docker.import(&root, BASE);
    fs::remove_dir_all(&root).expect("to remove it");
    for (name, folder) in [
        ("postgres:15-bookworm", "postgres"),
        ("redis:7.2-bookworm", "redis"),
    ] {
        let folder = project()
            .join("crates/tiki/tests/compose/images")
            .join(folder);
        let folder = folder.display().to_string();
        docker.run(&[
            "build",
            "--quiet",
            "--network",
            "host",
            "--tag",
            name,
            &folder,
        ]);
    }
}

/// The program that is built already, as an image.
pub(crate) fn program(docker: &Docker) {
    let folder = docker.folder("program");
    let place = folder.join("usr/local/bin");
    fs::create_dir_all(&place).expect("a folder");
    let mut strip = Command::new("strip");
    strip.args(["--strip-debug", "-o"]).arg(place.join("tiki"));
    finish(strip.arg(env!("CARGO_BIN_EXE_tiki")));
    docker.import(&folder, PROGRAM);
}

/// The stage that builds the program of the source, whole. It takes ten minutes or more; what it makes is asked for
/// its version.
pub(crate) fn of_source(docker: &Docker) -> (bool, String) {
    let folder = docker.folder("rust");
    let mut sysroot = Command::new("rustc");
    let (_, toolchain) = said(sysroot.args(["--print", "sysroot"]));
    let mut copy = Command::new("cp");
    finish(
        copy.arg("-rL")
            .arg(toolchain.trim())
            .arg(folder.join("toolchain")),
    );
    fs::write(folder.join("Dockerfile"), RUST).expect("a file");
    let rust = "rust:1.95-slim-bookworm";
    let place = folder.display().to_string();
    docker.run(&[
        "build",
        "--quiet",
        "--network",
        "host",
        "--tag",
        rust,
        &place,
    ]);
    fs::remove_dir_all(&folder).expect("to remove it");
    let project = project().display().to_string();
    let (well, text) = docker.try_run(&[
        "build",
        "--quiet",
        "--network",
        "host",
        "--target",
        "tiki",
        "--tag",
        "of-source",
        &project,
    ]);
    if well {
        docker.try_run(&["run", "--rm", "of-source", "--version"])
    } else {
        (well, text)
    }
}
