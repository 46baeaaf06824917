//! Figures of this machine: how much memory and disk there is, and how busy it is.
//!
//! Not here: what is too much (`environment`, `servers`).

use std::path::Path;
use std::time::Duration;

use sysinfo::System;

use crate::disk;

/// Looks at how busy the machine is, where one moment of it is not to count.
pub const SAMPLES: usize = 10;

/// Memory in bytes: the machine's, or what this process may use of it; `None`: not known.
pub fn memory() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let own = system.cgroup_limits().map(|limits| limits.total_memory);
    let all = system.total_memory();
    Some(own.map_or(all, |own| own.min(all))).filter(|bytes| *bytes > 0)
}

/// Bytes free on the disk of a folder, or why that is not known.
pub fn free(folder: &Path) -> Result<u64, String> {
    let space = disk::space(folder);
    space
        .map(|space| space.free)
        .map_err(|error| format!("{}: {error}", folder.display()))
}

/// How busy the machine is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Busy {
    /// Processors, percent.
    pub cpu: f64,
    /// Memory, percent.
    pub memory: f64,
    /// Processors.
    pub cpus: usize,
    /// Bytes of memory that are free or can be made so.
    pub memory_available: u64,
}

/// The median of so many looks, a fifth of a second each; `None`: the system does not tell.
pub async fn busy(samples: usize) -> Option<Busy> {
    let mut system = System::new().ok()?;
    system.refresh_cpu_usage();
    let pause = sysinfo::MINIMUM_CPU_UPDATE_INTERVAL.max(Duration::from_millis(200));
    let (mut cpu, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..samples {
        tokio::time::sleep(pause).await;
        system.refresh_cpu_usage();
        system.refresh_memory();
        cpu.push(f64::from(system.global_cpu_usage()));
        let total = system.total_memory();
        let used = total.saturating_sub(system.available_memory());
        memory.push(used as f64 * 100.0 / total.max(1) as f64);
    }
    Some(Busy {
        cpu: median(cpu)?,
        memory: median(memory)?,
        cpus: system.cpus().len(),
        memory_available: system.available_memory(),
    })
}

/// The middle one, of two middle ones the lower.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    values.get(middle).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_busy_moment_among_ten_does_not_count() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![99.0]), Some(99.0));
        assert_eq!(median(vec![3.0, 99.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn this_machine_has_memory_and_a_disk() {
        assert!(memory() > Some(64 << 20));
        assert!(free(Path::new(".")).is_ok());
    }
}
