//! The pages and the local API. They read the live board and the buffer's state; they can stop nothing.
//!
//! Two doors: a TCP address for the wall page, open to whoever has the wall key, and under `/v2` for backends, open to
//! whoever has theirs; and a Unix socket in the data folder for the command line, open to whoever may read that folder.

mod api;
mod assets;
mod auth;
mod buffer;
mod floor;
mod import;
mod ranking;
mod roster;
mod terra;

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::routing::get;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::buffer::Buffer;
use crate::clock::Clock;
use crate::config;
use crate::floor::Floor;
use crate::history::Importer;
use crate::live::Board;
use crate::roster::Roster;
use crate::secret::Secret;

pub use api::Status;
pub use buffer::{Refused, RequeueBody, RewindBody};
pub(crate) use import::owner;
pub(crate) use roster::around;
pub use terra::{Terra, Webhooks};

/// Name of the socket in the data folder.
const SOCKET: &str = "pulsegate.sock";

/// Pages that may watch at once: a handful of TVs, phones and forgotten tabs.
const WATCHERS: usize = 64;

/// What the pages know of the box.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

struct Inner {
    gateway: String,
    config: config::Config,
    board: Board,
    buffer: Buffer,
    importer: Importer,
    roster: Roster,
    floor: Floor,
    clock: Clock,
    started: Instant,
    wall: Option<Wall>,
    watchers: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Where the wall page is, and who may look.
pub struct Wall {
    /// Where it listens.
    pub address: SocketAddr,
    /// What a display shows to be let in.
    pub key: Secret,
}

/// What [`Site::new`] needs.
pub struct Parts {
    /// Identity of the box.
    pub gateway: String,
    /// Labels, maxima and host names come from here.
    pub config: config::Config,
    /// What is true now.
    pub board: Board,
    /// For its state.
    pub buffer: Buffer,
    /// Takes in files, and knows what has come in.
    pub importer: Importer,
    /// Who is who.
    pub roster: Roster,
    /// Classes and check-ins.
    pub floor: Floor,
    /// For the time on the page.
    pub clock: Clock,
    /// The wall page, if there is one.
    pub wall: Option<Wall>,
    /// Ends open streams, which would hold up stopping for ever.
    pub stop: CancellationToken,
}

impl Site {
    /// The pages of this box.
    pub fn new(parts: Parts) -> Self {
        let Parts { gateway, config, board, buffer, importer, roster, floor, clock, wall, stop } =
            parts;
        let watchers = Arc::new(Semaphore::new(WATCHERS));
        let started = Instant::now();
        Self(Arc::new(Inner {
            gateway,
            config,
            board,
            buffer,
            importer,
            roster,
            floor,
            clock,
            started,
            wall,
            watchers,
            stop,
        }))
    }

    /// The link that opens the wall page, if there is one.
    pub fn wall_link(&self) -> Option<String> {
        let Wall { address, key } = self.0.wall.as_ref()?;
        let mut address = *address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        Some(format!("http://{address}/?key={}", key.expose()))
    }
}

/// Opens the TCP door.
///
/// # Errors
/// When the address cannot be had.
pub async fn listen(address: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves the wall page until stopped, and whoever asks as of Terra where that is wanted.
///
/// # Errors
/// When the listener fails.
pub async fn serve_wall(site: Site, terra: Option<Terra>, listener: TcpListener) -> io::Result<()> {
    let stop = site.0.stop.clone();
    axum::serve(listener, wall(site, terra)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn wall(site: Site, terra: Option<Terra>) -> Router {
    let backends = terra::routes(&site, terra);
    let mut router = Router::new().route("/api/v1/live", get(api::live));
    for asset in assets::ALL {
        router = router.route(asset.path, get(move || async move { asset.response() }));
    }
    router
        .layer(middleware::from_fn_with_state(site.clone(), auth::require_key))
        .route("/api/v1/health", get(api::health))
        .layer(middleware::from_fn_with_state(site.clone(), auth::require_known_host))
        .with_state(site)
        .merge(backends)
        .layer(middleware::map_response(async |mut response: axum::response::Response| {
            let headers = response.headers_mut();
            headers.insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(
                    "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
                ),
            );
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            response
        }))
}

/// Where the socket of a daemon with this data folder is.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

/// Opens the Unix door, for the owner of the data folder only.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen_local(data_dir: &Path) -> io::Result<UnixListener> {
    let path = socket_path(data_dir);
    // A leftover of a killed daemon. A living one holds the buffer's lock, and we would not be here.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the command line until stopped.
///
/// # Errors
/// When the listener fails.
pub async fn serve_local(site: Site, listener: UnixListener) -> io::Result<()> {
    let stop = site.0.stop.clone();
    let router = Router::new()
        .route("/api/v1/status", get(api::status))
        .merge(buffer::routes())
        .merge(import::routes())
        .merge(roster::routes())
        .merge(floor::routes())
        .with_state(site);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}
