//! Proving a backup: it is restored into a database of its own, and counted there.
//!
//! Not here: restoring it there (`sqlite`, `postgres`), which backup is the newest.

use super::error::BackupError;
use super::folder::{PARTIAL, remove};
use super::manifest::{Facts, Manifest};
use super::{Backup, BackupKind, Backups, blocking, sqlite};
use crate::error::{Error, Result};

impl Backups {
    /// Restores a backup (the newest of this warehouse, where none is named) into a database of its own, finds
    /// there what the manifest says, and notes that. `None`: there is no backup.
    pub async fn verify(&self, id: Option<&str>) -> Result<Option<Backup>> {
        let _lock = self.lock()?;
        let Some(mut backup) = self.find(id)? else {
            return Ok(None);
        };
        // Until this proof is through, no earlier one counts: others would be deleted for it.
        let earlier = backup.manifest.verified_at.take();
        if earlier.is_some() {
            backup.manifest.write(&backup.folder)?;
        }
        match self.prove(&backup).await {
            Ok(at) => backup.manifest.verified_at = Some(at),
            Err(error) => {
                // What else kept the proof from being made says nothing against the backup.
                if earlier.is_some() && !is_broken(&error) {
                    backup.manifest.verified_at = earlier;
                    // What failed says more than that this failed too.
                    drop(backup.manifest.write(&backup.folder));
                }
                return Err(error);
            }
        }
        backup.manifest.write(&backup.folder)?;
        Ok(Some(backup))
    }

    /// The time of the proof.
    async fn prove(&self, backup: &Backup) -> Result<String> {
        let data = self.data(backup)?;
        match self.kind {
            BackupKind::Sqlite => blocking(|| {
                let scratch = self.folder.join(format!("verify.db{PARTIAL}"));
                let done = sqlite::unpack(&data, &backup.manifest, &scratch);
                let removed = remove(&scratch);
                done.and_then(|()| Ok(removed?))
                    .and_then(|()| sqlite::machine_time())
            }),
            BackupKind::Postgres => {
                let server = self.server()?;
                server
                    .prove(&backup.manifest, &data, self.search.as_deref())
                    .await
            }
        }
    }
}

fn is_broken(error: &Error) -> bool {
    matches!(error, Error::Backup(BackupError::Broken { .. }))
}

/// Whether what was counted is what the manifest says.
pub(super) fn same(manifest: &Manifest, found: &Facts) -> std::result::Result<(), BackupError> {
    let said = &manifest.facts;
    if said == found {
        return Ok(());
    }
    let tables = said.rows.keys().chain(found.rows.keys());
    let other = tables
        .map(|table| (table, said.rows.get(table), found.rows.get(table)))
        .find(|(_, said, found)| said != found);
    let why = match other {
        Some((table, said, found)) => {
            let told = |count: Option<&i64>| count.map_or("no table".into(), i64::to_string);
            format!(
                "{table}: {} rows in the manifest, {} restored",
                told(said),
                told(found)
            )
        }
        None => "its newest look or its schema is another than the manifest says".into(),
    };
    Err(BackupError::Broken {
        id: manifest.id.clone(),
        why,
    })
}
