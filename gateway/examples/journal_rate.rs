//! How fast the journal commits, beside two bare loops on a file of zeros: one that writes record by
//! record and then syncs (the usual fdatasync benchmark; the payload alone), and one that writes the
//! journal's own bytes of a whole batch at once. All run in turns, so that a busy disk hits all.
//!
//! What the journal does beyond the second is a SHA-256 and a CRC-32C of each record.
//!
//! `cargo run --release -p blockgate --example journal_rate [FOLDER] [ROUNDS]`

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

use blockgate::store::journal::{Journal, Options};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PAYLOAD: usize = 320;
const RECORD: usize = 56 + PAYLOAD;
const FILE: usize = 8 * 1024 * 1024;

struct Bare {
    file: File,
    at: usize,
}

impl Bare {
    fn new(dir: &Path) -> Self {
        let file = File::create(dir.join("bare")).unwrap();
        file.write_all_at(&vec![0; FILE], 0).unwrap();
        file.sync_all().unwrap();
        Self { file, at: 0 }
    }

    /// Writes in pieces of `each` bytes, then syncs.
    fn commit(&mut self, bytes: &[u8], each: usize) {
        if self.at + bytes.len() > FILE {
            self.at = 0;
        }
        for piece in bytes.chunks(each) {
            self.file.write_all_at(piece, self.at as u64).unwrap();
            self.at += piece.len();
        }
        self.file.sync_data().unwrap();
    }
}

fn timed(mut once: impl FnMut(), times: usize) -> Duration {
    let start = Instant::now();
    (0..times).for_each(|_| once());
    start.elapsed()
}

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "journal-rate".to_owned()));
    let rounds: usize = args.next().map_or(15, |n| n.parse().unwrap());
    println!("medians of {rounds} rounds each, payloads of {PAYLOAD} bytes");
    println!("batch   journal/s      bare/s   share   one write/s   share");
    for batch in [1, 16, 256] {
        let folder = dir.join(batch.to_string());
        let _ = std::fs::remove_dir_all(&folder);
        let (mut journal, _) = Journal::open(&folder, Options::default()).unwrap();
        let mut bare = Bare::new(&folder);
        let (payload, bytes) = (vec![b'x'; PAYLOAD], vec![b'y'; RECORD * batch]);
        // A short stretch each, so that what else happens on the machine hits both alike.
        let commits = (10_240 / batch).min(200);
        let (mut ours, mut theirs, mut at_once) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            if let Some(errand) = journal.errand() {
                errand.run().unwrap(); // a task of its own in the daemon
            }
            ours.push(timed(
                || {
                    for _ in 0..batch {
                        journal.append(&payload).unwrap();
                    }
                    journal.cut().unwrap().unwrap().commit().unwrap();
                },
                commits,
            ));
            let records = &bytes[..PAYLOAD * batch];
            theirs.push(timed(|| bare.commit(records, PAYLOAD), commits));
            at_once.push(timed(|| bare.commit(&bytes, bytes.len()), commits));
        }
        let rate = |mut times: Vec<Duration>| {
            times.sort_unstable();
            (batch * commits) as f64 / times[times.len() / 2].as_secs_f64()
        };
        let (ours, theirs, at_once) = (rate(ours), rate(theirs), rate(at_once));
        let (share, of_one) = (ours / theirs, ours / at_once);
        println!("{batch:5} {ours:11.0} {theirs:11.0} {share:7.2} {at_once:13.0} {of_one:7.2}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
