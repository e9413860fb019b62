//! R44: the origins of changes on a terminal.

use super::bench::{self, Bench};

#[tokio::test(flavor = "multi_thread")]
async fn r44_a_terminal_lists_what_was_changed_by_hand() {
    let bench = Bench::start(bench::small()).await;
    let first = bench.run(&["preview"]);
    assert!(!first.out.contains("R44"), "{}", first.out);
    bench.sandbox.zivver.with_state(|zivver| {
        zivver.user_mut("anna@corp.example").unwrap().name = "By Hand".to_owned();
    });
    let preview = bench.run(&["preview", "--verbose"]);
    for text in [
        "Changed by hand in Zivver 1 change",
        "! anna@corp.example  name By Hand → ",
        "what caused 5 single changes, held ones included (R44): changed by hand in Zivver (1), ",
        "  changed by hand in Zivver\n",
        "  already open or due to another change\n",
    ] {
        assert!(preview.out.contains(text), "{text}: {}", preview.out);
    }
}
