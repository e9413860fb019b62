//! Runs the inputs that fuzzing kept (`fuzz/corpus`) through the same targets.

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

/// No input takes a second, but the machine may pause.
const PATIENCE: Duration = Duration::from_secs(20);

#[path = "../../fuzz/src/targets.rs"]
mod targets;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Whether it ended without a panic; `None` if it did not end.
fn ends(target: targets::Target, input: Vec<u8>) -> Option<bool> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(catch_unwind(|| (target.run)(&input)).is_ok()));
    receive.recv_timeout(PATIENCE).ok()
}

#[test]
fn every_kept_input_ends_well() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let names: Vec<PathBuf> = targets::ALL
        .iter()
        .map(|target| corpus.join(target.name))
        .collect();
    assert_eq!(files(&corpus), names, "a folder for each target");
    let (mut count, mut bytes) = (0, 0);
    for (target, folder) in targets::ALL.iter().zip(names) {
        for file in files(&folder) {
            let input = fs::read(&file).unwrap();
            count += 1;
            bytes += input.len();
            assert_eq!(ends(*target, input), Some(true), "{}", file.display());
        }
    }
    assert!(
        count < 200 && bytes < 500_000,
        "{count} files of {bytes} bytes: keep fewer"
    );
}
