//! What is written can be read back in order, or is refused.

use std::time::{Duration, SystemTime};

use cloud_sync::state::{Keep, Phase, Pruned, RunId, State, StateError, StateLocation};
use jiff::{SignedDuration, Timestamp};
use object_store::{ObjectStoreExt, path::Path};

use super::{Bench, over_each_store, prune};

over_each_store!(
    memory_is_replaced_only_as_it_was_read,
    r35_a_journal_keeps_its_order_over_processes,
    a_second_writer_of_a_journal_is_refused,
    large_documents_come_back,
    the_history_is_newest_first,
    r34_a_checkpoint_is_read_and_cleared,
    r27_approvals_are_kept,
    a_newer_layout_is_refused,
    a_truncated_or_foreign_document_is_refused,
    a_gap_in_a_journal_is_told_and_stops_no_writer,
    r35_old_runs_go_and_open_ones_stay,
    r35_previews_do_not_displace_what_an_undo_needs,
    r35_the_newest_of_the_wanted_runs_stays,
    r35_a_run_that_cannot_be_read_stops_no_pruning,
);

fn run_at(second: i64) -> RunId {
    RunId::drawn(Timestamp::from_second(1_795_399_200 + second).unwrap(), 0)
}

async fn overwrite(bench: &Bench, name: &str, bytes: &[u8]) {
    bench
        .store
        .put(&Path::from(name), bytes.to_vec().into())
        .await
        .unwrap();
}

async fn memory_is_replaced_only_as_it_was_read(bench: Bench) {
    let (ours, theirs) = (bench.open().await, bench.open().await);
    assert_eq!(ours.memory::<Vec<u32>>().await.unwrap(), None);
    ours.save_memory(&vec![1], None).await.unwrap();
    let ours_read = ours.memory::<Vec<u32>>().await.unwrap().unwrap();
    let theirs_read = theirs.memory::<Vec<u32>>().await.unwrap().unwrap();
    assert_eq!(theirs_read.value, [1]);

    let after = theirs
        .save_memory(&vec![1, 2], Some(&theirs_read.revision))
        .await
        .unwrap();
    for before in [None, Some(&ours_read.revision)] {
        let refused = ours.save_memory(&vec![9], before).await;
        assert!(
            matches!(refused, Err(StateError::Conflict { ref object, .. }) if object == "memory"),
            "{refused:?}"
        );
    }
    theirs
        .save_memory(&vec![1, 2, 3], Some(&after))
        .await
        .unwrap();
    assert_eq!(
        ours.memory::<Vec<u32>>().await.unwrap().unwrap().value,
        [1, 2, 3]
    );
}

async fn r35_a_journal_keeps_its_order_over_processes(bench: Bench) {
    let run = run_at(0);
    let mut expected = Vec::new();
    for process in 0..3 {
        let mut journal = bench.open().await.journal::<Vec<u32>>(&run);
        for batch in 0..5 {
            let outcomes = vec![process * 100 + batch, 7];
            journal.append(&outcomes).await.unwrap();
            expected.push(outcomes);
        }
    }
    assert_eq!(
        bench
            .open()
            .await
            .journal::<Vec<u32>>(&run)
            .read()
            .await
            .unwrap(),
        expected
    );
    assert_eq!(
        bench
            .open()
            .await
            .journal::<Vec<u32>>(&run_at(1))
            .read()
            .await
            .unwrap(),
        Vec::<Vec<u32>>::new()
    );
}

async fn a_second_writer_of_a_journal_is_refused(bench: Bench) {
    let run = run_at(0);
    let mut ours = bench.open().await.journal::<u32>(&run);
    let mut theirs = bench.open().await.journal::<u32>(&run);
    ours.append(&1).await.unwrap();
    theirs.append(&2).await.unwrap();
    let refused = ours.append(&3).await;
    assert!(
        matches!(refused, Err(StateError::Conflict { .. })),
        "{refused:?}"
    );
    assert_eq!(
        bench
            .open()
            .await
            .journal::<u32>(&run)
            .read()
            .await
            .unwrap(),
        [1, 2]
    );
}

async fn large_documents_come_back(bench: Bench) {
    let (state, run) = (bench.open().await, run_at(0));
    let accounts: Vec<String> = (0..20_000)
        .map(|n| format!("mailbox.number.{n}@corp.example is to have delegate.{n}@corp.example"))
        .collect();
    state.plans(&run).append(&accounts).await.unwrap();
    state.save_report(&run, &accounts).await.unwrap();
    assert!(state.plans::<Vec<String>>(&run).read().await.unwrap() == [accounts.clone()]);
    assert!(state.report::<Vec<String>>(&run).await.unwrap() == Some(accounts));
    let stored = bench
        .store
        .head(&Path::from(format!("runs/{run}/report")))
        .await
        .unwrap();
    assert!(
        stored.size < 300_000,
        "20,000 accounts take {} bytes",
        stored.size
    );
}

async fn the_history_is_newest_first(bench: Bench) {
    let state = bench.open().await;
    assert!(state.runs::<String>(10).await.unwrap().is_empty());
    let runs: Vec<RunId> = (0..4).map(run_at).collect();
    state
        .save_summary(&runs[0], Phase::Ended, &"first")
        .await
        .unwrap();
    state
        .plans(&runs[1])
        .append(&"killed before its summary")
        .await
        .unwrap();
    state
        .save_summary(&runs[2], Phase::Ended, &"third")
        .await
        .unwrap();
    overwrite(&bench, &format!("runs/{}/summary", runs[2]), b"{").await;
    state
        .save_summary(&runs[3], Phase::Open, &"fourth")
        .await
        .unwrap();
    overwrite(&bench, "runs/notes of somebody/summary", b"not ours").await;

    let history = state.runs::<String>(3).await.unwrap();
    assert_eq!(
        history.iter().map(|entry| &entry.id).collect::<Vec<_>>(),
        [&runs[3], &runs[2], &runs[1]]
    );
    let newest = history[0].summary.clone().unwrap().unwrap();
    assert_eq!(
        (newest.phase, newest.summary.as_str()),
        (Phase::Open, "fourth")
    );
    assert!(
        matches!(history[1].summary, Err(StateError::Unreadable { .. })),
        "{:?}",
        history[1]
    );
    assert_eq!(history[2].summary, Ok(None));
    assert_eq!(state.report::<String>(&runs[3]).await.unwrap(), None);
}

async fn r34_a_checkpoint_is_read_and_cleared(bench: Bench) {
    let (state, run, other) = (bench.open().await, run_at(0), run_at(1));
    let mut checkpoint = state.checkpoint::<Vec<String>>(&run);
    checkpoint
        .append(&vec!["shared.one@corp.example".into()])
        .await
        .unwrap();
    checkpoint
        .append(&vec!["shared.two@corp.example".into()])
        .await
        .unwrap();
    state
        .checkpoint::<Vec<String>>(&other)
        .append(&vec![])
        .await
        .unwrap();
    assert_eq!(
        state
            .checkpoint::<Vec<String>>(&run)
            .read()
            .await
            .unwrap()
            .concat(),
        ["shared.one@corp.example", "shared.two@corp.example"]
    );
    state.clear_checkpoint(&run).await.unwrap();
    state.clear_checkpoint(&run).await.unwrap();
    assert!(
        state
            .checkpoint::<Vec<String>>(&run)
            .read()
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        state
            .checkpoint::<Vec<String>>(&other)
            .read()
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn r27_approvals_are_kept(bench: Bench) {
    let state = bench.open().await;
    assert_eq!(state.approval::<u32>("a1b2").await.unwrap(), None);
    assert_eq!(state.approval::<u32>("../memory").await.unwrap(), None);
    state.save_approval("a1b2", &1).await.unwrap();
    state.save_approval("a1b2", &2).await.unwrap();
    state.save_approval("c3d4", &3).await.unwrap();
    assert_eq!(
        state.approvals::<u32>().await.unwrap(),
        [("a1b2".to_owned(), 2), ("c3d4".to_owned(), 3)]
    );
    assert!(state.save_approval("../memory", &1).await.is_err());
}

async fn a_newer_layout_is_refused(bench: Bench) {
    let state = bench.open().await;
    overwrite(&bench, "memory", br#"{"v":2,"kind":"memory","data":[1]}"#).await;
    let refused = state.memory::<Vec<u32>>().await.unwrap_err();
    let place = state.place();
    assert_eq!(
        refused.to_string(),
        format!(
            "memory in {place} has layout 2, this program reads up to 1; deploy the version that wrote it, or a newer one"
        )
    );
}

async fn a_truncated_or_foreign_document_is_refused(bench: Bench) {
    let (state, run) = (bench.open().await, run_at(0));
    let name = format!("runs/{run}/report");
    for length in [1, 5_000] {
        state
            .save_report(&run, &vec!["alice@corp.example"; length])
            .await
            .unwrap();
        let whole = bench
            .store
            .get(&Path::from(name.as_str()))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        for cut in [0, 1, 2, 10, whole.len() / 2, whole.len() - 1] {
            overwrite(&bench, &name, &whole[..cut]).await;
            let refused = state.report::<Vec<String>>(&run).await;
            assert!(
                matches!(refused, Err(StateError::Unreadable { ref object, .. }) if *object == name),
                "{cut}: {refused:?}"
            );
        }
    }
    overwrite(&bench, "memory", b"<html>hello</html>").await;
    let place = state.place();
    assert_eq!(
        state.memory::<Vec<u32>>().await.unwrap_err().to_string(),
        format!(
            "memory in {place} is unreadable: expected value at line 1 column 1; restore an earlier version of it, or move it away \
             to continue without it (accounts without ExternalAccountId are then recognised by their address alone: look at a \
             preview before you apply)"
        )
    );
}

async fn a_gap_in_a_journal_is_told_and_stops_no_writer(bench: Bench) {
    let (state, run) = (bench.open().await, run_at(0));
    let mut journal = state.journal(&run);
    for outcome in 1..=3 {
        journal.append(&outcome).await.unwrap();
    }
    bench
        .store
        .delete(&Path::from(format!("runs/{run}/journal/00000002")))
        .await
        .unwrap();
    for newest in [3, 4] {
        let journal = state.journal::<u32>(&run);
        assert_eq!(journal.newest().await.unwrap(), newest);
        let refused = journal.read().await.unwrap_err().to_string();
        assert!(
            refused.contains("journal/00000002")
                && refused.contains("missing though later ones exist"),
            "{refused}"
        );
        state.journal(&run).append(&4).await.unwrap();
    }
}

/// Runs of which those in `wrote` have a plan and a journal, and run 1 has not ended.
async fn runs(state: &State, count: i64, wrote: &[i64]) -> Vec<RunId> {
    let runs: Vec<RunId> = (0..count).map(run_at).collect();
    for (at, run) in (0..).zip(&runs) {
        if wrote.contains(&at) {
            state.plans(run).append(&"plan").await.unwrap();
            state.journal(run).append(&"outcome").await.unwrap();
        }
        state.save_report(run, &"report").await.unwrap();
        let phase = if at == 1 { Phase::Open } else { Phase::Ended };
        state.save_summary(run, phase, &at).await.unwrap();
    }
    runs
}

async fn kept(state: &State) -> Vec<RunId> {
    let runs = state.runs::<i64>(1000).await.unwrap().into_iter();
    runs.map(|entry| entry.id).collect()
}

async fn r35_old_runs_go_and_open_ones_stay(bench: Bench) {
    let state = bench.open().await;
    let runs = runs(&state, 6, &[]).await;
    state.checkpoint(&runs[0]).append(&"answers").await.unwrap();
    state.save_approval("a1b2", &1).await.unwrap();
    state.save_memory(&"memory", None).await.unwrap();

    let now = Timestamp::now();
    let pruned = Pruned {
        runs: 2,
        objects: 4,
    };
    assert_eq!(prune(&state, 3, now).await, pruned);
    assert_eq!(kept(&state).await, [5, 4, 3, 1].map(run_at));
    assert_eq!(
        state.report::<String>(&runs[1]).await.unwrap().as_deref(),
        Some("report")
    );
    assert_eq!(
        state.checkpoint::<String>(&runs[0]).read().await.unwrap(),
        ["answers"]
    );

    let later = now + SignedDuration::from_hours(8 * 24);
    let pruned = Pruned {
        runs: 0,
        objects: 2,
    };
    assert_eq!(prune(&state, 3, later).await, pruned);
    assert!(state.approvals::<u32>().await.unwrap().is_empty());
    assert!(state.memory::<String>().await.unwrap().is_some());
}

async fn r35_previews_do_not_displace_what_an_undo_needs(bench: Bench) {
    let state = bench.open().await;
    let runs = runs(&state, 12, &[0, 2]).await;
    // A clock that is years ahead ends nothing either.
    let later = Timestamp::now() + SignedDuration::from_hours(2 * 365 * 24);
    assert_eq!(prune(&state, 3, later).await.runs, 6);
    assert_eq!(kept(&state).await, [11, 10, 9, 2, 1, 0].map(run_at));
    for run in [&runs[0], &runs[2]] {
        assert_eq!(state.plans::<String>(run).read().await.unwrap(), ["plan"]);
        assert_eq!(
            state.journal::<String>(run).read().await.unwrap(),
            ["outcome"]
        );
        assert!(state.report::<String>(run).await.unwrap().is_some());
    }
}

async fn r35_the_newest_of_the_wanted_runs_stays(bench: Bench) {
    let state = bench.open().await;
    runs(&state, 9, &[]).await;
    let keep = Keep {
        runs: 2,
        applied: Duration::from_secs(1),
    };
    for _ in 0..2 {
        let pruned = state.prune(keep, |at: &i64| *at < 6, Timestamp::now());
        pruned.await.unwrap();
        assert_eq!(kept(&state).await, [8, 7, 5, 1].map(run_at));
    }
}

async fn r35_a_run_that_cannot_be_read_stops_no_pruning(bench: Bench) {
    let state = bench.open().await;
    let runs = runs(&state, 6, &[]).await;
    overwrite(&bench, &format!("runs/{}/summary", runs[2]), b"").await;
    assert_eq!(prune(&state, 1, Timestamp::now()).await.runs, 3);
    assert_eq!(kept(&state).await, [5, 2, 1].map(run_at));
}

/// Only in a folder can a test set the time of a file.
#[tokio::test]
async fn r35_what_wrote_too_long_ago_goes_and_so_does_what_cannot_be_read() {
    let bench = Bench::folder();
    let state = bench.open().await;
    let runs = runs(&state, 6, &[0, 2, 3]).await;
    overwrite(&bench, &format!("runs/{}/summary", runs[4]), b"").await;
    let long_ago = SystemTime::now() - Duration::from_secs(401 * 24 * 60 * 60);
    for run in [&runs[0], &runs[1], &runs[3], &runs[4]] {
        age(
            &bench.folder_path().join("runs").join(run.as_str()),
            long_ago,
        );
    }
    // One of its files is younger.
    state.save_report(&runs[3], &"report").await.unwrap();
    assert_eq!(prune(&state, 1, Timestamp::now()).await.runs, 2);
    assert_eq!(kept(&state).await, [5, 3, 2, 1].map(run_at));
}

/// Sets the time of every file below `folder`.
fn age(folder: &std::path::Path, time: SystemTime) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path, time);
        } else {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(time).unwrap();
        }
    }
}

#[tokio::test]
async fn a_shared_access_signature_is_enough() {
    if let Some(bench) = Bench::azurite_with_sas().await {
        memory_is_replaced_only_as_it_was_read(bench).await;
    }
    if let Some(bench) = Bench::azurite_with_sas().await {
        r35_old_runs_go_and_open_ones_stay(bench).await;
    }
}

#[tokio::test]
async fn a_folder_in_a_container_is_a_place_of_its_own() {
    let Some(connection) = super::azurite::connection_string() else {
        return;
    };
    let lookup = |name: &str| (name == "AzureWebJobsStorage").then(|| connection.clone());
    let open = async |place: &str| {
        State::open(&StateLocation::from_settings(Some(place), lookup).unwrap())
            .await
            .unwrap()
    };
    let (one, two) = (
        open("az://shared-container/one").await,
        open("az://shared-container/two").await,
    );
    one.save_memory(&1, None).await.unwrap();
    two.save_memory(&2, None).await.unwrap();
    one.save_summary(&run_at(0), Phase::Ended, &"one")
        .await
        .unwrap();
    assert_eq!(one.memory::<u32>().await.unwrap().unwrap().value, 1);
    assert_eq!(one.runs::<String>(9).await.unwrap().len(), 1);
    assert!(two.runs::<String>(9).await.unwrap().is_empty());
    assert_eq!(
        prune(&one, 0, Timestamp::now()).await,
        Pruned {
            runs: 1,
            objects: 1
        }
    );
}

/// The program runs these in tasks that move between threads.
#[tokio::test]
async fn every_operation_can_be_spawned() {
    fn check<T: Send>(operation: T) -> T {
        operation
    }
    let (state, run) = (Bench::folder().open().await, run_at(0));
    check(state.runs::<u32>(1)).await.unwrap();
    check(state.approvals::<u32>()).await.unwrap();
    check(prune(&state, 1, Timestamp::now())).await;
    check(state.journal(&run).append(&1)).await.unwrap();
    check(state.journal::<u32>(&run).read()).await.unwrap();
    check(state.save_memory(&1, None)).await.unwrap();
    check(state.clear_checkpoint(&run)).await.unwrap();
    check(State::open(&StateLocation::Memory)).await.unwrap();
}
