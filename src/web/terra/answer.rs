//! `GET /v2/activity`, `/body`, `/daily`, `/athlete`: what is known of one user in a range of time, in the answer or by the
//! destinations.

use std::io::Write;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, warn};
use uuid::Uuid;

use super::ask::{Parameters, Range, Samples, To};
use super::pieces::{self, Broken, Pieces};
use super::problem::Problem;
use super::{Asked, Webhooks};
use crate::archive::Archive;
use crate::athlete::Athlete;
use crate::buffer::BufferError;
use crate::exit::chain;
use crate::format::terra::{Activity, AthleteEvent, Body as DayBody, Daily, User, VERSION};
use crate::reading::{Event, EventKind, Fact, RequestedData};
use crate::secret;
use crate::workout::Measured;

/// The header that ties a request to what is sent of it.
const REFERENCE: &str = "terra-reference";

/// What is said before what was promised is sent.
#[derive(Serialize)]
struct Acknowledged<'a> {
    status: &'static str,
    r#type: RequestedData,
    reference: Uuid,
    trace_id: Uuid,
    user: User<'a>,
}

/// A request that makes sense, of somebody who is there.
struct Request {
    data: RequestedData,
    athlete: Arc<Athlete>,
    range: Range,
    samples: Samples,
}

pub(super) async fn activity(State(asked): State<Asked>, uri: Uri) -> Response {
    answer(&asked, &uri, RequestedData::Activity).await
}

pub(super) async fn body(State(asked): State<Asked>, uri: Uri) -> Response {
    answer(&asked, &uri, RequestedData::Body).await
}

pub(super) async fn daily(State(asked): State<Asked>, uri: Uri) -> Response {
    answer(&asked, &uri, RequestedData::Daily).await
}

pub(super) async fn athlete(State(asked): State<Asked>, uri: Uri) -> Response {
    answer(&asked, &uri, RequestedData::Athlete).await
}

async fn answer(asked: &Asked, uri: &Uri, data: RequestedData) -> Response {
    match answer_to(asked, uri, data).await {
        Ok(response) => response,
        Err(problem) => problem.of(uri),
    }
}

async fn answer_to(asked: &Asked, uri: &Uri, data: RequestedData) -> Result<Response, Problem> {
    let parameters = Parameters::of(uri);
    let athlete = asked.user(parameters.user()?)?;
    let to = parameters.to()?;
    let samples = parameters.samples()?;
    let now = asked.now();
    let range = match data {
        // Of a person there is one answer, whatever the time.
        RequestedData::Athlete => Range::at(now, asked.archive()),
        _ => parameters.range(asked.archive(), now, samples)?,
    };
    let request = Request { data, athlete, range, samples };
    let reference = secret::random_uuid().map_err(|error| asked.failed(&error))?;
    debug!(%reference, "a backend asks");
    let mut response = match to {
        To::Webhook => promise(asked, &request, reference).await?,
        To::Answer if data == RequestedData::Athlete => {
            let this_year = u16::try_from(range.first.year()).unwrap_or_default();
            Json(AthleteEvent::new(&request.athlete, None, this_year)).into_response()
        }
        To::Answer => {
            let body = written(asked, request, asked.place()?).await?;
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
    };
    let reference = HeaderValue::try_from(reference.to_string());
    response.headers_mut().insert(REFERENCE, reference.map_err(|error| asked.failed(&error))?);
    Ok(response)
}

/// Notes the request in the log, from where sinks take it. What is acknowledged is durable.
async fn promise(asked: &Asked, request: &Request, reference: Uuid) -> Result<Response, Problem> {
    if asked.webhooks() == Webhooks::NowhereToGo {
        return Err(Problem::bad(
            "no destination of this box is sent Terra's payloads ([sinks]): ask with to_webhook=false",
        ));
    }
    let Request { data, athlete, range, samples } = request;
    let kind = EventKind::Requested {
        reference,
        data: *data,
        athlete: athlete.id,
        from: range.from,
        to: range.to,
        with_samples: *samples == Samples::Wanted,
    };
    let (intake, buffer) = asked.log();
    let noted = async {
        let place = intake.take(Fact::Event(Event { at: asked.stamp(), kind })).await?;
        buffer.flush();
        buffer.durable(place).await
    };
    noted.await.map_err(|error| match error {
        BufferError::Unavailable { .. } | BufferError::Closed | BufferError::NotStored => {
            let text = "the request cannot be noted at the moment; ask again";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
        }
        other => asked.failed(&other),
    })?;
    let user = User::new(athlete, None);
    let said =
        Acknowledged { status: "success", r#type: *data, reference, trace_id: reference, user };
    Ok(Json(said).into_response())
}

async fn written(
    asked: &Asked,
    request: Request,
    place: OwnedSemaphorePermit,
) -> Result<Body, Problem> {
    let (archive, stop) = (asked.archive().clone(), asked.stop().clone());
    let write = move |pieces: &mut Pieces| {
        let written = request.write(&archive, pieces);
        let is_stopping = stop.is_cancelled();
        if let (Err(Broken::Archive(error)), false) = (&written, is_stopping) {
            warn!(error = chain(error), "what a backend asks for cannot be read");
        }
        written
    };
    pieces::answer(place, asked.stop().clone(), write).await.map_err(|broken| asked.failed(&broken))
}

impl Request {
    /// Writes what is known, one workout or day after the other.
    fn write(&self, archive: &Archive, out: &mut Pieces) -> Result<(), Broken> {
        write!(out, "{{\"type\":")?;
        serde_json::to_writer(&mut *out, &self.data)?;
        write!(out, ",\"version\":\"{VERSION}\",\"user\":")?;
        serde_json::to_writer(&mut *out, &User::new(&self.athlete, None))?;
        write!(out, ",\"data\":[")?;
        let mut list = List { out, is_begun: false };
        match self.data {
            RequestedData::Activity => self.activities(archive, &mut list)?,
            RequestedData::Body => self.bodies(archive, &mut list)?,
            RequestedData::Daily => self.dailies(archive, &mut list)?,
            // One object, and no list: told where it was asked for.
            RequestedData::Athlete => {}
        }
        Ok(write!(out, "]}}")?)
    }

    fn activities(&self, archive: &Archive, list: &mut List<'_>) -> Result<(), Broken> {
        for workout in archive.workouts(self.athlete.id, self.range.from, self.range.to)? {
            let Measured { rates, .. } = match self.samples {
                Samples::Wanted => archive.measured(workout.activity.id)?,
                Samples::Not => Measured::default(),
            };
            list.add(&Activity::new(&workout, rates.iter().copied()))?;
        }
        Ok(())
    }

    fn bodies(&self, archive: &Archive, list: &mut List<'_>) -> Result<(), Broken> {
        for on in archive.days(self.athlete.id, self.range.first, self.range.last)? {
            let Measured { rates, beats, .. } = match self.samples {
                Samples::Wanted => archive.measured_on(&on)?,
                Samples::Not => Measured::default(),
            };
            let (rates, beats) = (rates.iter().copied(), beats.iter().copied());
            list.add(&DayBody::new(on.day, &self.athlete, &on.workouts, rates, beats))?;
        }
        Ok(())
    }

    fn dailies(&self, archive: &Archive, list: &mut List<'_>) -> Result<(), Broken> {
        for on in archive.days(self.athlete.id, self.range.first, self.range.last)? {
            list.add(&Daily::new(on.day, &self.athlete, &on.workouts))?;
        }
        Ok(())
    }
}

/// A list in an answer, one element after the other.
struct List<'a> {
    out: &'a mut Pieces,
    is_begun: bool,
}

impl List<'_> {
    fn add(&mut self, element: &impl Serialize) -> Result<(), Broken> {
        if std::mem::replace(&mut self.is_begun, true) {
            self.out.write_all(b",")?;
        }
        Ok(serde_json::to_writer(&mut *self.out, element)?)
    }
}
