//! The format of every document: a JSON envelope, compressed if it is large. A document that is too large to be in memory as
//! a whole is a sequence of lines behind an envelope without data.

use std::io::{self, BufRead, BufReader, Read, Write};

use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The layout that this program writes, and the newest one it reads. Increase it when older programs must not read a
/// document.
pub(super) const LAYOUT: u32 = 1;

/// Documents from this size on are stored as gzip: plans and reports shrink to about a tenth.
const COMPRESSED_FROM_BYTES: usize = 8 * 1024;

/// Three quarters of the time of the usual level, for a hundredth more bytes.
const LINES_COMPRESSION: Compression = Compression::new(5);

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

/// What the first of a sequence of lines says.
#[derive(Serialize)]
struct Heading<'a> {
    v: u32,
    kind: &'a str,
    by: &'a str,
    at: Timestamp,
}

/// A document while it is written. It is never in memory as a whole, unless it is small.
#[derive(Default)]
struct Document {
    /// Less than [`COMPRESSED_FROM_BYTES`], unless one write has more.
    text: Vec<u8>,
    compressed: Option<GzEncoder<Vec<u8>>>,
}

impl Document {
    fn compress(&mut self) -> io::Result<()> {
        let new = || GzEncoder::new(Vec::new(), Compression::fast());
        let encoder = self.compressed.get_or_insert_with(new);
        encoder.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<Bytes> {
        if self.compressed.is_some() {
            self.compress()?;
        }
        self.compressed
            .map_or(Ok(self.text), GzEncoder::finish)
            .map(Bytes::from)
    }
}

impl Write for Document {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        if self.text.len() >= COMPRESSED_FROM_BYTES {
            self.compress()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    let mut document = Document::default();
    let written = Written {
        v: LAYOUT,
        kind,
        by,
        at,
        data,
    };
    serde_json::to_writer(&mut document, &written).map_err(|error| error.to_string())?;
    document.finish().map_err(|error| error.to_string())
}

/// The data of a document of this `kind`.
pub(super) fn decode<T: DeserializeOwned>(kind: &str, bytes: &[u8]) -> Result<T, DecodeError> {
    let json = unpack(bytes)?;
    let header = header(&json)?;
    if header.kind != kind {
        return Err(other_kind(&header.kind, kind));
    }
    let body: Body<T> =
        serde_json::from_slice(&json).map_err(|error| DecodeError::Garbled(error.to_string()))?;
    Ok(body.data)
}

/// Encodes `lines` as a document of this `kind`, one after the other.
pub(super) fn encode_lines<T: Serialize>(
    kind: &str,
    by: &str,
    at: Timestamp,
    lines: impl Iterator<Item = T>,
) -> Result<Bytes, String> {
    let heading = Heading {
        v: LAYOUT,
        kind,
        by,
        at,
    };
    let mut encoder = GzEncoder::new(Vec::new(), LINES_COMPRESSION);
    let mut text = Vec::new();
    let mut write = |text: &mut Vec<u8>| {
        text.push(b'\n');
        encoder.write_all(text).map_err(|error| error.to_string())?;
        text.clear();
        Ok::<(), String>(())
    };
    serde_json::to_writer(&mut text, &heading).map_err(|error| error.to_string())?;
    write(&mut text)?;
    for line in lines {
        serde_json::to_writer(&mut text, &line).map_err(|error| error.to_string())?;
        write(&mut text)?;
    }
    let finished = encoder.finish().map_err(|error| error.to_string())?;
    Ok(finished.into())
}

/// Hands each line of a document of this `kind` to `take`. After an error, what was handed over is not all of it.
pub(super) fn decode_lines<T: DeserializeOwned>(
    kind: &str,
    bytes: &[u8],
    mut take: impl FnMut(T),
) -> Result<(), DecodeError> {
    let broken =
        |error: io::Error| DecodeError::Garbled(format!("its compression is broken ({error})"));
    let mut lines = BufReader::new(GzDecoder::new(bytes).take(LONGEST_BYTES as u64));
    let mut line = Vec::new();
    let mut is_first = true;
    while lines.read_until(b'\n', &mut line).map_err(broken)? > 0 {
        if is_first {
            let header = header(&line)?;
            if header.kind != kind {
                return Err(other_kind(&header.kind, kind));
            }
            is_first = false;
        } else {
            let line = serde_json::from_slice(&line);
            take(line.map_err(|error| DecodeError::Garbled(error.to_string()))?);
        }
        line.clear();
    }
    if is_first {
        return Err(DecodeError::Garbled("it is empty".into()));
    }
    Ok(())
}

fn other_kind(found: &str, kind: &str) -> DecodeError {
    DecodeError::Garbled(format!("it is a document of kind {found:?}, not {kind:?}"))
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
    fn lines_come_back_and_every_truncation_of_them_is_noticed() {
        let lines = ["alice@corp.example", "bob@corp.example", ""];
        let bytes = encode_lines("snapshot", "p", Timestamp::now(), lines.iter()).unwrap();
        let read = |bytes: &[u8], kind: &str| {
            let mut read: Vec<String> = Vec::new();
            decode_lines(kind, bytes, |line| read.push(line)).map(|()| read)
        };
        assert_eq!(read(&bytes, "snapshot").unwrap(), lines);
        for cut in 0..bytes.len() {
            let read = read(&bytes[..cut], "snapshot");
            assert!(matches!(read, Err(DecodeError::Garbled(_))), "{cut}");
        }
        assert!(matches!(
            read(&bytes, "report"),
            Err(DecodeError::Garbled(_))
        ));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(br#"{"v":2,"kind":"snapshot"}"#).unwrap();
        let newer = encoder.finish().unwrap();
        assert_eq!(
            read(&newer, "snapshot"),
            Err(DecodeError::Newer { found: 2 })
        );
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
