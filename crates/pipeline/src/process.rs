//! Which process this is, and whether another of this machine is gone. A process is its id and the
//! moment it started: an id alone comes back.

use warehouse::Host;

/// This process.
pub(crate) fn this_host() -> Host {
    let node = rustix::system::uname();
    let name = node.nodename().to_string_lossy().into_owned();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // Two containers may have one name and each a process 1: the name space tells them apart.
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let id = std::process::id();
    Host {
        name: format!("{name} {} {}", boot.trim(), space.display()),
        process: format!("{id} {}", started(id).unwrap_or_default()),
    }
}

/// The id of a process and the name of its machine, without what tells them from others of that id and name.
pub fn id_and_machine(host: &Host) -> (&str, &str) {
    let first = |text| str::split(text, ' ').next().unwrap_or("");
    (first(&host.process), first(&host.name))
}

/// A process for people: its id and its machine.
pub fn shown(host: &Host) -> String {
    let (id, machine) = id_and_machine(host);
    format!("{id} on {machine}")
}

/// Whether it is known that a process is gone: it was one of this machine.
pub fn is_gone(host: &Host) -> bool {
    host.name == this_host().name && is_dead(&host.process)
}

/// Whether a process of this machine, as [`this_host`] writes it, is gone.
pub(crate) fn is_dead(process: &str) -> bool {
    let Some((id, start)) = process.split_once(' ') else {
        return false;
    };
    let Ok(id) = id.parse() else { return false };
    // Where there is no /proc nothing is known, and only the lease decides.
    if !std::path::Path::new("/proc/self/stat").exists() {
        return false;
    }
    started(id).is_none_or(|started| started != start)
}

/// When a process started, in ticks since the machine did; `None` for one that is gone or a zombie.
fn started(id: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let state = *fields.first()?;
    (state != "Z" && state != "X").then(|| fields.get(19).map(|ticks| (*ticks).to_owned()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_an_earlier_one_of_its_id_does_not() {
        let host = this_host();
        assert!(!is_dead(&host.process));
        assert!(is_dead(&format!("{} 1", std::process::id())));
        assert!(
            is_dead("4194304999 1") || !is_dead("4194304999 1"),
            "no panic on a large id"
        );
    }
}
