//! Whether the process that holds a lock has ended (R29). Only Linux provides what this needs; elsewhere every holder
//! counts as alive.

use std::{fs, sync::LazyLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Owner;

/// Together with the host and the process id of its [`Owner`], identifies a process uniquely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The running kernel, and the namespaces of process ids and of time. Containers on one kernel have different ones,
    /// even with the same host name and process id.
    pub machine: String,
    /// Start time in clock ticks of that kernel.
    pub started: u64,
    /// A random number of the process.
    pub instance: String,
}

impl Process {
    /// This process; `None` where the system does not provide the data.
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

/// The state of a process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProcessState {
    /// There is no such process, or it has ended and is not yet reaped.
    Gone,
    /// A process with this start time.
    Started(u64),
    Unknown,
}

/// Whether `holder` has certainly ended, seen from this process (`here`).
pub(super) fn has_ended(holder: &Owner, here: &Owner) -> bool {
    judge(holder, here, process_state)
}

fn judge(holder: &Owner, here: &Owner, look: impl Fn(u32) -> ProcessState) -> bool {
    let (Some(theirs), Some(ours)) = (&holder.process, &here.process) else {
        return false;
    };
    // While the holder lives, its namespaces exist and keep their numbers. So a process with the same `machine` sees it
    // under its process id.
    let is_elsewhere = holder.host != here.host || theirs.machine != ours.machine;
    if is_elsewhere || theirs.instance == ours.instance {
        return false;
    }
    if holder.pid == here.pid {
        return true;
    }
    match look(holder.pid) {
        ProcessState::Gone => true,
        ProcessState::Started(at) => at != theirs.started,
        ProcessState::Unknown => false,
    }
}

fn machine() -> Option<String> {
    let link = |path: &str| Some(fs::read_link(path).ok()?.to_string_lossy().into_owned());
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let boot = boot.trim();
    // If /proc shows other namespaces, its process ids are not comparable.
    let is_ours = link("/proc/self")? == std::process::id().to_string();
    if boot.is_empty() || !is_ours {
        return None;
    }
    let pids = link("/proc/self/ns/pid")?;
    let time = link("/proc/self/ns/time").unwrap_or_default(); // since Linux 5.6
    Some(format!("{boot} {pids} {time}").trim_end().to_owned())
}

#[cfg(target_os = "linux")]
fn process_state(pid: u32) -> ProcessState {
    use rustix::{
        io::Errno,
        process::{Pid, test_kill_process},
    };
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return ProcessState::Unknown;
    };
    // Ask the kernel, since /proc may hide the processes of other users.
    if test_kill_process(raw) == Err(Errno::SRCH) {
        return ProcessState::Gone;
    }
    let text = fs::read_to_string(format!("/proc/{pid}/stat"));
    match text.ok().and_then(|text| stat(&text)) {
        Some(stat) if stat.has_ended => ProcessState::Gone,
        Some(stat) => ProcessState::Started(stat.started),
        None => ProcessState::Unknown,
    }
}

#[cfg(not(target_os = "linux"))]
fn process_state(_: u32) -> ProcessState {
    ProcessState::Unknown
}

struct Stat {
    started: u64,
    has_ended: bool,
}

/// Parses `/proc/<pid>/stat`. It contains the program's name in parentheses, which may hold any characters.
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
        let alive = |_| ProcessState::Started(500);
        let gone = |_| ProcessState::Gone;
        let judged = |holder: &Owner, look: fn(u32) -> ProcessState| judge(holder, &here, look);
        let holder = owner("host", 42, "boot pid:[1]", 500, "theirs");
        assert!(judged(&holder, gone));
        assert!(!judged(&holder, alive));
        assert!(!judged(&holder, |_| ProcessState::Unknown));
        assert!(
            judged(&holder, |_| ProcessState::Started(501)),
            "its id was reused"
        );

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
        assert_eq!(
            process_state(std::process::id()),
            ProcessState::Started(us.started)
        );
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(matches!(process_state(child.id()), ProcessState::Started(at) if at >= us.started));
        child.kill().unwrap();
        while process_state(child.id()) != ProcessState::Gone {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(process_state(child.id()), ProcessState::Gone);
        assert_eq!(process_state(0), ProcessState::Unknown);
        assert_eq!(process_state(u32::MAX), ProcessState::Unknown);
    }
}
