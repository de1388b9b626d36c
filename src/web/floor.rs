//! Classes and check-ins: `/api/v1/classes`, `/api/v1/check-in` and `/api/v1/check-out`, on the Unix socket only.
//!
//! 400: what is asked makes no sense, or may mean two; 404: there is none; 503: not now. What is answered well is durable.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use tracing::info;

use super::Site;
use super::buffer::{Answer, Problem, Refused};
use crate::exit::chain;
use crate::floor::{
    CheckInBody, CheckOutBody, Checked, ClassListed, EndBody, FloorError, StartBody,
};

/// Largest body: two names.
const BODY_MAX: usize = 4096;

impl From<FloorError> for Problem {
    fn from(error: FloorError) -> Self {
        let status = match error {
            FloorError::Roster(error) => return error.into(),
            FloorError::NotFound(_) => StatusCode::NOT_FOUND,
            FloorError::Refused(_) => StatusCode::BAD_REQUEST,
            FloorError::NotRead | FloorError::NotDurable | FloorError::Log(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            FloorError::Random(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, Refused { error: chain(&error), parameter: None })
    }
}

/// Everything that is done on the floor.
pub(super) fn routes() -> Router<Site> {
    Router::new()
        .route("/api/v1/classes", get(classes).post(start))
        .route("/api/v1/classes/end", post(end))
        .route("/api/v1/check-in", post(check_in))
        .route("/api/v1/check-out", post(check_out))
        .layer(DefaultBodyLimit::max(BODY_MAX))
}

type Body<T> = Result<Json<T>, JsonRejection>;

async fn classes(State(site): State<Site>) -> Answer<Vec<ClassListed>> {
    Ok(Json(site.0.floor.classes().await?))
}

async fn start(State(site): State<Site>, body: Body<StartBody>) -> Answer<ClassListed> {
    let Json(body) = body?;
    let begun = site.0.floor.start(&body).await?;
    info!(class = begun.name, minutes = begun.planned_s / 60, "a class began");
    Ok(Json(begun))
}

async fn end(State(site): State<Site>, body: Body<EndBody>) -> Answer<ClassListed> {
    let Json(body) = body?;
    let ended = site.0.floor.end(&body).await?;
    info!(class = ended.name, "a class was ended");
    Ok(Json(ended))
}

async fn check_in(State(site): State<Site>, body: Body<CheckInBody>) -> Answer<Checked> {
    let Json(body) = body?;
    Ok(Json(site.0.floor.check_in(&body).await?))
}

async fn check_out(State(site): State<Site>, body: Body<CheckOutBody>) -> Answer<Checked> {
    let Json(body) = body?;
    Ok(Json(site.0.floor.check_out(&body).await?))
}
