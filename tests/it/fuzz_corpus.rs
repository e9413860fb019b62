//! The inputs that fuzzing kept (`fuzz/corpus`), through the same targets.

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

#[path = "../../fuzz/src/targets.rs"]
mod targets;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
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
            let ended = catch_unwind(|| (target.run)(&input));
            assert!(ended.is_ok(), "{}", file.display());
        }
    }
    assert!(
        count < 200 && bytes < 500_000,
        "{count} files of {bytes} bytes: keep fewer"
    );
}
