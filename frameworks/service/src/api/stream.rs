//! Answers that list many things, written while they are sent.
//!
//! Each piece is made when the connection has taken the one before it: the first byte leaves at once, and no copy of the
//! whole list is ever held. The view does not change meanwhile.

use super::reply;
use crate::view::{AppView, View};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use meseta_http::negotiate::accepts_gzip;
use meseta_http::{Body, Response};
use meseta_service_core::app::AppId;
use std::io::Write;
use std::ops::Bound;
use std::sync::Arc;

/// A piece is sent when it has this many bytes: some hundred microseconds of work, a few frames of the connection.
const PIECE_BYTES: usize = 64 * 1024;

/// Apps looked at for one piece, whether they are shown or not, so that a filter that shows nothing yields in between.
const PIECE_APPS: usize = 1_000;

/// A list of something of each app.
pub(super) struct Listing<W> {
    /// Of which apps: those whose id starts with this.
    pub(super) below: String,
    /// Before the first one.
    pub(super) head: &'static str,
    /// After the last one.
    pub(super) tail: &'static str,
    /// Between two.
    pub(super) separator: &'static str,
    /// Its media type.
    pub(super) media: &'static str,
    /// Writes what is shown of an app; nothing, if it is not shown.
    pub(super) write: W,
}

/// The answer that lists something of each app of a view.
pub(super) fn list<W>(view: Arc<View>, listing: Listing<W>, request: &HeaderMap) -> Response
where
    W: FnMut(&mut Vec<u8>, &AppView) + Send + 'static,
{
    let gzip = accepts_gzip(request).then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    let is_gzip = gzip.is_some();
    let media = listing.media;
    let state = Some(State {
        view,
        listing,
        gzip,
        last: None,
        shown: 0,
    });
    let pieces = stream::unfold(state, |state| async move {
        let mut state = state?;
        let (piece, more) = state.piece();
        Some((piece, more.then_some(state)))
    });
    let mut response = reply::with_type(StatusCode::OK, media, Body::from_stream(pieces));
    if is_gzip {
        response
            .headers_mut()
            .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

struct State<W> {
    view: Arc<View>,
    listing: Listing<W>,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// The app that was looked at last.
    last: Option<AppId>,
    shown: usize,
}

impl<W: FnMut(&mut Vec<u8>, &AppView)> State<W> {
    /// The next piece, and whether there are more.
    fn piece(&mut self) -> (std::io::Result<Bytes>, bool) {
        let mut out = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        if self.last.is_none() {
            out.extend_from_slice(self.listing.head.as_bytes());
        }
        let more = self.fill(&mut out);
        if !more {
            out.extend_from_slice(self.listing.tail.as_bytes());
        }
        match &mut self.gzip {
            None => (Ok(out.into()), more),
            Some(gzip) => (pack(gzip, &out, !more).map(Bytes::from), more),
        }
    }

    fn fill(&mut self, out: &mut Vec<u8>) -> bool {
        let view = Arc::clone(&self.view);
        let below = self.listing.below.clone();
        let first = AppId::recorded(&below);
        let seen = self.last.take();
        let start = match &seen {
            None => Bound::Included(&first),
            Some(last) => Bound::Excluded(last),
        };
        let apps = view
            .apps
            .from(start)
            .take_while(|(id, _)| id.as_str().starts_with(&below));
        let mut last = None;
        for (count, (id, app)) in apps.enumerate() {
            if count >= PIECE_APPS || out.len() >= PIECE_BYTES {
                self.last = last;
                return true;
            }
            let start = out.len();
            if self.shown > 0 {
                out.extend_from_slice(self.listing.separator.as_bytes());
            }
            let before = out.len();
            (self.listing.write)(out, app);
            if out.len() == before {
                out.truncate(start);
            } else {
                self.shown += 1;
            }
            last = Some(id.clone());
        }
        false
    }
}

fn pack(gzip: &mut GzEncoder<Vec<u8>>, bytes: &[u8], end: bool) -> std::io::Result<Vec<u8>> {
    gzip.write_all(bytes)?;
    if end {
        gzip.try_finish()?;
    } else {
        gzip.flush()?;
    }
    Ok(std::mem::take(gzip.get_mut()))
}

/// A whole body, packed.
pub(super) fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}
