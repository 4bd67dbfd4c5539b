//! The secure channel: AES-128, session keys from the reader's base key, a chain of MACs. Replayed,
//! changed or invented messages break the chain and are refused.

use aes::Aes128;
use aes::cipher::{Block, BlockDecrypt, BlockEncrypt, KeyInit};

/// A key.
pub type Key = [u8; 16];

/// The key that readers come with: whoever listens knows it. For installing only.
pub const DEFAULT_KEY: Key = *b"0123456789:;<=>?";

fn encrypted(key: &Key, block: [u8; 16]) -> [u8; 16] {
    let mut block: Block<Aes128> = block.into();
    Aes128::new(&(*key).into()).encrypt_block(&mut block);
    block.into()
}

fn decrypted(key: &Key, block: [u8; 16]) -> [u8; 16] {
    let mut block: Block<Aes128> = block.into();
    Aes128::new(&(*key).into()).decrypt_block(&mut block);
    block.into()
}

fn xor(one: [u8; 16], other: [u8; 16]) -> [u8; 16] {
    let mut out = one;
    for (place, byte) in out.iter_mut().zip(other) {
        *place ^= byte;
    }
    out
}

fn joined(first: [u8; 8], second: [u8; 8]) -> [u8; 16] {
    let mut out = [0; 16];
    for (place, byte) in out.iter_mut().zip(first.into_iter().chain(second)) {
        *place = byte;
    }
    out
}

/// Blocks of sixteen; the end is marked by 80 and zeros, always or only where it does not fill a block.
fn padded(bytes: &[u8], always: bool) -> Vec<[u8; 16]> {
    let mut all = bytes.to_vec();
    if always || !all.len().is_multiple_of(16) || all.is_empty() {
        all.push(0x80);
        all.resize(all.len().next_multiple_of(16), 0);
    }
    all.chunks_exact(16).filter_map(|block| block.try_into().ok()).collect()
}

/// Both sides' random numbers and the keys that follow from them.
#[derive(Clone)]
pub struct Session {
    s_enc: Key,
    s_mac1: Key,
    s_mac2: Key,
    rnd_a: [u8; 8],
    rnd_b: [u8; 8],
    /// The last MAC of the control panel, and of the reader.
    c_mac: [u8; 16],
    r_mac: [u8; 16],
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(…)")
    }
}

impl Session {
    /// The session of a base key and both random numbers.
    #[must_use]
    pub fn new(base: &Key, rnd_a: [u8; 8], rnd_b: [u8; 8]) -> Self {
        let derived = |first: u8, second: u8| {
            let [a0, a1, a2, a3, a4, a5, ..] = rnd_a;
            let block = [first, second, a0, a1, a2, a3, a4, a5, 0, 0, 0, 0, 0, 0, 0, 0];
            encrypted(base, block)
        };
        Self {
            s_enc: derived(0x01, 0x82),
            s_mac1: derived(0x01, 0x01),
            s_mac2: derived(0x01, 0x02),
            rnd_a,
            rnd_b,
            c_mac: [0; 16],
            r_mac: [0; 16],
        }
    }

    /// What a reader proves itself by.
    #[must_use]
    pub fn client_cryptogram(&self) -> [u8; 16] {
        encrypted(&self.s_enc, joined(self.rnd_a, self.rnd_b))
    }

    /// What the control panel proves itself by.
    #[must_use]
    pub fn server_cryptogram(&self) -> [u8; 16] {
        encrypted(&self.s_enc, joined(self.rnd_b, self.rnd_a))
    }

    /// The reader's first MAC, from which the chain goes on.
    #[must_use]
    pub fn first_mac(&self) -> [u8; 16] {
        encrypted(&self.s_mac2, encrypted(&self.s_mac1, self.server_cryptogram()))
    }

    /// Begins the chain.
    pub fn begin(&mut self) {
        self.r_mac = self.first_mac();
        self.c_mac = [0; 16];
    }

    /// The MAC of a message up to its MAC; the chain goes on with it.
    pub fn mac(&mut self, message: &[u8], is_command: bool) -> [u8; 4] {
        let blocks = padded(message, false);
        let mut iv = if is_command { self.r_mac } else { self.c_mac };
        let last = blocks.len().saturating_sub(1);
        for (place, block) in blocks.into_iter().enumerate() {
            let key = if place == last { &self.s_mac2 } else { &self.s_mac1 };
            iv = encrypted(key, xor(block, iv));
        }
        if is_command {
            self.c_mac = iv;
        } else {
            self.r_mac = iv;
        }
        let [a, b, c, d, ..] = iv;
        [a, b, c, d]
    }

    /// Data as it is sent; before the message's MAC is made.
    #[must_use]
    pub fn encrypt(&self, data: &[u8], is_command: bool) -> Vec<u8> {
        let mut iv = self.data_iv(is_command);
        let blocks = padded(data, true).into_iter().map(|block| {
            iv = encrypted(&self.s_enc, xor(block, iv));
            iv
        });
        blocks.flatten().collect()
    }

    /// Data as it was meant. `None` where its end is not marked.
    #[must_use]
    pub fn decrypt(&self, data: &[u8], is_command: bool) -> Option<Vec<u8>> {
        let mut iv = self.data_iv(is_command);
        if data.is_empty() || !data.len().is_multiple_of(16) {
            return None;
        }
        let mut out = Vec::with_capacity(data.len());
        for block in data.chunks_exact(16) {
            let block: [u8; 16] = block.try_into().ok()?;
            out.extend(xor(decrypted(&self.s_enc, block), iv));
            iv = block;
        }
        let end = out.iter().rposition(|byte| *byte != 0)?;
        (out.get(end) == Some(&0x80)).then(|| {
            out.truncate(end);
            out
        })
    }

    /// The other side's last MAC, turned around.
    fn data_iv(&self, is_command: bool) -> [u8; 16] {
        let last = if is_command { self.r_mac } else { self.c_mac };
        last.map(|byte| !byte)
    }
}
