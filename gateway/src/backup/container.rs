//! The file of a backup: a stream in chunks, each of which is whole or refused; with a passphrase each is
//! encrypted. A file that was cut short is told from a whole one by its last chunk.
//!
//! ```text
//!   0   8  magic "BGBKUP1\n"
//!   8   1  0 plain, 1 encrypted
//!   9  16  salt            (zeros when plain)
//!  25   4  Argon2id memory in KiB, little-endian
//!  29   4  Argon2id passes
//! chunk: 4 bytes little-endian: length of the content, bit 31 set in the last one
//!        content, at most 64 KiB
//!        16 bytes: ChaCha20-Poly1305's tag; when plain the first 16 bytes of the content's SHA-256
//! ```
//!
//! Key: Argon2id of the passphrase and the salt. Nonce: the chunk's number, 12 bytes big-endian; a key is
//! used for one file only, its salt is new each time. Head and chunk length are authenticated with each
//! chunk (the STREAM construction: order, truncation and reuse of chunks are found).

use super::BackupError;
use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::io::{Read, Write};

const MAGIC: &[u8; 8] = b"BGBKUP1\n";
const HEAD: usize = 33;
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const LAST: u32 = 1 << 31;
/// Argon2id: 32 MiB and 4 passes, about a second on a small box.
const MEMORY_KIB: u32 = 32 * 1024;
const PASSES: u32 = 4;
/// What a file may ask of us; one that wants more is no backup of ours.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 64;

/// Seals chunks, or only sums them.
enum Seal {
    Plain,
    Encrypted(Box<LessSafeKey>),
}

impl Seal {
    fn new(passphrase: &str, salt: &[u8], kib: u32, passes: u32) -> Result<Self, BackupError> {
        let failed = |_| BackupError::Crypto;
        let params = Params::new(kib, passes, 1, Some(32)).map_err(|_| BackupError::Crypto)?;
        let mut key = [0_u8; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, &mut key)
            .map_err(|_| BackupError::Crypto)?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).map_err(failed)?;
        Ok(Self::Encrypted(Box::new(LessSafeKey::new(key))))
    }

    fn nonce(number: u64) -> Nonce {
        let mut nonce = [0_u8; 12];
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(
        &self,
        about: &[u8],
        number: u64,
        content: &mut [u8],
    ) -> Result<[u8; TAG], BackupError> {
        let mut tag = [0_u8; TAG];
        match self {
            Self::Plain => tag.copy_from_slice(&sum(about, content)[..TAG]),
            Self::Encrypted(key) => {
                let made = key
                    .seal_in_place_separate_tag(Self::nonce(number), Aad::from(about), content)
                    .map_err(|_| BackupError::Crypto)?;
                tag.copy_from_slice(made.as_ref());
            }
        }
        Ok(tag)
    }

    /// Opens a chunk with its tag behind it, in place.
    fn open(&self, about: &[u8], number: u64, chunk: &mut Vec<u8>) -> Result<(), BackupError> {
        let end = chunk.len().checked_sub(TAG).ok_or(BackupError::Damaged)?;
        match self {
            Self::Plain => {
                let (content, tag) = chunk.split_at(end);
                if sum(about, content)[..TAG] != *tag {
                    return Err(BackupError::Damaged);
                }
            }
            Self::Encrypted(key) => {
                let opened = key.open_in_place(Self::nonce(number), Aad::from(about), chunk);
                // The first chunk cannot tell a wrong passphrase from a changed byte.
                let wrong =
                    if number == 0 { BackupError::Passphrase } else { BackupError::Damaged };
                opened.map(drop).map_err(|_| wrong)?;
            }
        }
        chunk.truncate(end);
        Ok(())
    }
}

fn sum(about: &[u8], content: &[u8]) -> Vec<u8> {
    digest(&SHA256, &[about, content].concat()).as_ref().to_vec()
}

/// What is authenticated beside a chunk's content.
fn about(head: &[u8; HEAD], number: u64, length: u32) -> Vec<u8> {
    [&head[..], &number.to_be_bytes(), &length.to_le_bytes()].concat()
}

/// Writes a backup's stream.
pub(super) struct Sealer<W> {
    to: W,
    head: [u8; HEAD],
    seal: Seal,
    number: u64,
    content: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    /// Begins a file.
    pub(super) fn new(mut to: W, passphrase: Option<&str>) -> Result<Self, BackupError> {
        let mut head = [0_u8; HEAD];
        head[..8].copy_from_slice(MAGIC);
        let seal = match passphrase {
            None => Seal::Plain,
            Some(passphrase) => {
                head[8] = 1;
                SystemRandom::new().fill(&mut head[9..25]).map_err(|_| BackupError::Crypto)?;
                head[25..29].copy_from_slice(&MEMORY_KIB.to_le_bytes());
                head[29..33].copy_from_slice(&PASSES.to_le_bytes());
                Seal::new(passphrase, &head[9..25], MEMORY_KIB, PASSES)?
            }
        };
        to.write_all(&head)?;
        Ok(Self { to, head, seal, number: 0, content: Vec::with_capacity(CHUNK) })
    }

    /// Adds to the stream.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<(), BackupError> {
        while !bytes.is_empty() {
            if self.content.len() == CHUNK {
                self.chunk(false)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.content.len()));
            self.content.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn chunk(&mut self, last: bool) -> Result<(), BackupError> {
        let length = u32::try_from(self.content.len()).map_err(|_| BackupError::Damaged)?;
        let length = if last { length | LAST } else { length };
        let about = about(&self.head, self.number, length);
        let tag = self.seal.seal(&about, self.number, &mut self.content)?;
        self.to.write_all(&length.to_le_bytes())?;
        self.to.write_all(&self.content)?;
        self.to.write_all(&tag)?;
        self.content.clear();
        self.number += 1;
        Ok(())
    }

    /// Ends the stream and gives the writer back.
    pub(super) fn end(mut self) -> Result<W, BackupError> {
        self.chunk(true)?;
        Ok(self.to)
    }
}

/// Reads a backup's stream.
pub(super) struct Opener<R> {
    from: R,
    head: [u8; HEAD],
    seal: Seal,
    number: u64,
    content: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: Read> Opener<R> {
    /// Begins to read a file.
    pub(super) fn new(mut from: R, passphrase: Option<&str>) -> Result<Self, BackupError> {
        let mut head = [0_u8; HEAD];
        exactly(&mut from, &mut head)?;
        if head[..8] != *MAGIC {
            return Err(BackupError::NotOurs);
        }
        let number = |at: usize| {
            let mut bytes = [0_u8; 4];
            bytes.copy_from_slice(&head[at..at + 4]);
            u32::from_le_bytes(bytes)
        };
        let seal = match (head[8], passphrase) {
            (0, _) => Seal::Plain,
            (1, None) => return Err(BackupError::NeedsPassphrase),
            (1, Some(passphrase)) => {
                let (kib, passes) = (number(25), number(29));
                if kib > MEMORY_KIB_MAX || passes > PASSES_MAX {
                    return Err(BackupError::Damaged);
                }
                Seal::new(passphrase, &head[9..25], kib, passes)?
            }
            (_, _) => return Err(BackupError::NotOurs),
        };
        Ok(Self { from, head, seal, number: 0, content: Vec::new(), at: 0, ended: false })
    }

    /// Whether the file is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.seal, Seal::Encrypted(_))
    }

    /// The next `n` bytes of the stream, into `into`.
    pub(super) fn take(&mut self, n: usize, into: &mut Vec<u8>) -> Result<(), BackupError> {
        into.clear();
        while into.len() < n {
            if self.at == self.content.len() {
                self.chunk()?;
                continue;
            }
            let rest = self.content.get(self.at..).unwrap_or_default();
            let now = rest.get(..(n - into.len()).min(rest.len())).unwrap_or_default();
            into.extend_from_slice(now);
            self.at += now.len();
        }
        Ok(())
    }

    fn chunk(&mut self) -> Result<(), BackupError> {
        if self.ended {
            return Err(BackupError::Damaged);
        }
        let mut bytes = [0_u8; 4];
        exactly(&mut self.from, &mut bytes)?;
        let length = u32::from_le_bytes(bytes);
        let size = usize::try_from(length & !LAST).map_err(|_| BackupError::Damaged)?;
        if size > CHUNK || (size == 0 && length & LAST == 0) {
            return Err(BackupError::Damaged);
        }
        self.content.clear();
        self.content.resize(size + TAG, 0);
        exactly(&mut self.from, &mut self.content)?;
        let about = about(&self.head, self.number, length);
        self.seal.open(&about, self.number, &mut self.content)?;
        (self.at, self.ended) = (0, length & LAST != 0);
        self.number += 1;
        Ok(())
    }

    /// The stream must end here, and the file too.
    pub(super) fn end(mut self) -> Result<(), BackupError> {
        while !self.ended && self.at == self.content.len() {
            self.chunk()?;
        }
        let more = self.from.read(&mut [0])?;
        if self.at < self.content.len() || more > 0 { Err(BackupError::Damaged) } else { Ok(()) }
    }
}

/// Fills `into`; a file that ends before is cut short.
fn exactly(from: &mut impl Read, into: &mut [u8]) -> Result<(), BackupError> {
    from.read_exact(into).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => BackupError::CutShort,
        _ => BackupError::File(e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(passphrase: Option<&str>, parts: &[&[u8]]) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), passphrase).unwrap();
        parts.iter().for_each(|part| sealer.put(part).unwrap());
        sealer.end().unwrap()
    }

    fn read(bytes: &[u8], passphrase: Option<&str>, n: usize) -> Result<Vec<u8>, BackupError> {
        let mut opener = Opener::new(bytes, passphrase)?;
        let mut into = Vec::new();
        opener.take(n, &mut into)?;
        opener.end()?;
        Ok(into)
    }

    #[test]
    fn a_stream_comes_back_as_it_was_over_any_number_of_chunks() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let content: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            for passphrase in [None, Some("swan lake")] {
                let file = written(passphrase, &[&content]);
                assert_eq!(read(&file, passphrase, size).unwrap(), content, "{size}");
                let shown = file.windows(64).any(|w| content.get(..64) == Some(w));
                assert_eq!(shown, passphrase.is_none() && size >= 64, "{size}");
            }
        }
    }

    #[test]
    fn a_changed_byte_a_cut_and_a_wrong_passphrase_are_found_and_named() {
        for passphrase in [None, Some("swan lake")] {
            let file = written(passphrase, &[b"some bytes", b" and more"]);
            let good = read(&file, passphrase, 19).unwrap();
            assert_eq!(good, b"some bytes and more");
            // The salt and Argon2's numbers are another key; plain files do not look at them twice.
            // A passphrase costs a tenth of a second each time.
            let step = if passphrase.is_some() { 7 } else { 1 };
            for at in (0..9).chain(HEAD..file.len()).step_by(step) {
                let mut wrong = file.clone();
                wrong[at] ^= 0x10;
                assert!(read(&wrong, passphrase, 19).is_err(), "byte {at} of {passphrase:?}");
            }
            for end in (0..file.len()).step_by(step) {
                let cut = read(&file[..end], passphrase, 19);
                assert!(matches!(cut, Err(BackupError::CutShort)), "{end}: {cut:?}");
            }
            let longer = [&file[..], b"x"].concat();
            assert!(matches!(read(&longer, passphrase, 19), Err(BackupError::Damaged)));
        }
        let file = written(Some("swan lake"), &[b"x"]);
        assert!(matches!(read(&file, Some("swan song"), 1), Err(BackupError::Passphrase)));
        assert!(matches!(read(&file, None, 1), Err(BackupError::NeedsPassphrase)));
        assert!(matches!(
            read(b"PK\x03\x04 and so on, for longer than a head has bytes", None, 1),
            Err(BackupError::NotOurs)
        ));
    }
}
