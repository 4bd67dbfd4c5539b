//! What the fuzzers throw at the drivers, on stable: every kept file as it is, and as many changed ones as
//! the time allows. `BLOCKGATE_FUZZ_SECONDS=600` gives each target ten minutes; without it each changes
//! every file a few hundred times.

#[path = "../fuzz/entries.rs"]
mod entries;

use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// Changed files of each seed, where no time is given.
const CHANGES: u32 = 300;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    if target == "profile" {
        let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
        for folder in std::fs::read_dir(profiles).unwrap() {
            let Ok(inside) = std::fs::read_dir(folder.unwrap().path()) else { continue };
            files.extend(inside.map(|entry| entry.unwrap().path()));
        }
    }
    files.sort();
    assert!(files.len() >= 5, "{target} has {} seeds", files.len());
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

/// xorshift64*: the same numbers everywhere, so that a failure can be shown again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// A change as wires and fuzzers make them: bits, bytes, cuts, repeats, and another seed's end.
    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        if bytes.is_empty() {
            bytes.push(self.byte());
        }
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << self.below(8)),
                1 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b = self.byte()),
                2 => bytes.truncate(at),
                3 => bytes.insert(at, self.byte()),
                4 => {
                    bytes.remove(at.min(bytes.len().saturating_sub(1)));
                }
                5 => {
                    let piece = bytes[at..(at + self.below(16)).min(bytes.len())].to_vec();
                    bytes.extend(piece);
                }
                _ => {
                    let from = self.below(other.len());
                    bytes.truncate(at);
                    bytes.extend(&other[from..]);
                }
            }
            if bytes.is_empty() {
                bytes.push(self.byte());
            }
            bytes.truncate(4096);
        }
        // Checksums that hold lead deeper than ones that do not: every second one is put right.
        if self.below(2) == 0 {
            right(bytes);
        }
    }
}

/// Puts the sum and the end of a DL/T 645, CJ/T 188 or M-Bus frame right, where one begins.
fn right(bytes: &mut [u8]) {
    let Some(start) = bytes.iter().position(|byte| *byte == 0x68) else { return };
    let sums = [(9, 0, 10), (10, 0, 11), (1, 4, 4)];
    for (length_at, sum_from, head) in sums {
        let Some(length) = bytes.get(start + length_at).copied().map(usize::from) else { continue };
        let end = start + head + length;
        if end + 1 < bytes.len() {
            let sum = bytes[start + sum_from..end].iter().fold(0_u8, |s, b| s.wrapping_add(*b));
            (bytes[end], bytes[end + 1]) = (sum, 0x16);
            return;
        }
    }
}

#[test]
fn nothing_that_comes_from_a_wire_or_a_file_panics() {
    let seconds = std::env::var("BLOCKGATE_FUZZ_SECONDS").ok().and_then(|s| s.parse::<u64>().ok());
    for (name, target) in entries::TARGETS {
        let seeds = corpus(name);
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let (mut round, mut runs) = (0, 0_u64);
        while until.map_or(round == 0, |until| Instant::now() < until) {
            for (file, seed) in &seeds {
                target(seed);
                let few = if name == "profile" { CHANGES / 30 } else { CHANGES };
                for _ in 0..few {
                    let other = &seeds[random.below(seeds.len())].1;
                    let mut bytes = seed.clone();
                    random.change(&mut bytes, other);
                    let outcome = std::panic::catch_unwind(|| target(&bytes));
                    assert!(outcome.is_ok(), "{name}: {} changed to {bytes:02X?}", file.display());
                    runs += 1;
                }
            }
            round += 1;
        }
        println!("{name:<10} {} seeds, {runs} runs", seeds.len());
    }
}
