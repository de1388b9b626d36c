//! Historical requests: `/v2/` on the wall's address, in the shape of Terra's API, so that a backend that asks Terra can ask
//! the box. Whoever knows the key of `[web.terra]` may ask; the key of the wall opens nothing here.
//!
//! `GET /v2/activity`, `/body`, `/daily`, `/athlete`, `/userInfo`, `/subscriptions`: what they take and give is Terra's
//! (OpenAPI 2026.07.17.1, `tests/fixtures/terra`); `docs/terra-api.md` tells what differs. Everything that is wrong is told
//! as `application/problem+json`. Only athletes who have agreed are there; others are as unknown as nobody.

mod answer;
mod ask;
mod people;
mod pieces;
mod problem;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::error;

use self::problem::Problem;
use super::{Site, auth};
use crate::activity::UnixMs;
use crate::archive::Archive;
use crate::athlete::{Athlete, AthleteId};
use crate::buffer::Buffer;
use crate::exit::chain;
use crate::intake::Intake;
use crate::reading::At;
use crate::secret::Secret;

/// Answers written at once: each reads recordings, on a thread of its own.
const AT_ONCE: usize = 4;

/// Who may ask, and what is known.
pub struct Terra {
    /// What a backend says in `dev-id`.
    pub dev_id: String,
    /// What it shows in `x-api-key`.
    pub api_key: Secret,
    /// What the box knows of people.
    pub archive: Archive,
    /// The door into the log, for what is to be sent.
    pub intake: Intake,
    /// Whether `to_webhook=true` can be promised.
    pub webhooks: Webhooks,
}

/// Whether anything that is asked for can be sent to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Webhooks {
    /// A sink writes Terra's payloads.
    Delivered,
    /// None does.
    NowhereToGo,
}

/// The box, as whoever asks sees it.
#[derive(Clone)]
struct Asked {
    site: Site,
    terra: Arc<Terra>,
    places: Arc<Semaphore>,
}

/// Everything under `/v2`; nothing where it is not wanted.
pub(super) fn routes(site: &Site, terra: Option<Terra>) -> Router {
    let Some(terra) = terra else { return Router::new() };
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let asked = Asked { site: site.clone(), terra: Arc::new(terra), places };
    Router::new()
        .route("/v2/activity", get(answer::activity).fallback(wrong_method))
        .route("/v2/body", get(answer::body).fallback(wrong_method))
        .route("/v2/daily", get(answer::daily).fallback(wrong_method))
        .route("/v2/athlete", get(answer::athlete).fallback(wrong_method))
        .route("/v2/userInfo", get(people::user_info).fallback(wrong_method))
        .route("/v2/subscriptions", get(people::subscriptions).fallback(wrong_method))
        .route("/v2", any(unknown_path))
        .route("/v2/", any(unknown_path))
        .route("/v2/{*rest}", any(unknown_path))
        .layer(middleware::from_fn_with_state(asked.clone(), gate))
        .with_state(asked)
}

/// Lets pass requests for this machine by a known name, of whoever shows both headers.
async fn gate(State(asked): State<Asked>, request: Request, next: Next) -> Response {
    let mut response = match asked.let_in(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.of(request.uri()),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn unknown_path(uri: Uri) -> Response {
    Problem::new(StatusCode::NOT_FOUND, "no such path; docs/terra-api.md lists them").of(&uri)
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let text = format!("{method} is not known here: only GET is");
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, text).of(&uri);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
    response
}

impl Asked {
    fn let_in(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if !auth::is_host_known(&self.site, headers) {
            let text = "unknown host name; add it to host_names under [web]";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, text));
        }
        let shown = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let refused = |text: &str| Err(Problem::new(StatusCode::UNAUTHORIZED, text));
        let (Some(dev_id), Some(api_key)) = (shown("dev-id"), shown("x-api-key")) else {
            return refused("dev-id or x-api-key headers are missing");
        };
        // The id is no secret; the key is looked at whichever is wrong.
        let is_right = self.terra.api_key.matches(api_key);
        if is_right & (self.terra.dev_id == dev_id) {
            return Ok(());
        }
        refused("dev-id or x-api-key is wrong")
    }

    fn archive(&self) -> &Archive {
        &self.terra.archive
    }

    fn webhooks(&self) -> Webhooks {
        self.terra.webhooks
    }

    fn log(&self) -> (&Intake, &Buffer) {
        (&self.terra.intake, &self.site.0.buffer)
    }

    fn stop(&self) -> &CancellationToken {
        &self.site.0.stop
    }

    fn stamp(&self) -> At {
        self.site.0.clock.now()
    }

    fn now(&self) -> UnixMs {
        let unix_us = self.site.0.buffer.timeline().borrow().place(&self.stamp()).unix_us;
        UnixMs(unix_us.div_euclid(1000))
    }

    /// Everybody who has agreed.
    fn users(&self) -> Vec<Arc<Athlete>> {
        let people = self.site.0.roster.people();
        people.athletes().filter(|athlete| athlete.consent.is_some()).cloned().collect()
    }

    /// One of them.
    fn user(&self, id: AthleteId) -> Result<Arc<Athlete>, Problem> {
        let people = self.site.0.roster.people();
        let known = people.athlete(id).filter(|athlete| athlete.consent.is_some());
        known.cloned().ok_or_else(Problem::no_user)
    }

    /// A place among those whose answers are being written.
    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            let text = format!("more than {AT_ONCE} requests at once; ask again in a moment");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, text)
        })
    }

    /// What is not the fault of whoever asks. What it is stands in the box's own log.
    fn failed(&self, why: &(dyn Error + 'static)) -> Problem {
        error!(error = chain(why), "a backend cannot be answered");
        let text = "the box cannot read what it has; its log says why";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}
