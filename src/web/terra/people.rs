//! `GET /v2/userInfo` and `/v2/subscriptions`: who is there.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Asked;
use super::ask::{Page, Parameters, user};
use super::problem::Problem;
use crate::athlete::Athlete;
use crate::format::terra::{Stamp, User};

/// One user.
#[derive(Serialize)]
struct UserInfo<'a> {
    user: Known<'a>,
    status: &'static str,
    is_authenticated: bool,
}

/// A user, and when anything was last measured of them.
#[derive(Serialize)]
struct Known<'a> {
    #[serde(flatten)]
    user: User<'a>,
    most_recent_data_at: Option<Stamp>,
}

/// Everybody.
#[derive(Serialize)]
struct Everybody<'a> {
    users: Vec<User<'a>>,
}

/// A part of everybody.
#[derive(Serialize)]
struct Paged<'a> {
    data: Part<'a>,
}

#[derive(Serialize)]
struct Part<'a> {
    next: Option<usize>,
    max_page: usize,
    results: Vec<User<'a>>,
}

fn told(athlete: &Arc<Athlete>) -> User<'_> {
    User::new(athlete, None)
}

pub(super) async fn user_info(State(asked): State<Asked>, uri: Uri) -> Response {
    match info(&asked, &uri).await {
        Ok(response) => response,
        Err(problem) => problem.of(&uri),
    }
}

async fn info(asked: &Asked, uri: &Uri) -> Result<Response, Problem> {
    let parameters = Parameters::of(uri);
    match (parameters.text("user_id")?, parameters.text("reference_id")?) {
        (Some(id), None) => {
            let athlete = asked.user(user(id)?)?;
            let (archive, id) = (asked.archive().clone(), athlete.id);
            let latest = tokio::task::spawn_blocking(move || archive.latest(id)).await;
            let latest = latest.map_err(|error| asked.failed(&error))?;
            let latest = latest.map_err(|error| asked.failed(&error))?;
            let most_recent_data_at = latest.map(Stamp::utc);
            let user = Known { user: told(&athlete), most_recent_data_at };
            Ok(Json(UserInfo { user, status: "success", is_authenticated: true }).into_response())
        }
        (None, Some(reference)) => {
            let everybody = asked.users();
            let is_meant =
                |athlete: &&Arc<Athlete>| athlete.reference_id.as_deref() == Some(reference);
            let users: Vec<_> = everybody.iter().filter(is_meant).map(told).collect();
            if users.is_empty() {
                return Err(Problem::no_user());
            }
            Ok(Json(users).into_response())
        }
        (None, None) => Err(Problem::bad("user_id or reference_id is missing")),
        (Some(_), Some(_)) => Err(Problem::bad("user_id or reference_id, not both")),
    }
}

pub(super) async fn subscriptions(State(asked): State<Asked>, uri: Uri) -> Response {
    let page = match Parameters::of(&uri).page() {
        Ok(page) => page,
        Err(problem) => return problem.of(&uri),
    };
    let everybody = asked.users();
    match page {
        None => Json(Everybody { users: everybody.iter().map(told).collect() }).into_response(),
        Some(page) => Json(Paged { data: part(&everybody, page) }).into_response(),
    }
}

fn part(everybody: &[Arc<Athlete>], Page { number, size }: Page) -> Part<'_> {
    let max_page = everybody.len().div_ceil(size).saturating_sub(1);
    let from = number.saturating_mul(size);
    let results = everybody.iter().skip(from).take(size).map(told).collect();
    Part { next: (number < max_page).then(|| number + 1), max_page, results }
}
