//! The password of the warehouse and Airflow's own secrets: nowhere in logs, in Airflow's database (rendered
//! fields, XCom, its log) or in a command line, in whatever form.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::api::escaped;
use crate::checks::Checks;
use crate::home::{PASSWORD, PLANTED};
use crate::servers::Airflow;

/// A look at all command lines, again and again beside the checks; ends with what was found.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, Vec<String>)>,
}

pub(crate) fn watch_command_lines() -> Watch {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let (mut looks, mut found) = (0, Vec::new());
        while !stopped.load(Ordering::Relaxed) {
            for entry in fs::read_dir("/proc").expect("/proc").flatten() {
                let bytes = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
                if holds_secret(&text) {
                    found.push(text);
                }
            }
            looks += 1;
            std::thread::sleep(Duration::from_millis(100));
        }
        (looks, found)
    });
    Watch { stop, thread }
}

pub(crate) fn check(airflow: &Airflow, watch: Watch, checks: &mut Checks) {
    watch.stop.store(true, Ordering::Relaxed);
    let (looks, found) = watch.thread.join().expect("the watch");
    checks.holds(
        "no secret in any command line",
        found.is_empty() && looks > 100,
        (looks, found),
    );
    let mut read = 0;
    let mut found = Vec::new();
    search(&airflow.log_folder(), &mut read, &mut found);
    checks.holds(
        "no secret in the tasks' logs",
        found.is_empty() && read > 50,
        (read, found),
    );
    let mut found = Vec::new();
    for service in ["api-server", "scheduler", "dag-processor", "worker"] {
        let file = airflow.home.path().join(format!("{service}.out"));
        let text = fs::read_to_string(file).expect("a log");
        if holds_secret(&text) {
            found.push(service);
        }
    }
    checks.holds("no secret in the services' output", found.is_empty(), found);
    let dump = airflow.postgres.dump(&airflow.airflow_db);
    let lines: Vec<&str> = dump.lines().filter(|line| holds_secret(line)).collect();
    let rendered = dump.contains("rendered_task_instance_fields");
    checks.holds(
        "no secret in Airflow's database",
        lines.is_empty() && rendered,
        (dump.len(), lines),
    );
}

fn search(folder: &Path, read: &mut u32, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            search(&path, read, found);
            continue;
        }
        *read += 1;
        let bytes = fs::read(&path).expect("a log");
        if holds_secret(&String::from_utf8_lossy(&bytes)) {
            found.push(path.display().to_string());
        }
    }
}

/// Whether a text has one of the secrets: as it is, percent-encoded, as JSON has it (once and twice), or as
/// base64.
fn holds_secret(text: &str) -> bool {
    let json = serde_json::to_string(PASSWORD).expect("JSON");
    let inner = &json[1..json.len() - 1];
    let again = serde_json::to_string(inner).expect("JSON");
    let ascii = inner.replace('é', "\\u00e9");
    let mut forms = vec![
        PASSWORD.to_owned(),
        escaped(PASSWORD),
        escaped(PASSWORD).to_lowercase(),
        inner.to_owned(),
        again[1..again.len() - 1].to_owned(),
        ascii,
    ];
    // It may begin at any of a group's three bytes.
    forms.extend((0..3).map(|from| base64(&PASSWORD.as_bytes()[from..])));
    forms
        .iter()
        .map(String::as_str)
        .chain(PLANTED)
        .any(|form| text.contains(form))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // Whole groups only: what follows them depends on the text around.
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[(bits >> shift & 63) as usize]))
    });
    groups.collect()
}
