//! Connections: how many, how long, and how they end.
//!
//! Not here: what is asked on them (`routes`).

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::door::Hosts;
use crate::routes;
use crate::sources::Sources;

/// Connections at once; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 64;

/// How long answers under way are waited for at the end.
pub const DRAIN: Duration = Duration::from_secs(5);

/// How long the head of a request may take to arrive, also on a connection that is silent between two.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How old a connection may grow; a client that is not done makes another.
const CONNECTION_LIFE: Duration = Duration::from_mins(1);

/// Bytes of the head of a request.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Header lines of a request.
const MAX_HEADERS: usize = 64;

/// How long after a failed accept (no more files, say) the next is tried.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` ends; then accepts nobody and waits [`DRAIN`] for answers under way. `hosts` are answered for
/// besides those that name this machine; without any, an address that is not loopback answers for all.
///
/// # Errors
/// The listener's address cannot be told.
pub async fn serve(
    listener: TcpListener,
    hosts: &[String],
    sources: Sources,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let hosts = Hosts::of(listener.local_addr()?.ip(), hosts);
    let service = TowerToHyperService::new(routes::router(sources, hosts));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (ending, ended) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Some((stream, place)) = accepted else {
            continue;
        };
        let (service, ended) = (service.clone(), ended.clone());
        connections.spawn(async move {
            hold(stream, service, ended).await;
            drop(place);
        });
    }
    drop(listener);
    ending.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("some answers were not finished in time");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    // It is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn hold(
    stream: TcpStream,
    service: TowerToHyperService<axum::Router>,
    mut ended: watch::Receiver<bool>,
) {
    let mut settings = http1::Builder::new();
    settings
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    let mut connection = pin!(settings.serve_connection(TokioIo::new(stream), service));
    let done = tokio::select! {
        done = connection.as_mut() => Some(done),
        () = sleep(CONNECTION_LIFE) => None,
        _ = ended.wait_for(|ended| *ended) => None,
    };
    let done = if let Some(done) = done {
        done
    } else {
        connection.as_mut().graceful_shutdown();
        // One that is not done by then is closed.
        timeout(DRAIN, connection).await.unwrap_or(Ok(()))
    };
    if let Err(error) = done {
        // What a client does to its connection is no trouble of ours.
        tracing::debug!(%error, "a connection broke");
    }
}
