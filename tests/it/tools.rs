//! External programs that judge this project, in a Python environment that `.ci/run` creates.
//!
//! It is found through `TEST_PYTHON`, otherwise as `python3` on the PATH. If a package is missing, tests report that
//! they were skipped; if CI is set they fail instead.

use std::{
    env,
    io::Read,
    path::Path,
    process::{Command, Output},
};

/// A Python that can import `module`.
#[expect(clippy::print_stderr, reason = "a skipped test has to be seen")]
pub(crate) fn python_with(module: &str) -> Option<Command> {
    let python = env::var_os("TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let import = format!("import {module}");
    let found = Command::new(&python).args(["-c", &import]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(Command::new(python));
    }
    let missing = format!("no Python with {module}: set TEST_PYTHON as .ci/run does");
    assert!(
        env::var_os("CI").is_none(),
        "CI is set but there is {missing}"
    );
    eprintln!("skipped: {missing}");
    None
}

/// A script of this project, if Python is installed. A build server must have it.
pub(crate) fn script(name: &str) -> Option<Command> {
    let mut command = python_with("zipfile")?;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    command.arg(scripts.join(name));
    Some(command)
}

/// Both streams of a program.
pub(crate) fn said(output: &Output) -> String {
    let streams = [&output.stdout, &output.stderr];
    streams
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

/// A file in a zip.
pub(crate) struct ZipEntry {
    pub(crate) name: String,
    pub(crate) mode: u32,
    pub(crate) content: Vec<u8>,
}

/// The entries of the central directory (APPNOTE 4.3.12), in its order.
pub(crate) fn zip_entries(zip: &[u8]) -> Vec<ZipEntry> {
    let short = |at: usize| usize::from(u16::from_le_bytes([zip[at], zip[at + 1]]));
    let long = |at: usize| short(at) | (short(at + 2) << 16);
    let end = zip
        .windows(4)
        .rposition(|bytes| bytes == b"PK\x05\x06")
        .unwrap();
    let mut at = long(end + 16);
    let mut found = Vec::new();
    while zip[at..].starts_with(b"PK\x01\x02") {
        let name = &zip[at + 46..at + 46 + short(at + 28)];
        let local = long(at + 42);
        let data = local + 30 + short(local + 26) + short(local + 28);
        let data = &zip[data..data + long(at + 20)];
        let content = match short(at + 10) {
            0 => data.to_vec(),
            8 => {
                let mut content = Vec::new();
                flate2::read::DeflateDecoder::new(data)
                    .read_to_end(&mut content)
                    .unwrap();
                content
            }
            other => panic!("compression {other}"),
        };
        found.push(ZipEntry {
            name: String::from_utf8(name.to_vec()).unwrap(),
            mode: u32::try_from(short(at + 40)).unwrap() & 0o777,
            content,
        });
        at += 46 + short(at + 28) + short(at + 30) + short(at + 32);
    }
    found
}
