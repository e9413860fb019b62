//! Whether the process that holds a lock has ended (R29). Only Linux tells enough for that; elsewhere every holder may live.

use std::{fs, sync::LazyLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Owner;

/// What distinguishes a process from every other one, together with the host and the process id of its [`Owner`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The running kernel, and the namespaces of process ids and of time. Containers on one kernel differ in them, though they
    /// may have the same host name and the same process id.
    pub machine: String,
    /// When it started, in clock ticks of that kernel.
    pub started: u64,
    /// Drawn at random by the process itself.
    pub instance: String,
}

impl Process {
    /// This process; `None` where the machine does not tell.
    pub fn current() -> Option<Self> {
        static CURRENT: LazyLock<Option<Process>> = LazyLock::new(|| {
            Some(Process {
                machine: machine()?,
                started: stat(&fs::read_to_string("/proc/self/stat").ok()?)?.started,
                instance: Uuid::new_v4().simple().to_string(),
            })
        });
        CURRENT.clone()
    }
}

/// What is known here of a process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// No process has it, or one that has ended and is only not yet reaped.
    Gone,
    /// A process that started then.
    Started(u64),
    Unknown,
}

/// Whether `holder` has ended, as far as `here`, this process, can tell. `false` where that is not certain.
pub(super) fn has_ended(holder: &Owner, here: &Owner) -> bool {
    judge(holder, here, seen)
}

fn judge(holder: &Owner, here: &Owner, look: impl Fn(u32) -> Seen) -> bool {
    let (Some(theirs), Some(ours)) = (&holder.process, &here.process) else {
        return false;
    };
    // As long as the holder lives, its namespaces exist, and no others have their numbers: then a process with the same
    // `machine` sees it under its process id.
    let is_elsewhere = holder.host != here.host || theirs.machine != ours.machine;
    if is_elsewhere || theirs.instance == ours.instance {
        return false;
    }
    if holder.pid == here.pid {
        return true;
    }
    match look(holder.pid) {
        Seen::Gone => true,
        Seen::Started(at) => at != theirs.started,
        Seen::Unknown => false,
    }
}

fn machine() -> Option<String> {
    let link = |path: &str| Some(fs::read_link(path).ok()?.to_string_lossy().into_owned());
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let boot = boot.trim();
    // Where /proc shows other namespaces than ours, it tells nothing about our process ids.
    let is_ours = link("/proc/self")? == std::process::id().to_string();
    if boot.is_empty() || !is_ours {
        return None;
    }
    let pids = link("/proc/self/ns/pid")?;
    let time = link("/proc/self/ns/time").unwrap_or_default(); // since Linux 5.6
    Some(format!("{boot} {pids} {time}").trim_end().to_owned())
}

#[cfg(target_os = "linux")]
fn seen(pid: u32) -> Seen {
    use rustix::{
        io::Errno,
        process::{Pid, test_kill_process},
    };
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Seen::Unknown;
    };
    // Asks the kernel, since /proc may hide the processes of other users.
    if test_kill_process(raw) == Err(Errno::SRCH) {
        return Seen::Gone;
    }
    let text = fs::read_to_string(format!("/proc/{pid}/stat"));
    match text.ok().and_then(|text| stat(&text)) {
        Some(stat) if stat.has_ended => Seen::Gone,
        Some(stat) => Seen::Started(stat.started),
        None => Seen::Unknown,
    }
}

#[cfg(not(target_os = "linux"))]
fn seen(_: u32) -> Seen {
    Seen::Unknown
}

struct Stat {
    started: u64,
    has_ended: bool,
}

/// `/proc/<pid>/stat`. The name of the program stands in it, in parentheses, and may hold anything.
fn stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let has_ended = matches!(fields.next()?, "Z" | "X" | "x");
    let started = fields.nth(18)?.parse().ok()?;
    Some(Stat { started, has_ended })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::RunId;

    fn owner(host: &str, pid: u32, machine: &str, started: u64, instance: &str) -> Owner {
        Owner {
            run: RunId::parse("20261123T020000_123Z-00-3fa85f").unwrap(),
            host: host.into(),
            pid,
            process: Some(Process {
                machine: machine.into(),
                started,
                instance: instance.into(),
            }),
        }
    }

    #[test]
    fn r29_a_holder_is_dead_only_where_that_is_certain() {
        let here = owner("host", 7, "boot pid:[1]", 900, "ours");
        let alive = |_| Seen::Started(500);
        let gone = |_| Seen::Gone;
        let judged = |holder: &Owner, look: fn(u32) -> Seen| judge(holder, &here, look);
        let holder = owner("host", 42, "boot pid:[1]", 500, "theirs");
        assert!(judged(&holder, gone));
        assert!(!judged(&holder, alive));
        assert!(!judged(&holder, |_| Seen::Unknown));
        assert!(judged(&holder, |_| Seen::Started(501)), "its id was reused");

        for (elsewhere, why) in [
            (owner("other", 42, "boot pid:[1]", 500, "theirs"), "host"),
            (owner("host", 42, "later pid:[1]", 500, "theirs"), "boot"),
            (
                owner("host", 42, "boot pid:[2]", 500, "theirs"),
                "container",
            ),
        ] {
            assert!(!judged(&elsewhere, gone), "another {why}");
        }
        let mut untold = holder.clone();
        untold.process = None;
        assert!(!judged(&untold, gone), "of an earlier version");
    }

    #[test]
    fn r29_the_process_id_of_this_process_belongs_to_nobody_else_here() {
        let never = |_| panic!("there is nothing to look at");
        let here = owner("host", 1, "boot pid:[1]", 900, "ours");
        let before = owner("host", 1, "boot pid:[1]", 900, "theirs");
        assert!(judge(&before, &here, never));
        assert!(!judge(&here.clone(), &here, never), "another run of ours");
        let container = owner("host", 1, "boot pid:[2]", 500, "theirs");
        assert!(!judge(&container, &here, never), "both have the id 1");
    }

    #[test]
    fn the_start_of_a_process_is_read_behind_a_name_of_any_kind() {
        let text = "42 (a) R 1 (b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 1";
        let stat = stat(text).unwrap();
        assert_eq!((stat.started, stat.has_ended), (98765, false));
        assert!(super::stat("42 (a) Z 1").is_none());
        assert!(super::stat("").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn r29_a_process_is_seen_until_it_ends() {
        use std::process::{Command, Stdio};

        let us = Process::current().unwrap();
        assert_eq!(seen(std::process::id()), Seen::Started(us.started));
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(matches!(seen(child.id()), Seen::Started(at) if at >= us.started));
        child.kill().unwrap();
        while seen(child.id()) != Seen::Gone {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(seen(child.id()), Seen::Gone);
        assert_eq!(seen(0), Seen::Unknown);
        assert_eq!(seen(u32::MAX), Seen::Unknown);
    }
}
