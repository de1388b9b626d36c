//! The buffer for operators: `/api/v1/buffer`, on the Unix socket only.
//!
//! An error is `{"error": "…"}`, of a parameter with its name as `parameter`. 400: the question; 404: no such sink or
//! entry; 503: the disk refuses at the moment, or the daemon is stopping.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::info;

use super::Site;
use crate::buffer::BufferError;
use crate::exit::chain;
use crate::inspect::{
    self, BadParameter, Checked, InspectError, Lines, Log, Point, Report, Requeued, Rewound,
    Selection, Shown,
};
use crate::reading::EntryId;

/// Largest body: a sink's name and a time.
const BODY_MAX: usize = 4096;

type Pairs = Query<Vec<(String, String)>>;

/// Whose dead letters are delivered once more.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequeueBody {
    /// This sink's; everybody's when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
}

/// Which cursor is moved back, and how far.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewindBody {
    /// Whose.
    pub sink: String,
    /// A time or a place, as [`Point::parse`] reads it.
    pub to: String,
}

/// Why there is no answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Refused {
    /// In words.
    pub error: String,
    /// The parameter that cannot be understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

/// An answer that is none.
pub(super) struct Problem(pub(super) StatusCode, pub(super) Refused);

pub(super) type Answer<T> = Result<Json<T>, Problem>;

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<InspectError> for Problem {
    fn from(error: InspectError) -> Self {
        let status = match &error {
            InspectError::NoSuchSink { .. } | InspectError::NoSuchEntry { .. } => {
                StatusCode::NOT_FOUND
            }
            InspectError::Buffer(BufferError::NoSuchSink(_)) => StatusCode::NOT_FOUND,
            InspectError::Buffer(BufferError::Unavailable { .. } | BufferError::Closed) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            InspectError::Buffer(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, Refused { error: chain(&error), parameter: None })
    }
}

impl From<BufferError> for Problem {
    fn from(error: BufferError) -> Self {
        InspectError::from(error).into()
    }
}

impl From<BadParameter> for Problem {
    fn from(error: BadParameter) -> Self {
        let words = error.to_string();
        let refused = Refused { error: words, parameter: Some(error.name) };
        Self(StatusCode::BAD_REQUEST, refused)
    }
}

impl From<JsonRejection> for Problem {
    fn from(error: JsonRejection) -> Self {
        Self(error.status(), Refused { error: error.body_text(), parameter: None })
    }
}

fn bad(name: &str, why: impl Into<String>) -> BadParameter {
    BadParameter { name: name.to_owned(), why: why.into() }
}

/// Everything under `/api/v1/buffer`.
pub(super) fn routes() -> Router<Site> {
    Router::new()
        .route("/api/v1/buffer", get(report))
        .route("/api/v1/buffer/entries", get(entries))
        .route("/api/v1/buffer/entries/{seq}", get(entry))
        .route("/api/v1/buffer/letters", get(letters))
        .route("/api/v1/buffer/verify", post(verify))
        .route("/api/v1/buffer/requeue", post(requeue))
        .route("/api/v1/buffer/rewind", post(rewind))
        .layer(DefaultBodyLimit::max(BODY_MAX))
}

async fn report(State(site): State<Site>) -> Answer<Report> {
    let configured = site.0.config.buffer.max_bytes();
    Ok(Json(inspect::report(&site.0.buffer, configured).await?))
}

async fn entries(State(site): State<Site>, Query(pairs): Pairs) -> Result<Response, Problem> {
    let selection = Selection::from_query(&pairs, Timestamp::now())?;
    ndjson(Lines::entries(&site.0.buffer, &site.0.gateway, selection).await?).await
}

async fn letters(State(site): State<Site>, Query(pairs): Pairs) -> Result<Response, Problem> {
    let selection = Selection::from_query(&pairs, Timestamp::now())?;
    let sink = match &selection {
        Selection { log: Log::Kept, from: None, to: None, strap: None, limit: None } => None,
        Selection {
            log: Log::Rejected { sink },
            from: None,
            to: None,
            strap: None,
            limit: None,
        } => sink.clone(),
        _ => {
            let name = pairs.iter().map(|(name, _)| name.as_str()).find(|&name| name != "sink");
            return Err(
                bad(name.unwrap_or_default(), "of letters only the sink can be chosen").into()
            );
        }
    };
    ndjson(Lines::letters(&site.0.buffer, sink)?).await
}

/// The first piece is read before the answer begins, so that a buffer that cannot be read is told by the status. Later
/// the connection breaks: a body that ends well is whole.
async fn ndjson(mut lines: Lines) -> Result<Response, Problem> {
    let first = lines.next().await?;
    let pieces = stream::try_unfold((first, lines), async |(first, mut lines)| {
        let piece = match first {
            Some(piece) => Some(piece),
            None => lines.next().await?,
        };
        Ok::<_, BufferError>(piece.map(|piece| (piece, (None, lines))))
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((headers, axum::body::Body::from_stream(pieces)).into_response())
}

async fn entry(State(site): State<Site>, Path(seq): Path<String>) -> Answer<Shown> {
    let place = seq.parse().map(EntryId);
    let place = place.map_err(|_| bad("seq", format!("{seq:?} is no place in the log")))?;
    Ok(Json(inspect::entry(&site.0.buffer, &site.0.gateway, place).await?))
}

async fn verify(State(site): State<Site>) -> Answer<Checked> {
    Ok(Json(inspect::verify(&site.0.buffer).await?))
}

async fn requeue(
    State(site): State<Site>,
    body: Result<Json<RequeueBody>, JsonRejection>,
) -> Answer<Requeued> {
    let Json(RequeueBody { sink }) = body?;
    let requeued = inspect::requeue(&site.0.buffer, sink.as_deref()).await?;
    info!(entries = requeued.entries, "an operator has refused entries delivered once more");
    Ok(Json(requeued))
}

async fn rewind(
    State(site): State<Site>,
    body: Result<Json<RewindBody>, JsonRejection>,
) -> Answer<Rewound> {
    let Json(RewindBody { sink, to }) = body?;
    let to = Point::parse(&to, Timestamp::now()).map_err(|error| bad("to", error.to_string()))?;
    Ok(Json(inspect::rewind(&site.0.buffer, &sink, to).await?))
}
