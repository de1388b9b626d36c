//! Errors as Terra tells them: RFC 9457.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// What is wrong and what would be right.
    pub(super) detail: String,
}

/// As it is written.
#[derive(Serialize)]
struct Written<'a> {
    r#type: &'static str,
    title: String,
    instance: &'a str,
    detail: &'a str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// A parameter that cannot be understood.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Nobody of that id, or somebody who has not agreed.
    pub(super) fn no_user() -> Self {
        Self::new(StatusCode::NOT_FOUND, "user not found")
    }

    /// Of this request.
    pub(super) fn of(&self, uri: &Uri) -> Response {
        let reason = self.status.canonical_reason().unwrap_or("error");
        let written = Written {
            r#type: "about:blank",
            title: reason.to_lowercase(),
            instance: uri.path_and_query().map_or("/", |all| all.as_str()),
            detail: &self.detail,
        };
        let mut response = (self.status, Json(written)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
