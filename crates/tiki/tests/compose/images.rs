//! The images: bases made on the spot, under the names that our files use, and ours of them.
//!
//! Not here: what is in ours (`Dockerfile`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::docker::{Docker, finish, mirror};

const BASE: &str = "debian:bookworm-slim";
/// An image with nothing but the program, in place of the stage that builds it.
const PROGRAM: &str = "tiki-program:built";

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

/// Both of ours, with the program that is built already.
pub(crate) fn ours(docker: &Docker) {
    let program = docker.folder("program");
    let place = program.join("usr/local/bin");
    fs::create_dir_all(&place).expect("a folder");
    let mut strip = Command::new("strip");
    strip.args(["--strip-debug", "-o"]).arg(place.join("tiki"));
    finish(strip.arg(env!("CARGO_BIN_EXE_tiki")));
    docker.import(&program, PROGRAM);
    let project = project().display().to_string();
    for (target, name) in [
        ("tiki", "tiki-data-pipeline"),
        ("airflow", "tiki-data-pipeline-airflow"),
    ] {
        let built = format!("PROGRAM={PROGRAM}");
        docker.run(&[
            "build",
            "--quiet",
            "--network",
            "host",
            "--build-arg",
            &built,
            "--target",
            target,
            "--tag",
            name,
            &project,
        ]);
    }
}
