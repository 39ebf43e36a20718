//! The page: files that are part of the binary.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::envelope::nothing_here;
use crate::state::Api;

/// The page's files, packed with gzip, by their path: `index.html`, `assets/app.js`.
#[derive(Clone, Debug, Default)]
pub struct Assets {
    files: Arc<HashMap<String, Asset>>,
    /// For development: files are read from here at each request.
    directory: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Asset {
    packed: Bytes,
    etag: String,
}

impl Assets {
    /// From paths and contents that are packed with gzip already.
    pub fn from_packed(files: impl IntoIterator<Item = (&'static str, &'static [u8])>) -> Self {
        let files = files
            .into_iter()
            .map(|(path, packed)| {
                let etag = format!("\"{:08x}{:x}\"", crc32fast::hash(packed), packed.len());
                (path.to_owned(), Asset { packed: Bytes::from_static(packed), etag })
            })
            .collect();
        Assets { files: Arc::new(files), directory: None }
    }

    /// Files are read from `directory` at each request.
    pub fn from_directory(directory: PathBuf) -> Self {
        Assets { files: Arc::default(), directory: Some(directory) }
    }

    fn respond(&self, path: &str, headers: &HeaderMap) -> Option<Response> {
        let content_type = content_type(path);
        if let Some(directory) = &self.directory {
            if path.split('/').any(|part| part == "..") {
                return None;
            }
            let bytes = std::fs::read(directory.join(path)).ok()?;
            return Some(([(header::CONTENT_TYPE, content_type)], bytes).into_response());
        }
        let asset = self.files.get(path)?;
        let known =
            headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == asset.etag.as_bytes());
        if known {
            return Some((StatusCode::NOT_MODIFIED, [(header::ETAG, asset.etag.clone())]).into_response());
        }
        let common = [
            (header::CONTENT_TYPE, content_type.to_owned()),
            (header::ETAG, asset.etag.clone()),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
            (header::VARY, "accept-encoding".to_owned()),
        ];
        let accepts = headers
            .get(header::ACCEPT_ENCODING)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.contains("gzip"));
        if accepts {
            return Some(
                (common, [(header::CONTENT_ENCODING, "gzip")], asset.packed.clone()).into_response(),
            );
        }
        use std::io::Read as _;
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&asset.packed[..]).read_to_end(&mut plain).ok()?;
        Some((common, plain).into_response())
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("png") => "image/png",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Addresses of the page's views. Everything else is a file of the page, or does not exist.
const VIEWS: [&str; 12] = [
    "/",
    "/alerts",
    "/graph",
    "/query",
    "/targets",
    "/silences",
    "/rules",
    "/status",
    "/config",
    "/flags",
    "/tsdb-status",
    "/service-discovery",
];

pub(crate) fn routes() -> Router<Arc<Api>> {
    let mut router = Router::new();
    for view in VIEWS {
        router = router.route(view, get(index));
    }
    router.route("/assets/{*path}", get(file)).route("/favicon.svg", get(file)).route("/theme.js", get(file))
}

/// On Alertmanager's listener the page is only pointed to.
pub(crate) fn redirect_routes() -> Router<Arc<Api>> {
    Router::new().route(
        "/",
        get(async |State(api): State<Arc<Api>>| Redirect::temporary(&format!("{}/", api.external_url))),
    )
}

async fn index(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    match api.assets.respond("index.html", &headers) {
        Some(page) => page,
        None => "This build of Foghorn has no page; the API is at /api/v1 and /api/v2.\n".into_response(),
    }
}

async fn file(State(api): State<Arc<Api>>, request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    match api.assets.respond(&path, request.headers()) {
        Some(file) => file,
        None => nothing_here().await,
    }
}
