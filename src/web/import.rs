//! Files in, and the history: `/api/v1/import` and `/api/v1/activities`, on the Unix socket only.
//!
//! `POST /api/v1/import?name=ride.fit` (and `&athlete=WHO`, if it is known whose it is) takes the bytes of a file, as they come, and answers with one JSON object (see
//! [`Outcome`]), or with a line for each recording in an archive. A file that cannot be read is an answer like any
//! other: 200. 413: larger than is allowed; 500, 503, 507: not the file's fault, bring it again later. Errors are told as under
//! `/api/v1/buffer`.

use std::io;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use super::Site;
use super::buffer::{Answer, Problem, Refused};
use crate::activity::{ActivityId, UnixMs};
use crate::exit::chain;
use crate::history::{History, HistoryError, Kept, Listed, Outcome, Owner, Wanted};
use crate::roster::{People, RosterError, find_athlete};

/// Bytes that tell what something is.
const HEAD: usize = 4;

/// What is too large is read on so far, and thrown away: who is still writing would not hear the answer.
const DRAINED_MAX: u64 = 16 << 30;

/// Longest name of a file; what is longer is cut.
const NAME_MAX: usize = 1024;

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
    /// Whose it is: an id, a name, or the beginning of one.
    athlete: Option<String>,
}

impl From<HistoryError> for Problem {
    fn from(error: HistoryError) -> Self {
        let status = match &error {
            HistoryError::Log(_) | HistoryError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            HistoryError::Disk { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            HistoryError::Disk { .. } | HistoryError::Source(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self(status, Refused { error: chain(&error), parameter: None })
    }
}

fn problem(status: StatusCode, error: impl Into<String>) -> Problem {
    Problem(status, Refused { error: error.into(), parameter: None })
}

/// Everything about files.
pub(super) fn routes() -> Router<Site> {
    Router::new()
        .route("/api/v1/import", post(import))
        .route("/api/v1/activities", get(activities))
        .route("/api/v1/activities/{id}", get(activity))
        .route("/api/v1/activities/{id}/original", get(original))
}

async fn import(
    State(site): State<Site>,
    Query(Named { name, athlete }): Query<Named>,
    body: Body,
) -> Result<Response, Problem> {
    let importer = &site.0.importer;
    let owner = match athlete {
        Some(who) => Some(owner(&site.0.roster.people(), &who)?),
        None => None,
    };
    let name: String = name.chars().take(NAME_MAX).collect();
    let scratch = importer.scratch().await?;
    let mut file = tokio::fs::File::from_std(scratch.handle()?);
    let mut pieces = body.into_data_stream();
    let mut head = Vec::new();
    let (mut length, mut most) = (0, u64::MAX);
    let mut written = Ok(());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| problem(StatusCode::BAD_REQUEST, chain(&error)))?;
        length += piece.len() as u64;
        head.extend(piece.iter().take(HEAD.saturating_sub(head.len())));
        most = importer.bounds().bytes_of(&head);
        if length > DRAINED_MAX {
            break;
        }
        if written.is_ok() && (length <= most || head.len() < HEAD) {
            written = file.write_all(&piece).await;
        }
    }
    if length > most {
        let text = format!("more than {most} bytes, which are allowed");
        return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, text));
    }
    if written.is_ok() {
        written = file.flush().await;
    }
    written.map_err(HistoryError::disk("writing", scratch.path()))?;
    let outcomes = importer.import_for(scratch.handle()?, &name, owner).await?;
    let mut text = String::new();
    for outcome in &outcomes {
        text += &json(outcome);
        text.push('\n');
    }
    let media_type = match outcomes.as_slice() {
        [_] => "application/json",
        _ => "application/x-ndjson",
    };
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}

/// Whose a file is.
pub(crate) fn owner(people: &People, who: &str) -> Result<Owner, RosterError> {
    let athlete = find_athlete(people, who)?;
    Ok(Owner { athlete: athlete.id, consent: athlete.consent.is_some() })
}

fn json(outcome: &Outcome) -> String {
    serde_json::to_string(outcome).expect("plain numbers and texts become JSON")
}

/// Asks the history something, where the disk may be waited for.
async fn ask<T: Send + 'static>(
    site: &Site,
    question: impl FnOnce(&History) -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, Problem> {
    let history = site.0.importer.history().clone();
    let answer = tokio::task::spawn_blocking(move || question(&history)).await;
    let answer =
        answer.map_err(|error| problem(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(answer?)
}

#[derive(Debug, Deserialize)]
struct Which {
    since: Option<String>,
    limit: Option<usize>,
    athlete: Option<String>,
}

/// The latest first: `?limit=N`, `?since=2026-06-01T18:00:00Z`, `?athlete=WHO`.
async fn activities(State(site): State<Site>, Query(which): Query<Which>) -> Answer<Vec<Listed>> {
    let since = which.since.map(|text| text.parse::<jiff::Timestamp>()).transpose();
    let since =
        since.map_err(|error| problem(StatusCode::BAD_REQUEST, format!("since: {error}")))?;
    let since = since.map(|since| UnixMs(since.as_millisecond()));
    let people = site.0.roster.people();
    let whose = which.athlete.map(|who| owner(&people, &who)).transpose()?;
    let whose = whose.map(|owner| owner.athlete);
    let wanted = Wanted { since, limit: which.limit, whose, ..Wanted::default() };
    Ok(Json(ask(&site, move |history| history.list(&wanted)).await?))
}

async fn kept(site: &Site, id: String) -> Result<Kept, Problem> {
    let unknown = || problem(StatusCode::NOT_FOUND, format!("there is no activity {id:?}"));
    let uuid: Uuid = id.parse().map_err(|_| unknown())?;
    let found = ask(site, move |history| history.get(ActivityId(uuid))).await?;
    found.ok_or_else(unknown)
}

async fn activity(State(site): State<Site>, Path(id): Path<String>) -> Answer<Kept> {
    Ok(Json(kept(&site, id).await?))
}

async fn original(State(site): State<Site>, Path(id): Path<String>) -> Result<Response, Problem> {
    let kept = kept(&site, id).await?;
    let name = format!("{}.{}", kept.activity.id, kept.format.extension());
    let file = ask(&site, move |history| history.open_original(&kept)).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
    Ok((headers, body).into_response())
}
