//! File systems over a network, on which SQLite's locks do not hold.

use std::path::Path;

use crate::error::{Error, Result};

/// Magic number and name.
const NETWORK_FILE_SYSTEMS: [(i64, &str); 8] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
    (0x0BD0_0BD0, "Lustre"),
];

/// Refuses a place on one of them.
pub(crate) fn refuse_network(place: &Path) -> Result<()> {
    let Ok(stat) = rustix::fs::statfs(place) else {
        return Ok(());
    };
    #[allow(
        clippy::unnecessary_cast,
        reason = "the field's type differs between targets"
    )]
    let magic = stat.f_type as i64;
    match network_file_system(magic) {
        Some(name) => {
            let place = place.display().to_string();
            Err(Error::NetworkFileSystem(place, name.into()))
        }
        None => Ok(()),
    }
}

/// The network file system of a magic number; the number may come sign-extended from 32 bits.
fn network_file_system(magic: i64) -> Option<&'static str> {
    let found = NETWORK_FILE_SYSTEMS
        .iter()
        .find(|(number, _)| *number == magic & 0xFFFF_FFFF);
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_known_by_its_number() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(0xFF53_4D42), Some("CIFS"));
        assert_eq!(
            network_file_system(i64::from(0xFF53_4D42_u32.cast_signed())),
            Some("CIFS")
        );
        for local in [0xEF53, 0x5846_5342, 0x0102_1994, 0x9123_683E, 0x794C_7630] {
            assert_eq!(network_file_system(local), None, "{local:#x}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        refuse_network(folder.path()).expect("tests run on a local disk");
    }
}
