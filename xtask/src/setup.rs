//! `cargo xtask setup`: finds or installs what the tests need.

mod python;

use crate::{Failure, Outcome, dependencies, root};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Something the tests need of the machine.
struct Need {
    name: &'static str,
    /// What it is needed for.
    wanted_by: &'static str,
    /// Where it was found, in words.
    find: fn() -> Option<String>,
    source: Source,
}

enum Source {
    /// A Debian package, and the service of it that must not run by itself.
    Package {
        name: &'static str,
        service: Option<&'static str>,
    },
    /// A part of the Rust toolchain.
    Component(&'static str),
}

/// A new need is a line here.
const NEEDS: &[Need] = &[
    Need {
        name: "rustfmt",
        wanted_by: "cargo xtask test",
        find: || answer_of("cargo", &["fmt", "--version"]),
        source: Source::Component("rustfmt"),
    },
    Need {
        name: "clippy",
        wanted_by: "cargo xtask test",
        find: || answer_of("cargo", &["clippy", "--version"]),
        source: Source::Component("clippy"),
    },
    Need {
        name: "PostgreSQL server, 15 or newer",
        wanted_by: "cargo xtask test",
        find: || testkit::Postgres::find().map(|folder| folder.display().to_string()),
        source: Source::Package {
            name: "postgresql",
            service: None,
        },
    },
    Need {
        name: "Redis server",
        wanted_by: "cargo xtask test",
        find: || testkit::Redis::find().map(|file| file.display().to_string()),
        source: Source::Package {
            name: "redis-server",
            service: Some("redis-server"),
        },
    },
    Need {
        name: "systemd-analyze",
        wanted_by: "the test of deploy/systemd",
        find: || answer_of("systemd-analyze", &["--version"]),
        source: Source::Package {
            name: "systemd",
            service: None,
        },
    },
    Need {
        name: "Python 3.11 or newer with venv",
        wanted_by: "the tests that read our files as analysts do",
        find: python::find,
        source: Source::Package {
            name: "python3-venv",
            service: None,
        },
    },
];

/// What `cargo xtask compose check` needs besides.
const DOCKER: &[Need] = &[
    Need {
        name: "Docker's engine",
        wanted_by: "cargo xtask compose check",
        find: || answer_of("dockerd", &["--version"]),
        source: Source::Package {
            name: "docker.io",
            service: Some("docker"),
        },
    },
    Need {
        name: "Compose 1.29",
        wanted_by: "cargo xtask compose check",
        find: || answer_of("docker-compose", &["--version"]),
        source: Source::Package {
            name: "docker-compose",
            service: None,
        },
    },
    Need {
        name: "debootstrap",
        wanted_by: "cargo xtask compose check",
        find: || answer_of("debootstrap", &["--version"]),
        source: Source::Package {
            name: "debootstrap",
            service: None,
        },
    },
    Need {
        name: "iptables",
        wanted_by: "cargo xtask compose check",
        find: || answer_of("iptables", &["--version"]),
        source: Source::Package {
            name: "iptables",
            service: None,
        },
    },
];

/// How often apt is tried while another process holds its lock or a mirror fails.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(10);
/// The longest that one call of apt may take, in seconds.
const APT_LIMIT_S: u32 = 900;

pub(crate) fn run() -> Outcome {
    programs(NEEDS)?;
    python::packages(testkit::Python::READERS)?;
    python::packages(testkit::Python::AIRFLOW)?;
    dependencies::install(&root())
}

/// Finds or installs Docker's engine and what belongs to it.
pub(crate) fn docker() -> Outcome {
    programs(DOCKER)
}

fn programs(needs: &'static [Need]) -> Outcome {
    let missing = look(needs);
    let components: Vec<_> = missing
        .iter()
        .filter_map(|need| match need.source {
            Source::Component(name) => Some(name),
            Source::Package { .. } => None,
        })
        .collect();
    if !components.is_empty() {
        return Err(Failure::Work(format!(
            "the Rust toolchain lacks {0}: run `rustup component add {0}`",
            components.join(" ")
        )));
    }
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    let missing = look(needs);
    let names: Vec<_> = missing.iter().map(|need| need.name).collect();
    if names.is_empty() {
        return Ok(());
    }
    let what = format!(
        "still missing after the packages were installed: {}. This system's packages may be too old: \
         install newer ones by hand and run `cargo xtask setup` again",
        names.join(", ")
    );
    Err(Failure::Work(what))
}

/// Prints what is there and what is not, and returns what is not.
fn look(needs: &'static [Need]) -> Vec<&'static Need> {
    let mut missing = Vec::new();
    for need in needs {
        if let Some(place) = (need.find)() {
            println!("found    {}: {place}", need.name);
        } else {
            println!("missing  {} (needed by {})", need.name, need.wanted_by);
            missing.push(need);
        }
    }
    missing
}

fn install(missing: &[&Need]) -> Outcome {
    let packages: Vec<_> = missing
        .iter()
        .filter_map(|need| match need.source {
            Source::Package { name, service } => Some((name, service)),
            Source::Component(_) => None,
        })
        .collect();
    let names: Vec<_> = packages.iter().map(|(name, _)| *name).collect();
    let by_hand = format!(
        "apt-get update && apt-get install -y --no-install-recommends {}",
        names.join(" ")
    );
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_root || answer_of("apt-get", &["--version"]).is_none() {
        let why = if is_root {
            "there is no apt-get here"
        } else {
            "this needs root"
        };
        let what = format!(
            "cannot install {}: {why}. Run as root on Debian: {by_hand}",
            names.join(", ")
        );
        return Err(Failure::Work(what));
    }
    println!("installing {}", names.join(", "));
    let quiet = Quiet::begin()?;
    let lock = "DPkg::Lock::Timeout=120";
    apt(&["update", "-qq", "-o", lock], &by_hand)?;
    let mut arguments = vec![
        "install",
        "-qq",
        "-y",
        "--no-install-recommends",
        "-o",
        lock,
    ];
    arguments.extend(&names);
    apt(&arguments, &by_hand)?;
    drop(quiet);
    for service in packages.iter().filter_map(|(_, service)| *service) {
        // Where there is no systemd there is nothing that would start it.
        drop(answer_of("systemctl", &["disable", "--quiet", service]));
    }
    Ok(())
}

fn apt(arguments: &[&str], by_hand: &str) -> Outcome {
    let mut said = String::new();
    for turn in 1..=TRIES {
        let mut command = Command::new("timeout");
        command
            .arg(APT_LIMIT_S.to_string())
            .arg("apt-get")
            .args(arguments);
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        let output = command.output();
        let output =
            output.map_err(|error| Failure::Work(format!("cannot run apt-get: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        if turn < TRIES {
            println!(
                "apt-get {} failed, again in {} s",
                arguments[0],
                PAUSE.as_secs()
            );
            std::thread::sleep(PAUSE);
        }
    }
    let what = format!(
        "apt-get {} failed {TRIES} times: {}\nBy hand: {by_hand}",
        arguments[0],
        said.trim()
    );
    Err(Failure::Work(what))
}

/// While it lives, installed packages neither start services nor make a PostgreSQL cluster:
/// the tests start servers of their own.
struct Quiet {
    made: Vec<PathBuf>,
}

impl Quiet {
    fn begin() -> Result<Self, Failure> {
        let mut quiet = Self { made: Vec::new() };
        quiet.put("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)?;
        let cluster = "/etc/postgresql-common/createcluster.d/tests.conf";
        quiet.put(cluster, "create_main_cluster = false\n", 0o644)?;
        Ok(quiet)
    }

    /// Writes a file that is not there yet, to be removed in the end.
    fn put(&mut self, path: &str, text: &str, mode: u32) -> Outcome {
        let path = Path::new(path);
        if path.exists() {
            return Ok(());
        }
        let mut write = || {
            let folder = path.parent().unwrap_or(path);
            if !folder.exists() {
                fs::create_dir_all(folder)?;
                self.made.push(folder.to_path_buf());
            }
            fs::write(path, text)?;
            self.made.push(path.to_path_buf());
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        };
        write().map_err(|error| Failure::Work(format!("cannot write {}: {error}", path.display())))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        for path in self.made.iter().rev() {
            if path.is_dir() {
                // A package may have put something of its own there: then it stays.
                drop(fs::remove_dir(path));
            } else if let Err(error) = fs::remove_file(path) {
                eprintln!(
                    "xtask: cannot remove {}, remove it by hand: {error}",
                    path.display()
                );
            }
        }
    }
}

/// The first line that a command prints, if it can be run and succeeds.
fn answer_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output
        .status
        .success()
        .then(|| text.lines().next().unwrap_or_default().to_owned())
}
