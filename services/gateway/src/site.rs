//! The gateway's pages: the API's description at `/openapi.json`, and a page at `/docs` to try calls.
//!
//! The page needs no other server: its script and styles are compiled in as a zip archive, from which they are
//! extracted, still compressed, on the first request. It may load from and call only this gateway.

use std::hash::{DefaultHasher, Hasher as _};
use std::io::{Cursor, Read as _};
use std::sync::OnceLock;

use bytes::Bytes;
use flotilla_rpc::RpcError;
use flotilla_wire::{Encoding, gzip};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderValue, Method, Response};
use tonic::body::Body;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

use crate::media_type::JSON;
use crate::message::MIN_COMPRESSED;
use crate::openapi;
use crate::problem::Problem;
use crate::reply::{full, is_known, not_modified};
use crate::routes::RouteTable;

/// The page may load from and call only its own origin. Inline styles are allowed because the page's script sets them.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Upper bound of the size of a compiled-in file.
const MAX_FILE: usize = 16 * 1024 * 1024;

/// A page or a file that it uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Its path.
    pub path: &'static str,
    media_type: &'static str,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The description of the API.
    Openapi,
    /// Text in this repository.
    Text(&'static str),
    /// A file in the archive, by the end of its path.
    Archive(&'static str),
}

const PAGES: &[Page] = &[
    Page { path: "/openapi.json", media_type: "application/json", source: Source::Openapi },
    Page {
        path: "/docs",
        media_type: "text/html; charset=utf-8",
        source: Source::Text(include_str!("site/docs.html")),
    },
    Page {
        path: "/docs/start.js",
        media_type: "text/javascript; charset=utf-8",
        source: Source::Text(include_str!("site/start.js")),
    },
    Page {
        path: "/docs/swagger-ui.js",
        media_type: "text/javascript; charset=utf-8",
        source: Source::Archive("/dist/swagger-ui-bundle.js"),
    },
    Page {
        path: "/docs/swagger-ui.css",
        media_type: "text/css; charset=utf-8",
        source: Source::Archive("/dist/swagger-ui.css"),
    },
];

/// What is sent: plain or compressed with gzip.
#[derive(Debug, Clone)]
struct Content {
    plain: Option<Bytes>,
    packed: Option<Bytes>,
    tag: HeaderValue,
}

/// The pages.
#[derive(Debug)]
pub struct Site {
    openapi: Content,
    archive: OnceLock<Vec<(&'static str, Content)>>,
}

impl Site {
    /// The pages for these routes.
    pub fn new(routes: &RouteTable) -> Self {
        let json = serde_json::to_vec(&openapi::document(routes)).expect("a tree of values can be written as JSON");
        Self { openapi: Content::plain(json.into()), archive: OnceLock::new() }
    }

    /// The page at a path.
    pub fn find(&self, path: &str) -> Option<&'static Page> {
        PAGES.iter().find(|page| page.path == path)
    }

    /// Responds with a page.
    ///
    /// # Errors
    /// The method isn't GET or HEAD.
    pub fn answer(&self, page: &'static Page, request: &Parts) -> Result<Response<Body>, Problem> {
        if request.method != Method::GET && request.method != Method::HEAD {
            return Err(Problem::other_methods(&[Method::GET]));
        }
        let content = match page.source {
            Source::Openapi => self.openapi.clone(),
            Source::Text(text) => Content::plain(Bytes::from_static(text.as_bytes())),
            Source::Archive(_) => {
                let files = self.archive.get_or_init(files);
                let found = files.iter().find(|(path, _)| *path == page.path);
                found.map(|(_, content)| content.clone()).ok_or_else(Problem::no_route)?
            }
        };
        let tag = content.tag.clone();
        let mut response = if is_known(&request.method, &request.headers, &tag) {
            not_modified()
        } else {
            let accepted = Encoding::accepted(request.headers.get(ACCEPT_ENCODING).map(HeaderValue::as_bytes));
            content.response(accepted == Encoding::Gzip)?
        };
        let headers = response.headers_mut();
        let media_type = if page.source == Source::Openapi { JSON } else { HeaderValue::from_static(page.media_type) };
        headers.insert(CONTENT_TYPE, media_type);
        headers.insert(ETAG, tag);
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        // Revalidated each time, mostly with 304, so that a new release shows at once.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Ok(response)
    }
}

impl Content {
    fn plain(bytes: Bytes) -> Self {
        Self { packed: gzip::deflate(&bytes, MIN_COMPRESSED).map(Bytes::from), tag: tag(&bytes), plain: Some(bytes) }
    }

    fn response(self, packed: bool) -> Result<Response<Body>, Problem> {
        match (self.plain, self.packed) {
            (Some(plain), None) => Ok(full(plain)),
            (Some(plain), Some(_)) if !packed => Ok(full(plain)),
            (None, Some(bytes)) if !packed => {
                let plain = gzip::inflate(&bytes, MAX_FILE).map_err(RpcError::from)?;
                Ok(full(plain.into()))
            }
            (_, Some(bytes)) => {
                let mut response = full(bytes);
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(Encoding::GZIP));
                Ok(response)
            }
            (None, None) => Err(Problem::no_route()),
        }
    }
}

/// An entity tag computed from the content.
fn tag(bytes: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("hexadecimal digits may stand in a header")
}

/// The files of the archive that pages need; missing ones are left out.
fn files() -> Vec<(&'static str, Content)> {
    let Ok(mut archive) = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)) else { return Vec::new() };
    let wanted = PAGES.iter().filter_map(|page| match page.source {
        Source::Archive(end) => Some((page.path, end)),
        Source::Openapi | Source::Text(_) => None,
    });
    wanted.filter_map(|(path, end)| Some((path, file(&mut archive, end)?))).collect()
}

/// A file, compressed as in the archive: its deflated bytes between gzip's header and trailer (RFC 1952).
fn file(archive: &mut ZipArchive<Cursor<&[u8]>>, end: &str) -> Option<Content> {
    let index =
        (0..archive.len()).find(|index| archive.name_for_index(*index).is_some_and(|name| name.ends_with(end)))?;
    let mut entry = archive.by_index_raw(index).ok()?;
    if entry.compression() != zip::CompressionMethod::Deflated {
        return None;
    }
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    entry.read_to_end(&mut packed).ok()?;
    packed.extend_from_slice(&entry.crc32().to_le_bytes());
    packed.extend_from_slice(&u32::try_from(entry.size()).ok()?.to_le_bytes());
    Some(Content { plain: None, tag: tag(&packed), packed: Some(packed.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_page_is_in_the_archive_and_valid() {
        let files = files();
        let archived = PAGES.iter().filter(|page| matches!(page.source, Source::Archive(_))).count();
        assert_eq!(files.len(), archived);
        for (path, content) in files {
            let plain = gzip::inflate(content.packed.as_ref().unwrap(), MAX_FILE).unwrap();
            assert!(plain.len() > 50_000 && std::str::from_utf8(&plain).is_ok(), "{path}");
        }
    }

    #[test]
    fn the_page_names_no_other_origin() {
        for page in PAGES {
            if let Source::Text(text) = page.source {
                assert!(!text.contains("//") || page.path.ends_with(".js"), "{}", page.path);
                assert!(!text.contains("http:") && !text.contains("https:"), "{}", page.path);
            }
        }
    }
}
