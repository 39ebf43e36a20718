//! Answers made smaller for clients that ask for it.
//!
//! A body is packed piece by piece as the client takes it: neither the answer nor its packed form is in memory as a whole.

use std::io::Write as _;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use flate2::write::GzEncoder;
use futures_util::{StreamExt as _, stream};

/// Answers shorter than this are not worth packing.
const PACK_BYTES_MIN: u64 = 1024;

/// Packs answers with gzip for clients that accept it.
pub(crate) async fn compress(request: Request, next: Next) -> Response {
    let accepted = accepts_gzip(request.headers());
    let mut response = next.run(request).await;
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let short = response.body().size_hint().exact().is_some_and(|bytes| bytes < PACK_BYTES_MIN);
    if !accepted || short || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, packed(body))
}

/// Whether `gzip` (or anything) is among the accepted encodings, and not with a weight of nothing.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let weight = |parameters: &str| {
        let weight = parameters.split(';').find_map(|p| p.trim().strip_prefix("q="));
        weight.map_or(1.0, |text| text.trim().parse().unwrap_or(0.0))
    };
    let mut any = false;
    for part in values.flat_map(|value| value.split(',')) {
        let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => return weight(parameters) > 0.0,
            "*" => any = weight(parameters) > 0.0,
            _ => {}
        }
    }
    any
}

/// What is left of a body, and the packer; no packer when all is said.
type Packing = (BodyDataStream, Option<GzEncoder<Vec<u8>>>);

fn packed(body: Body) -> Body {
    let encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let start: Packing = (body.into_data_stream(), Some(encoder));
    Body::from_stream(stream::try_unfold(start, next_packed))
}

/// The next piece that the packer lets go; it keeps short ones until there are more.
async fn next_packed((mut body, encoder): Packing) -> Result<Option<(Bytes, Packing)>, axum::Error> {
    let Some(mut encoder) = encoder else { return Ok(None) };
    while let Some(chunk) = body.next().await {
        encoder.write_all(&chunk?).map_err(axum::Error::new)?;
        let out = std::mem::take(encoder.get_mut());
        if !out.is_empty() {
            return Ok(Some((Bytes::from(out), (body, Some(encoder)))));
        }
    }
    let out = encoder.finish().map_err(axum::Error::new)?;
    Ok(Some((Bytes::from(out), (body, None))))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn who_accepts_gzip() {
        for (text, accepted) in [
            ("gzip", true),
            ("deflate, gzip;q=1.0, *;q=0.5", true),
            ("GZIP", true),
            ("*", true),
            ("br", false),
            ("gzip;q=0", false),
            ("*, gzip; q=0", false),
            ("identity", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(text));
            assert_eq!(accepts_gzip(&headers), accepted, "{text}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn pieces_go_in_and_pieces_come_out() {
        let pieces: Vec<String> = (0..200).map(|i| format!("{i} {}\n", "x".repeat(i * 7))).collect();
        let wanted = pieces.concat();
        let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
        let bytes = axum::body::to_bytes(packed(body), usize::MAX).await.unwrap();
        assert!(bytes.len() < wanted.len() / 10);
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut unpacked).unwrap();
        assert_eq!(unpacked, wanted);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        let pieces = vec![Ok("a"), Err(std::io::Error::other("gone"))];
        let body = Body::from_stream(stream::iter(pieces));
        assert!(axum::body::to_bytes(packed(body), usize::MAX).await.is_err());
    }
}
