//! Processes of this machine: whose they are, who started them, and their end.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Whether a process, or one that it started, listens on a port of 127.0.0.1: another Airflow would answer
/// the same.
pub(crate) fn listens(id: u32, port: u16) -> bool {
    let wanted = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let sockets: Vec<String> = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_listener = fields.get(3) == Some(&"0A") && fields.get(1)?.ends_with(&wanted);
            is_listener.then(|| format!("socket:[{}]", fields[9]))
        })
        .collect();
    family(id).iter().any(|id| {
        let folder = fs::read_dir(format!("/proc/{id}/fd"));
        folder.is_ok_and(|files| {
            files.flatten().any(|file| {
                let target = fs::read_link(file.path()).unwrap_or_default();
                sockets
                    .iter()
                    .any(|socket| target.as_os_str() == socket.as_str())
            })
        })
    })
}

/// A process and all that it started.
pub(crate) fn family(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut at = 0;
    while at < all.len() {
        let path = format!("/proc/{0}/task/{0}/children", all[at]);
        let children = fs::read_to_string(path).unwrap_or_default();
        all.extend(
            children
                .split_whitespace()
                .filter_map(|id| id.parse::<u32>().ok()),
        );
        at += 1;
    }
    all
}

/// Processes that work in a folder, or below it, and in whose command line a text stands. (Airflow's write their
/// titles over their environment, so that it tells nothing.)
pub(crate) fn processes(folder: &Path, text: &str) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("/proc");
    all.flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| *id != std::process::id())
        .filter(|id| {
            let place = fs::read_link(format!("/proc/{id}/cwd"));
            place.is_ok_and(|place| place.starts_with(folder))
        })
        .filter(|id| {
            let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words)
                .replace('\0', " ")
                .contains(text)
        })
        .collect()
}

/// The parent of a process.
pub(crate) fn parent(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

/// Sends a signal to a process that this Airflow started.
pub(crate) fn kill(id: u32, signal: &str) {
    let sent = Command::new("kill")
        .args(["-s", signal, &id.to_string()])
        .status();
    drop(sent);
}

/// Ends every process that works in the folder or below it, and removes the folder, when the process that holds
/// its standard input is gone, however that ended.
const KEEPER: &str = r#"
home=$1
trap '' INT TERM HUP
read -r _
for turn in 1 2 3; do
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/cwd")/" in
            "$home"/*) kill -s KILL "${process#/proc/}" 2>/dev/null ;;
        esac
    done
    sleep 0.2
done
rm -rf "$home"
"#;

pub(crate) fn keep(home: &Path) -> Child {
    let mut command = Command::new("sh");
    command
        .args(["-c", KEEPER, "sh"])
        .arg(home)
        .current_dir("/")
        .process_group(0);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().expect("a shell to clean up")
}
