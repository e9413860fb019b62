//! The resources that a child process used, read from `/proc` while it runs and after it has ended, before it is waited
//! for.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::Outcome;

/// The time between two readings.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// `USER_HZ`, the unit of times in `/proc`, is 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// How long a process may take to its first answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The resources of one completed run of the program.
pub(super) struct Usage {
    pub(super) wall: Duration,
    pub(super) cpu_s: f64,
    pub(super) memory_max_kib: u64,
    pub(super) output: Vec<u8>,
    pub(super) code: Option<i32>,
}

/// Runs `command` to its end.
pub(super) fn run(command: &mut Command) -> Outcome<Usage> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().ok_or("no output")?;
    let reader = thread::spawn(move || {
        let mut output = Vec::new();
        stdout.read_to_end(&mut output).map(|_| output)
    });
    let folder = format!("/proc/{}", child.id());
    let mut memory_max_kib = 0;
    let cpu_s = loop {
        let status = std::fs::read_to_string(format!("{folder}/status"))?;
        memory_max_kib = memory_max_kib.max(memory(&status));
        let stat = std::fs::read_to_string(format!("{folder}/stat"))?;
        let (state, cpu_s) = state(&stat).ok_or("/proc cannot be read")?;
        if state == "Z" {
            break cpu_s;
        }
        thread::sleep(LOOK_EVERY);
    };
    let wall = started.elapsed();
    let code = child.wait()?.code();
    let output = reader.join().map_err(|_| "the reader died")??;
    Ok(Usage {
        wall,
        cpu_s,
        memory_max_kib,
        output,
        code,
    })
}

fn memory(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or_default()
}

/// State and CPU time of a process (proc(5)): the fields after the name, which may contain any character.
fn state(stat: &str) -> Option<(&str, f64)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some((fields.first()?, ticks / TICKS_PER_SECOND))
}

/// The time from the start of the handler to its first answer.
pub(super) fn first_answer(program: &str) -> Outcome<Duration> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let started = Instant::now();
    let mut child = Command::new(program)
        .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let answered = loop {
        if ask(port).is_ok() {
            break Ok(started.elapsed());
        }
        if started.elapsed() > PATIENCE {
            break Err("the handler does not answer".into());
        }
        thread::sleep(Duration::from_micros(200));
    };
    child.kill()?;
    child.wait()?;
    answered
}

fn ask(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    stream.read_exact(&mut [0; 12])
}
