//! The `OpenAPI` document and the running handler agree. schemathesis checks it with valid and invalid calls that it
//! derives from the document.

use std::{path::Path, process::Stdio, sync::Arc};

use crate::{
    host::{FUNCTION_KEY, Host, front::Front},
    process::office::{Office, folder_url},
    tools::python_with,
};

/// Limited so that it takes less than half a minute. The seed makes failures reproducible. Methods other than GET, HEAD
/// and POST are not called, since the host itself answers them with 404 (`docs/specs/functions-host.md`, "2.3 HTTP
/// trigger request").
const CONFIGURATION: &str = r#"
seed = 20261123
continue-on-failure = true

[checks]
unsupported_method.enabled = false
# 422 is an address that no mailbox and no account has, which no schema knows (R39).
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "5xx"]

# 503 is its word for unhealthy, as an app is whose only runs are for single accounts (R28).
[[operations]]
include-path = "/api/SyncHttp/health"
checks.not_a_server_error.enabled = false

[generation]
max-examples = 15

[phases.stateful.generation]
max-examples = 8
"#;

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_no_fault() {
    let Some(python) = python_with("schemathesis") else {
        return;
    };
    let state = tempfile::tempdir().unwrap();
    let office = Office::open(4, 1).await;
    let host = Arc::new(Host::start(office.settings(&folder_url(state.path()))).await);
    let front = Front::of(Arc::clone(&host)).await;
    let configuration = state.path().join("schemathesis.toml");
    std::fs::write(&configuration, CONFIGURATION).unwrap();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let mut command = tokio::process::Command::from(python);
    let said = command
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(&configuration)
        .args(["run", "--url", &front.url, "--header"])
        .arg(format!("x-functions-key: {FUNCTION_KEY}"))
        .arg(document)
        .current_dir(state.path())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let report = String::from_utf8_lossy(&said.stdout);
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{report}\n{errors}");
    assert!(report.contains("No issues found"), "{report}");
}
