//! The project's folder as sections 1 to 7, 21 and 25 look at it. Writes nothing there.
//!
//! Not here: what is made of it (`pipeline::preflight`).

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeline::outside;
use pipeline::preflight::environment::{Environment, Said, Service, services_in};
use pipeline::preflight::figures;
use pipeline::preflight::project::{EnvFile, FILES, ROLLBACK_FILE, Repository};
use rustix::fs::{Access, access};
use tokio::time::timeout;

use crate::setting::secrets;

/// How long the folder's disk may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long another program may take.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(15);

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Files of Python that are looked at, at most.
const MAX_MODULES: usize = 200;

/// Says which of its arguments are no Python.
const READ_MODULES: &str = "import ast, sys
for name in sys.argv[1:]:
    try:
        ast.parse(open(name, 'rb').read(), name)
    except Exception as error:
        print(f'{name}: {error}')
";

/// What was seen.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) environment: Environment,
    pub(super) env: EnvFile,
    pub(super) repository: Option<Result<Repository, String>>,
    pub(super) modules: Option<Result<Vec<String>, String>>,
    pub(super) python_files: usize,
    pub(super) missing: Option<Vec<&'static str>>,
    pub(super) steps: Option<String>,
    pub(super) services: Option<Result<Vec<Service>, String>>,
    pub(super) logs: Option<Result<(), String>>,
    pub(super) rollback: Option<bool>,
}

/// What the disk tells.
#[derive(Debug, Default)]
struct OnDisk {
    has_compose: bool,
    has_dags: bool,
    is_repository: bool,
    free: Option<Result<u64, String>>,
    env: EnvFile,
    missing: Vec<&'static str>,
    modules: Vec<String>,
    steps: Option<String>,
    logs: Option<Result<(), String>>,
    rollback: bool,
}

/// Looks at the folder for some of the sections; a disk that does not answer is one without the project.
pub(super) async fn look(folder: &Path, sections: &[u8]) -> Project {
    let path = folder.to_owned();
    let read = tokio::task::spawn_blocking(move || read(&path));
    let disk = match timeout(PATIENCE, read).await {
        Ok(Ok(disk)) => disk,
        Ok(Err(_)) | Err(_) => OnDisk {
            free: Some(Err(format!("no answer in {PATIENCE:?}"))),
            ..OnDisk::default()
        },
    };
    let wants = |section: u8| sections.contains(&section);
    let (docker, compose, python, services, repository) = tokio::join!(
        only(disk.has_compose && wants(1), docker(folder)),
        only(disk.has_compose && wants(1), compose(folder)),
        only(
            disk.has_dags && (wants(1) || wants(4)),
            ask("python3", &["--version"], folder)
        ),
        only(disk.has_compose && wants(7), services(folder)),
        only(disk.is_repository && wants(3), repository(folder)),
    );
    let modules = only(disk.has_dags && wants(4), modules(folder, &disk.modules)).await;
    Project {
        environment: Environment {
            memory: figures::memory(),
            free: disk.free.unwrap_or_else(|| Err("not looked at".into())),
            docker,
            compose,
            python,
        },
        env: disk.env,
        repository,
        modules,
        python_files: disk.modules.len(),
        missing: disk.has_compose.then_some(disk.missing),
        steps: disk.steps,
        services,
        logs: disk.logs.filter(|_| disk.has_compose),
        rollback: disk.has_dags.then_some(disk.rollback),
    }
}

async fn only<T>(wanted: bool, look: impl Future<Output = T>) -> Option<T> {
    if wanted { Some(look.await) } else { None }
}

async fn ask(program: &str, arguments: &[&str], folder: &Path) -> Said {
    outside::ask(program, arguments, folder, PROGRAM_PATIENCE, &secrets()).await
}

async fn docker(folder: &Path) -> Said {
    ask(
        "docker",
        &["version", "--format", "{{.Server.Version}}"],
        folder,
    )
    .await
}

async fn compose(folder: &Path) -> Said {
    match ask("docker", &["compose", "version", "--short"], folder).await {
        Ok(version) => Ok(version),
        // The program of its own, before there was a plugin.
        Err(why) => ask("docker-compose", &["version", "--short"], folder)
            .await
            .map_err(|_| why),
    }
}

async fn services(folder: &Path) -> Result<Vec<Service>, String> {
    let arguments = ["compose", "ps", "--all", "--format", "json"];
    // Of a .env that it cannot read it shows the line, which may be a secret.
    let told = ask("docker", &arguments, folder).await;
    let told = told.map_err(|_| "`docker compose ps` fails".to_owned())?;
    services_in(&told)
}

async fn repository(folder: &Path) -> Result<Repository, String> {
    // No program of the repository's own settings is begun.
    let arguments = [
        "-c",
        "core.fsmonitor=false",
        "status",
        "--porcelain=v2",
        "--branch",
    ];
    let text = ask("git", &arguments, folder).await?;
    Ok(Repository::read(&text))
}

async fn modules(folder: &Path, names: &[String]) -> Result<Vec<String>, String> {
    let mut arguments = vec!["-I", "-B", "-c", READ_MODULES];
    arguments.extend(names.iter().map(String::as_str));
    let said = ask("python3", &arguments, folder).await?;
    Ok(said.lines().map(str::to_owned).collect())
}

fn read(folder: &Path) -> OnDisk {
    let at = |name: &str| folder.join(name);
    let env = at(".env");
    let mode = std::fs::metadata(&env).map(|data| data.permissions().mode());
    let text = mode.is_ok().then(|| text(&env));
    OnDisk {
        has_compose: at("docker-compose.yml").is_file(),
        has_dags: at("airflow/dags").is_dir(),
        is_repository: folder
            .ancestors()
            .any(|folder| folder.join(".git").exists()),
        free: Some(figures::free(folder)),
        env: EnvFile {
            example: self::text(&at(".env.example")).ok(),
            text,
            mode: mode.unwrap_or(0),
        },
        missing: FILES
            .into_iter()
            .filter(|name| !at(name).exists())
            .collect(),
        modules: ["airflow/dags", "airflow/dags/tiki_pipeline"]
            .into_iter()
            .flat_map(|below| python_files(folder, below))
            .take(MAX_MODULES)
            .collect(),
        steps: self::text(&at("airflow/dags/tiki_pipeline/steps.py")).ok(),
        logs: Some(can_be_written(&at("airflow/logs"))),
        rollback: at(ROLLBACK_FILE).is_file(),
    }
}

fn text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    read.map_err(|error| format!("{name}: {error}"))?;
    Ok(text)
}

/// Names of files of Python in a folder below, in order.
fn python_files(folder: &Path, below: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join(below)).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let python = paths.filter(|path: &PathBuf| path.extension().is_some_and(|end| end == "py"));
    let mut names: Vec<String> = python
        .filter_map(|path| Some(format!("{below}/{}", path.file_name()?.to_str()?)))
        .collect();
    names.sort();
    names
}

pub(super) fn can_be_written(folder: &Path) -> Result<(), String> {
    let found = std::fs::metadata(folder).map_err(|error| error.to_string())?;
    if !found.is_dir() {
        return Err("it is no folder".into());
    }
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| error.to_string())
}
