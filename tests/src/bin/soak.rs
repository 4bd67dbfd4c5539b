//! A day of the demo at 300 times real time, with trouble at random, and what the process holds meanwhile: memory,
//! open files, threads, tasks. All must be flat.
//!
//! ```sh
//! cargo build --release -p blockgate
//! cargo run --release -p blockgate-e2e --bin soak -- 24 300
//! ```
//!
//! Hours and speed may be given. The program is `BLOCKGATE_BIN`, else the one beside. Exit code 1: something grew
//! from the second third of the time to the last one, or something was not delivered.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that watches a real process in real time"
)]

use blockgate_e2e::gateway::{Gateway, private};
use blockgate_e2e::{Running, binary, free_port, page};
use std::io::Read;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
struct Sample {
    rss_kib: u64,
    files: usize,
    threads: u64,
    tasks: u64,
}

/// What the process holds; none when it has ended.
fn look(pid: u32, port: u16) -> Option<Sample> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    let bearer = format!("Bearer {}", Gateway::TOKEN);
    let fields = [("Authorization", bearer.as_str())];
    let metrics = page::ask(([127, 0, 0, 1], port).into(), "GET", "/metrics", &fields, "").ok();
    let tasks = metrics.and_then(|reply| {
        let mut lines = reply.body.lines();
        lines.find_map(|line| line.strip_prefix("blockgate_tasks ")?.trim().parse().ok())
    });
    Some(Sample {
        rss_kib: line("VmRSS:")?,
        files,
        threads: line("Threads:")?,
        tasks: tasks.unwrap_or(0),
    })
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise| arguments.next().map_or(Some(otherwise), |n| n.parse().ok());
    let (Some(hours), Some(speed)) = (number(24_u64), number(300_u64)) else {
        eprintln!("soak [HOURS] [SPEED]");
        return ExitCode::from(2);
    };
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let state = folder.path().join("demo/state");
    std::fs::create_dir_all(&state).expect("a folder");
    let hash = ring::digest::digest(&ring::digest::SHA256, Gateway::TOKEN.as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let token = format!("[tokens.soak]\nsha256 = \"{hash}\"\nscopes = [\"metrics\"]\n");
    private(&state.join("tokens.toml"), &token);
    let out = tempfile::tempfile().expect("a file");
    let mut command = Command::new(binary());
    command
        .args(["demo", "--trouble", "--speed", &speed.to_string(), "--warm-up", "0s"])
        .args(["--for", &format!("{hours}h"), "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(folder.path().join("demo"))
        .stdin(Stdio::null())
        .stdout(out.try_clone().expect("a handle"));
    let mut demo = Running::start(&mut command);
    let (began, pid) = (Instant::now(), demo.0.id());
    let every = Duration::from_secs((hours * 3600 / speed / 36).clamp(1, 60));
    let mut samples: Vec<Sample> = Vec::new();
    println!("{:>8} {:>10} {:>6} {:>8} {:>6}", "hour", "RSS KiB", "files", "threads", "tasks");
    while demo.0.try_wait().ok().flatten().is_none() {
        std::thread::sleep(every);
        let Some(now) = look(pid, port) else { break };
        let hour = began.elapsed().as_secs() * speed / 3600;
        println!(
            "{hour:>8} {:>10} {:>6} {:>8} {:>6}",
            now.rss_kib, now.files, now.threads, now.tasks
        );
        samples.push(now);
    }
    let ended = demo.0.wait().is_ok_and(|status| status.success());
    let mut said = String::new();
    let mut out = out;
    let _ = std::io::Seek::rewind(&mut out).and_then(|()| out.read_to_string(&mut said));
    println!("{}", said.lines().last().unwrap_or_default());
    let third = samples.len() / 3;
    let most = |part: &[Sample]| {
        let of = |value: fn(&Sample) -> u64| part.iter().map(value).max().unwrap_or(0);
        (
            of(|s| s.rss_kib),
            of(|s| u64::try_from(s.files).unwrap_or(0)),
            of(|s| s.threads),
            of(|s| s.tasks),
        )
    };
    let (middle, last) = (most(&samples[third..2 * third]), most(&samples[2 * third..]));
    println!("most in the second third {middle:?}, in the last {last:?}");
    // A tenth more memory is the allocator's, two files or tasks a connection that was just open.
    let flat = last.0 <= middle.0 + middle.0 / 10
        && last.1 <= middle.1 + 2
        && last.2 <= middle.2
        && last.3 <= middle.3 + 4;
    println!("{}", if flat { "flat" } else { "NOT flat" });
    if flat && ended { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
