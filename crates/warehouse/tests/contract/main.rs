//! The contract of a warehouse: every case runs against SQLite and against PostgreSQL, through the
//! public interface alone.

/// Runs cases against both stores: each is an `async fn` of a [`store::Store`].
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::store::Store::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::store::Store::postgres().await).await;
            })*
        }
    };
}

mod alerts;
mod attempts;
mod backups;
mod barrier;
mod cache_counts;
mod clocks;
mod completeness;
mod counting;
mod deriving;
mod details;
mod drift;
mod errors;
mod growth;
mod limits;
mod listings;
mod loaders;
mod loading;
mod migrating;
mod model;
mod opening;
mod orders;
mod pace;
mod permits;
mod planning;
mod postgres;
mod prices;
mod probing;
mod products;
mod progress;
mod quarantine;
mod reading;
mod retention;
mod rivals;
mod rule;
mod rules;
mod sellers;
mod shapes;
mod shop;
mod slices;
mod sqlite;
mod staging;
mod store;
mod upgrading;
mod walk;
mod words;
