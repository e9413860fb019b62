//! A serving binary that is asked to end, by Ctrl+C under `func start` or by a container's SIGTERM
//! (`docs/specs/functions-host.md`, "1.7 Shutdown"): it ends by itself and leaves a consistent state.

use std::time::Duration;

use super::{
    instances::{all_succeeded, one_wrote_at_a_time, queue_a_run, report},
    office::{Office, folder_url},
};
use crate::host::{Host, until, worker::Level};

const SIGNALS: [&str; 2] = ["INT", "TERM"];

/// Exit 0: no error is reported to the parent process, and no second signal is needed.
async fn ends_by_itself(host: &Host) {
    let end = tokio::time::timeout(Duration::from_secs(60), host.gone()).await;
    assert!(end.is_ok(), "it goes on: {}", host.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_process_ends_at_a_signal() {
    let office = Office::open(2, 0).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = office.settings(&folder_url(folder.path()));
    for signal in SIGNALS {
        let host = Host::start(settings.clone()).await;
        host.timer().await.succeeded();
        host.signal(signal);
        ends_by_itself(&host).await;
        assert_eq!(host.log().at(Level::Error), Vec::<String>::new());
        assert!(host.timer().await.failure.is_some(), "nobody listens");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r35_a_process_that_is_asked_to_end_in_the_middle_leaves_nothing_wrong() {
    for signal in SIGNALS {
        let office = Office::open(6, 3).await;
        let zivver = office.sandbox.zivver.control();
        zivver.set_latency(Duration::from_millis(20));
        let folder = tempfile::tempdir().unwrap();
        let settings = office.settings(&folder_url(folder.path()));
        let host = Host::start(settings.clone()).await;
        {
            let mut run = std::pin::pin!(host.timer());
            tokio::select! {
                invoked = &mut run => panic!("ended before the signal: {invoked:?}"),
                () = until("it writes", || office.writes() >= 5) => {}
            }
            host.signal(signal);
            // Completed or cancelled.
            let (_, ()) = tokio::join!(run, ends_by_itself(&host));
        }
        let next = Host::start(settings).await;
        let location = queue_a_run(&next).await;
        all_succeeded(next.drain().await);
        one_wrote_at_a_time(&office, &next.queue);
        report(&next, &location).await;
        next.stop().await;
    }
}
