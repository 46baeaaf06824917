//! A Docker engine with folders of its own, and the two versions of Compose.
//!
//! Not here: images (`images`), what is started with them (`stack`).

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use testkit::wait_until;

/// Debian's own programs, before others of the same names.
const PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";
const UNTIL_UP: Duration = Duration::from_mins(1);

/// Ends the engine with all its containers, puts the firewall back as it was and removes the folder, when the process that holds its standard
/// input is gone, however that ended.
const KEEPER: &str = r#"
home=$1
trap '' INT TERM HUP
iptables-save > "$home/rules.new"
mv "$home/rules.new" "$home/rules"
read -r _
docker -H "unix://$home/socket" ps -aq | xargs -r docker -H "unix://$home/socket" rm -f
docker -H "unix://$home/socket" network prune -f
engine=$(cat "$home/pid" 2>/dev/null)
[ -n "$engine" ] && kill -s TERM "$engine" 2>/dev/null
for turn in $(seq 100); do
    [ -n "$engine" ] && kill -s 0 "$engine" 2>/dev/null || break
    sleep 0.2
done
for process in /proc/[0-9]*; do
    case "$(tr '\0' ' ' < "$process/cmdline" 2>/dev/null)" in
        *"$home"*) [ "${process#/proc/}" != $$ ] && kill -s KILL "${process#/proc/}" 2>/dev/null ;;
    esac
done
grep -o "$home[^ ]*" /proc/mounts | sort -r | while read -r mount; do umount -l "$mount"; done
ip link delete docker0
iptables-restore < "$home/rules"
rm -rf --one-file-system "$home"
"#;

/// Which Compose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compose {
    /// 1.29, `docker-compose`, as Debian 12 has it.
    One,
    /// 2, `docker compose`, as users have it.
    Two,
}

pub(crate) struct Docker {
    home: PathBuf,
    keeper: Child,
}

impl Docker {
    /// Starts the engine. Panics where another one runs, for both would write the same rules of the firewall, and
    /// with its last words where it does not come up.
    pub(crate) fn start() -> Self {
        let other = Path::new("/sys/class/net/docker0").exists();
        assert!(
            !other,
            "a Docker engine runs on this machine (docker0 exists): stop it, or `ip link delete docker0`"
        );
        let home = TempDir::with_prefix("tiki-docker-")
            .expect("a folder")
            .keep();
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "sh"])
            .arg(&home)
            .current_dir("/")
            .env("PATH", PATH)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let keeper = keeper.spawn().expect("a shell to clean up");
        wait_until("the rules of the firewall", UNTIL_UP, || {
            home.join("rules").exists()
        });
        let place = |name: &str| home.join(name).display().to_string();
        let log = fs::File::create(home.join("log")).expect("a file");
        let mut engine = Command::new("dockerd");
        engine
            .env("PATH", PATH)
            .args(["--data-root", &place("data"), "--exec-root", &place("exec")])
            .args(["--host", &format!("unix://{}", place("socket"))])
            .args(["--pidfile", &place("pid")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .process_group(0);
        let mut engine = engine.spawn().expect("dockerd");
        let made = Self { home, keeper };
        wait_until("the Docker engine", UNTIL_UP, || {
            let ended = engine.try_wait().expect("a status");
            assert!(ended.is_none(), "dockerd ended: {}", made.last_words());
            made.try_run(&["info"]).0
        });
        made
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(self.home.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.home.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// Puts Compose 2 where the program `docker` looks for it: of the next Debian, whose packages this one verifies.
    pub(crate) fn add_compose_two(&self) {
        let lists = self.folder("apt/lists/partial");
        let apt = lists.ancestors().nth(2).expect("a folder");
        let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let source = format!("deb [signed-by={keys}] {} trixie main\n", mirror());
        fs::write(apt.join("sources.list"), source).expect("a file");
        let script = r#"
            set -e
            apt="apt-get -q -o APT::Sandbox::User=root -o Dir::Etc::SourceList=$PWD/sources.list -o Dir::Etc::SourceParts=- \
                -o Dir::State::Lists=$PWD/lists -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache="
            $apt update && $apt download docker-compose && dpkg-deb --extract docker-compose_*.deb found
            mkdir -p ../config/cli-plugins
            find found -type f -name docker-compose -path '*cli-plugins*' -exec cp {} ../config/cli-plugins/ \;
            test -x ../config/cli-plugins/docker-compose
        "#;
        let mut command = Command::new("sh");
        finish(command.args(["-c", script]).current_dir(apt));
    }

    /// A command that talks to this engine and no other.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("PATH", PATH)
            .env(
                "DOCKER_HOST",
                format!("unix://{}", self.home.join("socket").display()),
            )
            .env("DOCKER_CONFIG", self.home.join("config"))
            .env("DOCKER_BUILDKIT", "1")
            .env("COMPOSE_DOCKER_CLI_BUILD", "1")
            .stdin(Stdio::null());
        command
    }

    /// `docker …`: whether it went well, and all that it said.
    pub(crate) fn try_run(&self, words: &[&str]) -> (bool, String) {
        said(self.command("docker").args(words))
    }

    /// `docker …`, which must go well: what it printed.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let (well, text) = self.try_run(words);
        assert!(well, "docker {}: {text}", words.join(" "));
        text.trim().to_owned()
    }

    /// Makes an image of a folder.
    pub(crate) fn import(&self, folder: &Path, name: &str) {
        let script = "tar -C \"$1\" --owner 0 --group 0 -c . | docker import - \"$2\"";
        let mut command = self.command("sh");
        finish(command.args(["-c", script, "sh"]).arg(folder).arg(name));
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// Where this machine has its Debian packages from.
pub(crate) fn mirror() -> String {
    let files = [
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list",
    ];
    let text: String = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect();
    let words: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(str::split_whitespace)
        .collect();
    let found = words.iter().find(|word| word.starts_with("http"));
    (*found.expect("a mirror in /etc/apt")).to_owned()
}

/// Runs a command to its end: whether it went well, and all that it said.
pub(crate) fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().expect("a program of Debian");
    let both = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&both).into_owned(),
    )
}

/// Runs a command that must go well.
pub(crate) fn finish(command: &mut Command) {
    let (well, text) = said(command);
    assert!(well, "{command:?}: {text}");
}
