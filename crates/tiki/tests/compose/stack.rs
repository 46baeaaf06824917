//! A copy of the project's Compose files with a `.env` of its own, and what runs of it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use testkit::{free_port, wait_until};

use crate::calendar::not_today;
use crate::docker::{Compose, Docker, finish, said};
use crate::images::{PROGRAM, project};

/// Of docker-compose.yml, without the one that ends by itself.
pub(crate) const SERVICES: [&str; 7] = [
    "postgres",
    "redis",
    "airflow-apiserver",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-worker",
    "dashboard",
];
/// Where the worker finds the simulated shop: within its own container.
pub(crate) const SHOP_PORT: u16 = 8099;
/// A file beside the two: what must be different where images are built here.
pub(crate) const BUILD: &str = "build-here.yml";
/// All is healthy by then, on a busy machine too.
const UNTIL_HEALTHY: Duration = Duration::from_mins(5);

pub(crate) struct Stack<'a> {
    pub(crate) docker: &'a Docker,
    pub(crate) folder: PathBuf,
    pub(crate) compose: Compose,
}

/// What Docker says of a container.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) health: String,
    pub(crate) restarts: u32,
    /// Its first process, as this machine numbers it.
    pub(crate) process: u32,
}

impl<'a> Stack<'a> {
    /// A copy of what the files name.
    pub(crate) fn copy(docker: &'a Docker) -> Self {
        let folder = docker.folder("project");
        let names = [
            "Dockerfile",
            ".dockerignore",
            "docker-compose.yml",
            "docker-compose.performance.yml",
            ".env.example",
            "airflow",
            "deploy",
        ];
        for name in names {
            let mut copy = Command::new("cp");
            finish(copy.arg("-r").arg(project().join(name)).arg(&folder));
        }
        let build = format!("build: {{ network: host, args: {{ PROGRAM: {PROGRAM} }} }}");
        let services =
            ["airflow-init", "dashboard"].map(|name| format!("  {name}: {{ {build} }}\n"));
        let text = format!("services:\n{}", services.concat());
        fs::write(folder.join(BUILD), text).expect("a file");
        // What a person may have in these is nobody else's business.
        for place in ["airflow/logs", "backups"] {
            drop(fs::remove_dir_all(folder.join(place)));
        }
        Self {
            docker,
            folder,
            compose: Compose::Two,
        }
    }

    /// Makes `.env` as a user does, and points it at free ports and at the simulated shop.
    pub(crate) fn make_env(&self) -> (bool, String) {
        let answer = said(Command::new("airflow/setup/make-env.sh").current_dir(&self.folder));
        let path = self.folder.join(".env");
        let mut text = fs::read_to_string(&path).expect("the settings");
        for name in ["AIRFLOW_PORT", "DASHBOARD_PORT", "POSTGRES_PORT"] {
            let line = text
                .lines()
                .find(|line| line.starts_with(name))
                .expect("a port")
                .to_owned();
            text = text.replace(&line, &format!("{name}={}", free_port()));
        }
        let lines = [
            format!("TIKI_ORIGIN=http://127.0.0.1:{SHOP_PORT}\n"),
            format!("TIKI_SCHEDULE={}\n", not_today(2)),
            format!("TIKI_BACKUP_SCHEDULE={}\n", not_today(4)),
        ];
        text += &lines.concat();
        fs::write(path, text).expect("a file");
        answer
    }

    /// A value of `.env`.
    pub(crate) fn env(&self, name: &str) -> String {
        let text = fs::read_to_string(self.folder.join(".env")).expect("the settings");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        value.expect("a setting").to_owned()
    }

    /// Compose with both files: whether it went well, and all that it said.
    pub(crate) fn compose(&self, words: &[&str]) -> (bool, String) {
        let files = [
            "-f",
            "docker-compose.yml",
            "-f",
            "docker-compose.performance.yml",
        ];
        let mut command = match self.compose {
            Compose::One => self.docker.command("docker-compose"),
            Compose::Two => self.docker.command("docker"),
        };
        if self.compose == Compose::Two {
            command.arg("compose");
        }
        said(command.args(files).args(words).current_dir(&self.folder))
    }

    /// The container of a service, by the name that Compose gives.
    pub(crate) fn container(&self, service: &str) -> Container {
        let (well, id) = self.compose(&["ps", "-q", service]);
        let id = id.trim().to_owned();
        assert!(well && !id.is_empty(), "no container of {service}: {id}");
        let form = "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}} {{.RestartCount}} \
                    {{.State.Pid}}";
        let told = self.docker.run(&["inspect", "--format", form, &id]);
        let mut parts = told.split_whitespace();
        let mut next = || parts.next().unwrap_or_default().to_owned();
        Container {
            id,
            health: next(),
            restarts: next().parse().expect("a number"),
            process: next().parse().expect("a number"),
        }
    }

    /// A command in the container of a service, which must go well: what it printed.
    pub(crate) fn exec(&self, service: &str, words: &[&str]) -> String {
        let id = self.container(service).id;
        self.docker.run(&[&["exec", &id], words].concat())
    }

    /// Opens the shop in the worker's container; it ends with it.
    pub(crate) fn open_shop(&self) {
        let id = self.container("airflow-worker").id;
        let port = SHOP_PORT.to_string();
        let shop = [
            "tiki",
            "storefront",
            "--port",
            &port,
            "--products",
            "500",
            "--leaf-categories",
            "8",
        ];
        self.docker.run(&[&["exec", "-d", &id], &shop[..]].concat());
    }

    /// Waits until all services say that they are well.
    pub(crate) fn wait_healthy(&self) {
        let unwell = || {
            let mut unwell = Vec::new();
            for service in SERVICES {
                let seen = self.container(service);
                if seen.health != "healthy" {
                    unwell.push((service, seen.health));
                }
            }
            unwell
        };
        let begun = std::time::Instant::now();
        loop {
            let left = unwell();
            if left.is_empty() {
                return;
            }
            if begun.elapsed() > UNTIL_HEALTHY {
                let (_, logs) = self.compose(&["logs", "--tail", "30", left[0].0]);
                panic!("not healthy: {left:?}\n{logs}");
            }
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    /// Waits for something that is told within a minute or two.
    pub(crate) fn wait(what: &str, holds: impl FnMut() -> bool) {
        wait_until(what, UNTIL_HEALTHY, holds);
    }
}
