//! Who may look: heart rate is health data, so a display has to show the wall key, even on the box itself.
//!
//! The key comes once in a link (`/?key=…`), becomes a cookie, and leaves the address bar. A page in another tab must
//! not read the wall through a name that points here (DNS rebinding), so host names have to be known.

use std::net::IpAddr;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::Site;

const COOKIE: &str = "pulsegate_wall";
/// A year: a wall display is set up once.
const COOKIE_AGE_S: u32 = 31_536_000;

#[derive(serde::Deserialize)]
pub(super) struct Key {
    key: Option<String>,
}

/// Lets pass whoever shows the wall key.
pub(super) async fn require_key(
    State(site): State<Site>,
    Query(query): Query<Key>,
    request: Request,
    next: Next,
) -> Response {
    let Some(key) = site.0.wall.as_ref().map(|wall| &wall.key) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if query.key.is_some_and(|shown| key.matches(&shown)) && request.uri().path() == "/" {
        let cookie = format!(
            "{COOKIE}={}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax",
            key.expose()
        );
        return ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response();
    }
    if cookie(request.headers()).is_some_and(|shown| key.matches(shown)) {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, Html(HOW_TO_GET_IN)).into_response()
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

const HOW_TO_GET_IN: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>Pulsegate</title>\
<h1>This page shows heart rates</h1>\
<p>Open it with the link that <code>pulsegate status</code> prints on the box. \
It needs to be opened once on each display.</p></html>\n";

/// Lets pass requests for this machine by address or by a known name.
pub(super) async fn require_known_host(
    State(site): State<Site>,
    request: Request,
    next: Next,
) -> Response {
    if is_host_known(&site, request.headers()) {
        return next.run(request).await;
    }
    let text = "unknown host name; add it to host_names under [web]\n";
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

/// Whether this machine is asked for by an address or by a known name.
pub(super) fn is_host_known(site: &Site, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    is_known(name_of(host), &site.0.config.web.host_names)
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_known(name: &str, configured: &[String]) -> bool {
    let own = rustix::system::uname();
    let own = own.nodename().to_string_lossy();
    let own = own.split('.').next().unwrap_or_default();
    let same = |other: &str| !other.is_empty() && name.eq_ignore_ascii_case(other);
    name.parse::<IpAddr>().is_ok()
        || same("localhost")
        || same(own)
        || same(&format!("{own}.local"))
        || configured.iter().any(|other| same(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_known_names_pass_others_do_not() {
        let known = |host| is_known(name_of(host), &["tv.gym.example".to_owned()]);
        for host in
            ["127.0.0.1:7373", "192.168.1.5", "[::1]:7373", "localhost:7373", "TV.gym.example:80"]
        {
            assert!(known(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:7373", "127.0.0.1.evil.example"] {
            assert!(!known(host), "{host}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; pulsegate_wall=abc; c=d".parse().unwrap());
        assert_eq!(cookie(&headers), Some("abc"));
    }
}
