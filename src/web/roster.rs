//! Who is who: `/api/v1/athletes` and `/api/v1/straps`, on the Unix socket only.
//!
//! An athlete in a path is an id, a name, or the beginning of one; a strap is an id, the beginning or the end of one, or a
//! rental's number. Errors are told as under `/api/v1/buffer`: 400: what is asked makes no sense, or may mean two; 404: there
//! is none; 500, 503, 507: the disk. What is answered well is durable.

use std::io;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use tracing::info;

use super::Site;
use super::buffer::{Answer, Problem, Refused};
use crate::buffer::{Buffer, BufferError};
use crate::config::Config;
use crate::exit::chain;
use crate::history::History;
use crate::roster::desk::{self, Moment};
use crate::roster::{
    Around, AssignBody, Assigned, AthleteDone, Edit, Forgotten, Listed, Released, Removed, Roster,
    RosterError, Shown, StrapBody, StrapDone, StrapListed, Wearing, forget,
};
use crate::timeline::Timeline;

/// Largest body: an athlete whose every field is as long as can be.
const BODY_MAX: usize = 64 << 10;

impl From<RosterError> for Problem {
    fn from(error: RosterError) -> Self {
        let status = match &error {
            RosterError::NotFound(_) => StatusCode::NOT_FOUND,
            RosterError::Refused(_) => StatusCode::BAD_REQUEST,
            RosterError::InUse { .. } | RosterError::BrokenOff(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            RosterError::Disk { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            RosterError::Log(BufferError::NoRoom { .. } | BufferError::Full { .. }) => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            RosterError::Log(_) => StatusCode::SERVICE_UNAVAILABLE,
            RosterError::History(_) | RosterError::Disk { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, Refused { error: chain(&error), parameter: None })
    }
}

/// Everything about people and straps.
pub(super) fn routes() -> Router<Site> {
    Router::new()
        .route("/api/v1/athletes", get(athletes).post(add))
        .route("/api/v1/athletes/{who}", get(show).patch(edit).delete(forget_athlete))
        .route("/api/v1/straps", get(straps).post(add_strap))
        .route("/api/v1/straps/{strap}", axum::routing::delete(remove_strap))
        .route("/api/v1/straps/{strap}/wearer", put(assign).delete(release))
        .route("/api/v1/rentals/release", post(release_rentals))
        .layer(DefaultBodyLimit::max(BODY_MAX))
}

type Body<T> = Result<Json<T>, JsonRejection>;

impl Site {
    fn moment(&self) -> Moment {
        let at = self.0.clock.now();
        let unix_us = self.timeline().place(&at).unix_us;
        let heard = self.0.board.watch().borrow().straps.keys().cloned().collect();
        Moment { at, unix_us, heard: Some(heard) }
    }

    pub(super) fn timeline(&self) -> Arc<Timeline> {
        self.0.buffer.timeline().borrow().clone()
    }

    /// Who wore what, which takes a moment for years of it.
    async fn wearing(&self) -> Result<Wearing, RosterError> {
        let timeline = self.timeline();
        self.0.roster.aside(|roster| Ok(Wearing::new(&roster.people(), timeline))).await
    }

    async fn at_desk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Roster, &Moment) -> Result<T, RosterError> + Send + 'static,
    ) -> Answer<T> {
        let moment = self.moment();
        Ok(Json(self.0.roster.aside(move |roster| work(roster, &moment)).await?))
    }
}

async fn athletes(State(site): State<Site>) -> Json<Vec<Listed>> {
    Json(desk::athletes(&site.0.roster.people()))
}

async fn show(State(site): State<Site>, Path(who): Path<String>) -> Answer<Shown> {
    Ok(Json(desk::show(&site.0.roster.people(), &site.wearing().await?, &who)?))
}

async fn add(State(site): State<Site>, body: Body<Edit>) -> Answer<AthleteDone> {
    let Json(body) = body?;
    let done = site.at_desk(move |roster, moment| desk::add(roster, &body, moment)).await?;
    info!("an athlete was entered");
    Ok(done)
}

async fn edit(
    State(site): State<Site>,
    Path(who): Path<String>,
    body: Body<Edit>,
) -> Answer<AthleteDone> {
    let Json(body) = body?;
    let done = site.at_desk(move |roster, moment| desk::edit(roster, &who, &body, moment)).await?;
    info!("something was noted of an athlete");
    Ok(done)
}

async fn forget_athlete(State(site): State<Site>, Path(who): Path<String>) -> Answer<Forgotten> {
    let config = &site.0.config;
    let around = around(config, Some(&site.0.buffer), site.0.importer.history());
    let (moment, wearing) = (site.moment(), site.wearing().await?);
    let forgotten = forget(&site.0.roster, &who, &moment, &wearing, &around).await?;
    info!(changes = forgotten.changes, "an athlete was forgotten");
    Ok(Json(forgotten))
}

/// What else on a box of this configuration may lead to a person.
pub(crate) fn around<'a>(
    config: &'a Config,
    buffer: Option<&'a Buffer>,
    history: &'a History,
) -> Around<'a> {
    Around {
        buffer,
        history,
        labels: config.straps.values().filter_map(|strap| strap.label.as_deref()).collect(),
        sinks: config.sinks.keys().map(String::as_str).collect(),
    }
}

async fn straps(State(site): State<Site>) -> Json<Vec<StrapListed>> {
    Json(desk::straps(&site.0.roster.people(), &site.timeline()))
}

async fn add_strap(State(site): State<Site>, body: Body<StrapBody>) -> Answer<StrapDone> {
    let Json(body) = body?;
    site.at_desk(move |roster, moment| desk::add_strap(roster, &body, moment)).await
}

async fn remove_strap(State(site): State<Site>, Path(strap): Path<String>) -> Answer<Removed> {
    site.at_desk(move |roster, moment| desk::remove_strap(roster, &strap, moment)).await
}

async fn assign(
    State(site): State<Site>,
    Path(strap): Path<String>,
    body: Body<AssignBody>,
) -> Answer<Assigned> {
    let Json(body) = body?;
    let done =
        site.at_desk(move |roster, moment| desk::assign(roster, &strap, &body, moment)).await?;
    info!(strap = %done.strap, "a strap was assigned");
    Ok(done)
}

async fn release(State(site): State<Site>, Path(strap): Path<String>) -> Answer<Released> {
    let done = site.at_desk(move |roster, moment| desk::release(roster, &strap, moment)).await?;
    info!(strap = %done.strap, "a strap was released");
    Ok(done)
}

async fn release_rentals(State(site): State<Site>) -> Answer<Vec<Released>> {
    let done = site.at_desk(desk::release_rentals).await?;
    info!(straps = done.len(), "rentals were released");
    Ok(done)
}
