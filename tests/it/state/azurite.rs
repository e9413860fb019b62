//! Azurite, Azure's emulator of blob storage, started once for all tests.

use std::{
    env,
    io::{BufRead, BufReader, Lines, Write},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::LazyLock,
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::{SignedDuration, Timestamp};
use object_store::{
    RetryConfig,
    azure::{MicrosoftAzure, MicrosoftAzureBuilder},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const ACCOUNT: &str = "devstoreaccount1";
/// Public: every Azurite has this key.
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

struct Azurite {
    endpoint: String,
    /// Kept open. Azurite writes a line when it ends, and ends with this process.
    _output: Lines<BufReader<ChildStdout>>,
    _child: Child,
    _folder: TempDir,
}

static AZURITE: LazyLock<Option<Azurite>> = LazyLock::new(|| {
    let Some(program) = program() else {
        assert!(
            env::var_os("CI").is_none(),
            "CI is set but there is no Azurite: npm install -g azurite, or set AZURITE_BLOB"
        );
        return None;
    };
    Some(start(program))
});

fn program() -> Option<PathBuf> {
    let named = env::var_os("AZURITE_BLOB").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    named.or_else(|| {
        env::split_paths(&path)
            .map(|folder| folder.join("azurite-blob"))
            .find(|program| program.is_file())
    })
}

/// On a free port.
fn start(program: PathBuf) -> Azurite {
    let folder = tempfile::tempdir().unwrap();
    // The shell kills Azurite when its own input ends, which happens when the test process ends in any way.
    let script = r#""$0" --inMemoryPersistence --disableTelemetry --silent --skipApiVersionCheck --blobHost 127.0.0.1 --blobPort 0 & read -r _; kill $!"#;
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(program)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, address) = line.split_once("listens on http://127.0.0.1:")?;
        address.trim().parse::<u16>().ok()
    });
    let port = port.expect("Azurite says on which port it listens");
    Azurite {
        endpoint: format!("http://127.0.0.1:{port}/{ACCOUNT}"),
        _output: lines,
        _child: child,
        _folder: folder,
    }
}

/// The value of `AzureWebJobsStorage`. `None` with a visible message if there is no Azurite.
pub(crate) fn connection_string() -> Option<String> {
    let Some(azurite) = AZURITE.as_ref() else {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        report(&format!(
            "skipped {name}: no Azurite (npm install -g azurite, or set AZURITE_BLOB)"
        ));
        return None;
    };
    let endpoint = &azurite.endpoint;
    Some(format!(
        "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"
    ))
}

/// Written directly to stderr, so that a skipped test is visible among the passed ones.
fn report(line: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{line}").unwrap();
}

/// A container without faults.
pub(crate) fn store(container: &str) -> MicrosoftAzure {
    let endpoint = AZURITE
        .as_ref()
        .map(|azurite| azurite.endpoint.clone())
        .unwrap();
    cloud_sync::http::set_up_tls();
    MicrosoftAzureBuilder::new()
        .with_account(ACCOUNT)
        .with_access_key(KEY)
        .with_container_name(container)
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_retry(RetryConfig {
            max_retries: 1,
            retry_timeout: Duration::from_secs(5),
            ..RetryConfig::default()
        })
        .build()
        .unwrap()
}

/// The same with a shared access signature instead of the key: an account SAS for everything in blobs, for an hour
/// (<https://learn.microsoft.com/rest/api/storageservices/create-account-sas>).
pub(crate) fn connection_string_with_sas() -> Option<String> {
    connection_string()?;
    let endpoint = AZURITE.as_ref().map(|azurite| azurite.endpoint.clone())?;
    let expiry = (Timestamp::now() + SignedDuration::from_secs(3600))
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string();
    let (permissions, version) = ("rwdlac", "2023-11-03");
    let to_sign = format!("{ACCOUNT}\n{permissions}\nb\nsco\n\n{expiry}\n\n\n{version}\n\n");
    let signature = BASE64_STANDARD.encode(hmac_sha256(
        &BASE64_STANDARD.decode(KEY).unwrap(),
        to_sign.as_bytes(),
    ));
    let signature = utf8_percent_encode(&signature, NON_ALPHANUMERIC);
    let sas = format!("sv={version}&ss=b&srt=sco&sp={permissions}&se={expiry}&sig={signature}");
    Some(format!(
        "BlobEndpoint={endpoint};SharedAccessSignature={sas}"
    ))
}

/// RFC 2104, for a key of at most 64 bytes.
fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    let padded = |pad: u8| {
        (0..64)
            .map(|at| key.get(at).copied().unwrap_or(0) ^ pad)
            .collect::<Vec<u8>>()
    };
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(text)
        .finalize();
    Sha256::new()
        .chain_update(padded(0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}
