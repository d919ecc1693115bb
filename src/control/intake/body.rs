//! Reads a body within its bounds: size before and after inflating, time, and room shared with all others.

use std::io::Write as _;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use flate2::write::GzDecoder;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::SemaphorePermit;

use crate::control::intake::admission::Admission;
use crate::control::problem::Problem;

/// A body that was read; `room` is its share of the bytes that may be read at once.
pub(crate) struct ReadBody<'a> {
    pub(crate) bytes: Bytes,
    pub(crate) room: Option<SemaphorePermit<'a>>,
}

/// Reads the body of a request, plain or gzip, of at most `bytes_max` bytes.
///
/// # Errors
/// 408 when it takes too long, 413 when it is too large, 415 when it is encoded in another way, 503 without room.
pub(crate) async fn read<B>(
    request: Request<B>,
    bytes_max: usize,
    admission: &Admission,
) -> Result<ReadBody<'_>, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let decoder = decoder(request.headers(), bytes_max)?;
    let body = request.into_body();
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max)); // Before the first byte of it.
    }
    let timeout = admission.options().read_timeout;
    tokio::time::timeout(timeout, collect(body, decoder, bytes_max, admission)).await.unwrap_or_else(|_| {
        let detail = format!("the body was not complete after {} s", timeout.as_secs());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail))
    })
}

async fn collect<B>(
    mut body: B,
    mut decoder: Decoder,
    bytes_max: usize,
    admission: &Admission,
) -> Result<ReadBody<'_>, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut room: Option<SemaphorePermit<'_>> = None;
    let (mut n_received, mut n_accounted) = (0_usize, 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("cut_off", "the body ended before its time"))?;
        let Ok(data) = frame.into_data() else {
            continue; // Trailers.
        };
        n_received += data.len();
        if n_received > bytes_max {
            return Err(too_large(bytes_max));
        }
        decoder.write(&data, bytes_max)?;
        let grown = decoder.len().saturating_sub(n_accounted);
        n_accounted += grown;
        let more = admission.room(grown).ok_or_else(|| {
            let wait = admission.options().retry_after_seconds;
            Problem::unavailable("not_taken", "too many bytes are arriving at once: send again", wait)
        })?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
    }
    Ok(ReadBody { bytes: Bytes::from(decoder.finish(bytes_max)?), room })
}

enum Decoder {
    Plain(Bounded),
    Gzip(Box<GzDecoder<Bounded>>),
}

/// Takes bytes up to a bound; beyond it every write fails, so that a small body cannot become a large one.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_full: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.is_full |= self.bytes.len() + data.len() > self.bytes_max;
        if self.is_full {
            return Err(std::io::Error::other("too large"));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn decoder(headers: &HeaderMap, bytes_max: usize) -> Result<Decoder, Problem> {
    let bounded = Bounded { bytes: Vec::new(), bytes_max, is_full: false };
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    match (encodings.next().map(<[u8]>::trim_ascii), encodings.next()) {
        (None, _) => Ok(Decoder::Plain(bounded)),
        (Some(word), None) if word.eq_ignore_ascii_case(b"identity") => Ok(Decoder::Plain(bounded)),
        (Some(word), None) if word.eq_ignore_ascii_case(b"gzip") || word.eq_ignore_ascii_case(b"x-gzip") => {
            Ok(Decoder::Gzip(Box::new(GzDecoder::new(bounded))))
        }
        _ => {
            let detail = "Content-Encoding may be gzip or identity, once";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown_encoding", detail))
        }
    }
}

impl Decoder {
    fn len(&self) -> usize {
        match self {
            Self::Plain(bounded) => bounded.bytes.len(),
            Self::Gzip(decoder) => decoder.get_ref().bytes.len(),
        }
    }

    fn write(&mut self, data: &[u8], bytes_max: usize) -> Result<(), Problem> {
        match self {
            Self::Plain(bounded) => bounded.write_all(data).map_err(|_| too_large(bytes_max)),
            Self::Gzip(decoder) => {
                let written = decoder.write_all(data);
                written.map_err(|_| Self::gzip_fault(decoder.get_ref().is_full, bytes_max))
            }
        }
    }

    fn finish(self, bytes_max: usize) -> Result<Vec<u8>, Problem> {
        match self {
            Self::Plain(bounded) => Ok(bounded.bytes),
            Self::Gzip(mut decoder) => {
                decoder.try_finish().map_err(|_| Self::gzip_fault(decoder.get_ref().is_full, bytes_max))?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
        }
    }

    fn gzip_fault(is_full: bool, bytes_max: usize) -> Problem {
        if is_full {
            too_large(bytes_max)
        } else {
            Problem::bad_request("bad_gzip", "the body is not one complete gzip member as Content-Encoding says")
        }
    }
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("a body may have {bytes_max} bytes, inflated too: send it in parts");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Read as _;

    use flate2::Compression;
    use flate2::read::GzDecoder as Inflater;
    use flate2::write::GzEncoder;
    use futures_util::stream;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    use super::*;
    use crate::control::intake::admission::IntakeOptions;

    const BYTES_MAX: usize = 4 << 10;

    /// Reads a body that comes in these pieces.
    fn read_pieces(pieces: &[&[u8]], encoding: Option<&[u8]>) -> Result<Vec<u8>, StatusCode> {
        let frames: Vec<Result<_, std::io::Error>> =
            pieces.iter().map(|piece| Ok(http_body::Frame::data(Bytes::copy_from_slice(piece)))).collect();
        let mut request = Request::new(StreamBody::new(stream::iter(frames)));
        if let Some(value) = encoding.and_then(|encoding| HeaderValue::from_bytes(encoding).ok()) {
            request.headers_mut().insert(header::CONTENT_ENCODING, value);
        }
        let admission = Admission::new(IntakeOptions::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let read = runtime.block_on(read(request, BYTES_MAX, &admission));
        read.map(|body| body.bytes.to_vec())
            .map_err(|problem| axum::response::IntoResponse::into_response(problem).status())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        /// However it is cut into pieces, damaged and encoded: what another reader makes of it, or a refusal with its status.
        #[test]
        fn any_body_is_read_within_its_bounds_or_refused(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..600),
                (any::<u8>(), 0..20_000_usize).prop_map(|(byte, len)| vec![byte; len]),
            ],
            deflated in any::<bool>(),
            damage in prop::option::weighted(0.5, (any::<prop::sample::Index>(), any::<u8>())),
            cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
            piece in 1..700_usize,
            encoding in prop_oneof![
                4 => Just(None), 8 => Just(Some(b"gzip".to_vec())), 1 => Just(Some(b" X-GZIP ".to_vec())),
                1 => prop::collection::vec(any::<u8>(), 0..8).prop_map(Some),
            ],
        ) {
            let mut body = if deflated { gzip(&text) } else { text };
            if let Some((at, byte)) = damage.filter(|_| !body.is_empty()) {
                let at = at.index(body.len());
                body[at] = byte;
            }
            if let Some(at) = cut {
                body.truncate(at.index(body.len() + 1));
            }
            let pieces: Vec<&[u8]> = body.chunks(piece).collect();
            let read = read_pieces(&pieces, encoding.as_deref());
            let is_gzip = encoding.as_deref().is_some_and(|word| word.trim_ascii().to_ascii_lowercase().ends_with(b"gzip"));
            match read {
                Ok(bytes) => {
                    prop_assert!(bytes.len() <= BYTES_MAX && body.len() <= BYTES_MAX);
                    if is_gzip {
                        let mut inflated = Vec::new();
                        Inflater::new(body.as_slice()).read_to_end(&mut inflated).unwrap();
                        prop_assert_eq!(bytes, inflated);
                    } else {
                        prop_assert_eq!(bytes, body);
                    }
                }
                Err(status) => prop_assert!(matches!(status.as_u16(), 400 | 413 | 415), "{}", status),
            }
        }
    }
}
