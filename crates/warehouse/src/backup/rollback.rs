//! Going back to a backup: it is restored beside the warehouse, compared with it, and only then put in its
//! place.
//!
//! In SQLite the copy that was compared is the one that takes the place. In PostgreSQL the copy is in a
//! database of its own, from which no table can move to another, so the swap restores a second time: beside
//! the tables of today it would hold locks on them all the while that people look at the differences.
//!
//! Not here: which backup (`tiki`), the swap itself (`sqlite`, `postgres`).

use catalog::Instant;

use super::folder::remove;
use super::{Backup, BackupKind, Backups, Restored, blocking, sqlite};
use crate::differences::Differences;
use crate::error::Result;
use crate::open::{Options, Warehouse};

fn is_proven_before(backup: &Backup, instant: Instant) -> bool {
    let manifest = &backup.manifest;
    backup.is_complete && manifest.verified_at.is_some() && manifest.created() < instant
}

impl Backups {
    /// The newest proven backup of this warehouse that was made before an instant of the database.
    pub fn newest_proven_before(&self, instant: Instant) -> Result<Option<Backup>> {
        let fits = |backup: &Backup| self.is_own(backup) && is_proven_before(backup, instant);
        Ok(self.list()?.backups.into_iter().rfind(fits))
    }

    /// The same of other warehouses whose backups are in the folder: it may be this one at its old address.
    pub fn newest_proven_elsewhere(&self, instant: Instant) -> Result<Option<Backup>> {
        let fits = |backup: &Backup| !self.is_own(backup) && is_proven_before(backup, instant);
        Ok(self.list()?.backups.into_iter().rfind(fits))
    }

    /// Restores a backup beside the warehouse and gives `tell` what differs. With `swap` it is put in the
    /// warehouse's place afterwards as [`Backups::restore`] does, if `tell` did not fail.
    pub async fn roll_back<E: From<crate::Error>>(
        &self,
        id: &str,
        swap: bool,
        tell: impl FnOnce(&Backup, &Differences) -> std::result::Result<(), E>,
    ) -> std::result::Result<Option<Restored>, E> {
        let _lock = self.lock().map_err(crate::Error::from)?;
        let backup = self
            .find(Some(id))?
            .ok_or_else(|| crate::Error::from(self.nothing(id)))?;
        backup.manifest.check_schema()?;
        match self.kind {
            BackupKind::Sqlite => self.roll_back_file(&backup, swap, tell).await,
            BackupKind::Postgres => self.roll_back_schema(&backup, swap, tell).await,
        }
    }

    async fn roll_back_file<E: From<crate::Error>>(
        &self,
        backup: &Backup,
        swap: bool,
        tell: impl FnOnce(&Backup, &Differences) -> std::result::Result<(), E>,
    ) -> std::result::Result<Option<Restored>, E> {
        let data = self.data(backup).map_err(crate::Error::from)?;
        let copy = blocking(|| sqlite::unpack_beside(self.path(), &data, &backup.manifest))?;
        let compared = async {
            let then = Warehouse::of_file(&copy, &self.to_look())?;
            self.differences(&then).await
        };
        let told = compared
            .await
            .map_err(E::from)
            .and_then(|differences| tell(backup, &differences));
        if told.is_ok() && swap {
            let busy = self.options.busy;
            return Ok(Some(blocking(|| sqlite::put(self.path(), busy, &copy))?));
        }
        let removed = blocking(|| remove(&copy)).map_err(crate::Error::from);
        told?;
        removed?;
        Ok(None)
    }

    async fn roll_back_schema<E: From<crate::Error>>(
        &self,
        backup: &Backup,
        swap: bool,
        tell: impl FnOnce(&Backup, &Differences) -> std::result::Result<(), E>,
    ) -> std::result::Result<Option<Restored>, E> {
        let data = self.data(backup).map_err(crate::Error::from)?;
        let (server, search) = (self.server()?, self.search.as_deref());
        let compare = async |scratch: &str| {
            let look = self.to_look();
            let then = Warehouse::of_database(&self.url, Some(scratch), &look).await?;
            self.differences(&then).await
        };
        let copied = server.in_scratch(&backup.manifest, &data, search, compare);
        let differences = copied.await?;
        tell(backup, &differences)?;
        if !swap {
            return Ok(None);
        }
        let restored = server
            .restore(&backup.manifest, &data, search, true)
            .await?;
        Ok(Some(restored))
    }

    async fn differences(&self, then: &Warehouse) -> Result<Differences> {
        let now = Warehouse::open(&self.url, &self.to_look()).await?;
        Differences::between(&now, then).await
    }

    fn to_look(&self) -> Options {
        Options {
            only_looks: true,
            ..self.options.clone()
        }
    }
}
