//! The format of every document: a JSON envelope, compressed if it is large.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The layout that this program writes, and the newest one it reads. Increase it when older programs must not read a
/// document.
pub(super) const LAYOUT: u32 = 1;

/// Documents from this size on are stored as gzip: plans and reports shrink to about a tenth.
const COMPRESSED_FROM_BYTES: usize = 8 * 1024;

/// No document of this program is larger, compressed or not.
pub(super) const LONGEST_BYTES: usize = 512 * 1024 * 1024;

#[derive(Serialize)]
struct Written<'a, T> {
    v: u32,
    kind: &'a str,
    by: &'a str,
    at: Timestamp,
    data: &'a T,
}

#[derive(Deserialize)]
struct Header {
    v: u32,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    by: String,
}

#[derive(Deserialize)]
struct Body<T> {
    data: T,
}

/// Why bytes are not the expected document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    Newer { found: u32 },
    Garbled(String),
}

/// Encodes `data` as a document of this `kind`, written by the process `by` at the time `at`.
pub(super) fn encode<T: Serialize>(
    kind: &str,
    by: &str,
    at: Timestamp,
    data: &T,
) -> Result<Bytes, String> {
    let json = serde_json::to_vec(&Written {
        v: LAYOUT,
        kind,
        by,
        at,
        data,
    })
    .map_err(|error| error.to_string())?;
    if json.len() < COMPRESSED_FROM_BYTES {
        return Ok(json.into());
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(json.len() / 8), Compression::fast());
    encoder
        .write_all(&json)
        .and_then(|()| encoder.finish())
        .map(Bytes::from)
        .map_err(|error| error.to_string())
}

/// The data of a document of this `kind`.
pub(super) fn decode<T: DeserializeOwned>(kind: &str, bytes: &[u8]) -> Result<T, DecodeError> {
    let json = unpack(bytes)?;
    let header = header(&json)?;
    if header.kind != kind {
        return Err(DecodeError::Garbled(format!(
            "it is a document of kind {:?}, not {kind:?}",
            header.kind
        )));
    }
    let body: Body<T> =
        serde_json::from_slice(&json).map_err(|error| DecodeError::Garbled(error.to_string()))?;
    Ok(body.data)
}

/// The process that wrote the document.
pub(super) fn written_by(bytes: &[u8]) -> Result<String, DecodeError> {
    Ok(header(&unpack(bytes)?)?.by)
}

fn header(json: &[u8]) -> Result<Header, DecodeError> {
    let header: Header =
        serde_json::from_slice(json).map_err(|error| DecodeError::Garbled(error.to_string()))?;
    match header.v {
        0 => Err(DecodeError::Garbled("layout 0 was never written".into())),
        1..=LAYOUT => Ok(header),
        found => Err(DecodeError::Newer { found }),
    }
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    if bytes.is_empty() {
        return Err(DecodeError::Garbled("it is empty".into()));
    }
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes.to_vec());
    }
    let mut json = Vec::new();
    let unpacked = GzDecoder::new(bytes)
        .take(LONGEST_BYTES as u64 + 1)
        .read_to_end(&mut json);
    match unpacked {
        Ok(length) if length > LONGEST_BYTES => Err(DecodeError::Garbled(
            "it is larger than any document of ours".into(),
        )),
        Ok(_) => Ok(json),
        Err(error) => Err(DecodeError::Garbled(format!(
            "its compression is broken ({error})"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_documents_come_back() {
        for length in [0, 10, 100_000] {
            let data = vec!["alice@corp.example".to_owned(); length];
            let bytes = encode("plan", "p", Timestamp::now(), &data).unwrap();
            assert_eq!(decode::<Vec<String>>("plan", &bytes), Ok(data));
            assert_eq!(written_by(&bytes).as_deref(), Ok("p"));
            assert!(
                bytes.len() < 100_000,
                "{length} addresses take {} bytes",
                bytes.len()
            );
        }
    }

    #[test]
    fn every_truncation_is_noticed() {
        for length in [3, 2_000] {
            let bytes = encode(
                "plan",
                "p",
                Timestamp::now(),
                &vec!["alice@corp.example"; length],
            )
            .unwrap();
            for cut in 0..bytes.len() {
                let read = decode::<Vec<String>>("plan", &bytes[..cut]);
                assert!(
                    matches!(read, Err(DecodeError::Garbled(_))),
                    "{cut} of {}",
                    bytes.len()
                );
            }
        }
    }

    #[test]
    fn a_newer_layout_is_told_from_garbage() {
        let newer = br#"{"v":2,"kind":"plan","data":{"unheard":"of"}}"#;
        assert_eq!(
            decode::<Vec<String>>("plan", newer),
            Err(DecodeError::Newer { found: 2 })
        );
        for (bytes, problem) in [
            (&b"{}"[..], "missing field `v` at line 1 column 2"),
            (
                br#"{"v":0,"kind":"plan","data":[]}"#,
                "layout 0 was never written",
            ),
            (
                br#"{"v":1,"kind":"report","data":[]}"#,
                "it is a document of kind \"report\", not \"plan\"",
            ),
            (
                br#"{"v":1,"kind":"plan"}"#,
                "missing field `data` at line 1 column 21",
            ),
            (b"", "it is empty"),
        ] {
            assert_eq!(
                decode::<Vec<String>>("plan", bytes),
                Err(DecodeError::Garbled(problem.into()))
            );
        }
    }
}
