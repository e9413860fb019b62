//! Reads bodies with a size limit, and unpacks those that a service compresses unasked.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};

/// Why a body could not be read.
#[derive(Debug)]
pub(super) enum BodyError<E> {
    Broken(E),
    TooLarge,
}

/// Reads all `chunks`, up to `limit` bytes. `announced` is the content length, if known: allocating it first avoids
/// copying a large body as it grows.
pub(super) async fn collect<E>(
    chunks: impl Stream<Item = Result<Bytes, E>>,
    announced: Option<usize>,
    limit: usize,
) -> Result<Bytes, BodyError<E>> {
    let mut chunks = std::pin::pin!(chunks);
    let (mut first, mut body) = (Bytes::new(), BytesMut::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(BodyError::Broken)?;
        let length = first.len() + body.len() + chunk.len();
        if length > limit {
            return Err(BodyError::TooLarge);
        }
        if first.is_empty() && body.is_empty() {
            first = chunk;
            continue;
        }
        if body.is_empty() {
            body.reserve(announced.unwrap_or_default().clamp(length, limit));
            body.extend_from_slice(&std::mem::take(&mut first));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(if body.is_empty() {
        first
    } else {
        body.freeze()
    })
}

/// Why a gzip body could not be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UnpackError {
    /// The unpacked body would exceed the limit: possibly a gzip bomb.
    TooLarge,
    /// Truncated or not gzip.
    Damaged,
}

/// Unpacks a body that starts with gzip's magic number, whatever the headers say; any other body is returned as it is.
pub(crate) fn unpack(body: Bytes, limit: usize) -> Result<Bytes, UnpackError> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body);
    }
    let one_more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(&body[..])
        .take(one_more)
        .read_to_end(&mut plain)
        .map_err(|_| UnpackError::Damaged)?;
    if plain.len() > limit {
        return Err(UnpackError::TooLarge);
    }
    Ok(Bytes::from(plain))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pack(plain: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        Bytes::from(encoder.finish().unwrap())
    }

    #[test]
    fn gzip_is_known_by_its_magic_number_and_bounded() {
        let plain = Bytes::from_static(b"{\"value\":[]}");
        assert_eq!(unpack(plain.clone(), 5), Ok(plain.clone()));
        assert_eq!(unpack(pack(&plain), 100), Ok(plain.clone()));
        let bomb = pack(&vec![0; 1 << 20]);
        assert_eq!(unpack(bomb, 1000), Err(UnpackError::TooLarge));
        let packed = pack(&plain);
        assert_eq!(
            unpack(packed.slice(..packed.len() - 6), 100),
            Err(UnpackError::Damaged)
        );
    }
}
