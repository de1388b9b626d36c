//! The built pages of `web/`, inside the binary.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// A file of the page.
#[derive(Clone, Copy)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

/// Every file.
pub(super) const ALL: [Asset; 4] = [
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        bytes: include_bytes!("../../web/dist/index.html"),
    },
    Asset {
        path: "/wall.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../web/dist/wall.js"),
    },
    Asset {
        path: "/wall.css",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../../web/dist/wall.css"),
    },
    Asset {
        path: "/favicon.svg",
        content_type: "image/svg+xml",
        bytes: include_bytes!("../../web/dist/favicon.svg"),
    },
];

/// Changes with the version and with any file: a page that sees another one loads itself anew.
pub(super) static BUILD: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = crc32fast::Hasher::new();
    ALL.iter().for_each(|asset| hasher.update(asset.bytes));
    format!("{}-{:08x}", env!("CARGO_PKG_VERSION"), hasher.finalize())
});

impl Asset {
    pub(super) fn response(self) -> Response {
        // Small and local: asking each time is cheaper than showing an old page after an update.
        let headers =
            [(header::CONTENT_TYPE, self.content_type), (header::CACHE_CONTROL, "no-cache")];
        (headers, self.bytes).into_response()
    }
}
