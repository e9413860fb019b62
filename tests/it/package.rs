//! The published zip and nothing else, unpacked into an empty folder of another user, under the host.
//!
//! `.ci/run` passes the released zip in `PACKAGE`. Without it the script packs the binary of this build.

use std::{
    env, fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    host::{Host, Timing, queue::Queue, wire::Call},
    process::office::{Office, folder_url},
    tools::{said, script, zip_entries},
};

/// `nobody`, on every Linux.
const NOBODY: u32 = 65534;

/// Some images do not have symbols that are newer than this glibc 2.x.
const GLIBC_MAX: u32 = 28;

fn released() -> Option<PathBuf> {
    env::var_os("PACKAGE").map(PathBuf::from)
}

fn zip(folder: &Path) -> Option<Vec<u8>> {
    if let Some(zip) = released() {
        return Some(fs::read(zip).unwrap());
    }
    let packed = script("package")?
        .args([
            "--unchecked",
            "--handler",
            env!("CARGO_BIN_EXE_cloud-sync"),
            "--out",
        ])
        .arg(folder)
        .output()
        .unwrap();
    assert!(packed.status.success(), "{}", said(&packed));
    Some(fs::read(folder.join("cloud-sync.zip")).unwrap())
}

/// As Azure mounts a package: read-only, and only `handler` may be executed.
fn unpack(zip: &[u8]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut folders = vec![root.path().to_owned()];
    for entry in zip_entries(zip) {
        let file = root.path().join(&entry.name);
        let folder = file.parent().unwrap();
        fs::create_dir_all(folder).unwrap();
        folders.push(folder.to_owned());
        fs::write(&file, &entry.content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(entry.mode & 0o555)).unwrap();
    }
    for folder in folders {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    root
}

/// A folder that only this user may read and write.
fn folder_of(user: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), Some(user), Some(user)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn the_zip_alone_runs_as_another_user() {
    let out = tempfile::tempdir().unwrap();
    let Some(zip) = zip(out.path()) else { return };
    let names: Vec<String> = zip_entries(&zip)
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(
        names,
        [
            "SyncHttp/function.json",
            "SyncQueue/function.json",
            "SyncTimer/function.json",
            "handler",
            "host.json"
        ]
    );
    let root = unpack(&zip);
    drop(zip);
    let myself = fs::metadata(out.path()).unwrap().uid();
    // Only root can switch to another user.
    let user = if myself == 0 { NOBODY } else { myself };
    let state = folder_of(user);
    let office = Office::open(6, 1).await;
    let settings = office.settings(&folder_url(state.path()));
    let queue = Queue::default();
    let host = Host::over_as(Some(user), root.path(), settings, queue, Timing::default()).unwrap();
    host.ready().await;
    let process = format!("/proc/{}", host.pid());
    assert_eq!(fs::metadata(process).unwrap().uid(), user);

    host.timer().await.succeeded();
    office.is_in_sync();
    let health = host.call(Call::get("/api/SyncHttp/health")).await;
    assert_eq!(health.status, 200, "{}", health.body);
    let queued = host
        .call(Call::post("/api/SyncHttp", &json!({"mode": "apply"})))
        .await;
    assert_eq!(queued.status, 202, "{}", queued.body);
    assert_eq!(host.drain().await.len(), 1);
    let report = host
        .call(Call::get(&queued.headers["location"]))
        .await
        .json();
    assert_eq!(report["outcome"], "in_sync", "{report}");
    host.stop().await;
}

#[test]
fn the_released_handler_asks_for_no_new_glibc() {
    let Some(zip) = released() else { return };
    let root = unpack(&fs::read(zip).unwrap());
    let symbols = Command::new("objdump")
        .arg("-T")
        .arg(root.path().join("handler"))
        .output()
        .unwrap();
    assert!(symbols.status.success(), "{}", said(&symbols));
    let symbols = String::from_utf8(symbols.stdout).unwrap();
    let versions: Vec<u32> = symbols
        .split("GLIBC_2.")
        .skip(1)
        .map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap()
        })
        .collect();
    assert!(!versions.is_empty(), "a handler with glibc");
    assert!(
        versions.iter().all(|version| *version <= GLIBC_MAX),
        "{versions:?}"
    );
}
