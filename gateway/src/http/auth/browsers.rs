//! Browsers in which somebody has logged in: each keeps a random cookie of which only the hash is kept
//! here. Such a browser is no way in; it only waits for no one else's wrong tries.
//!
//! ```text
//! known-browsers   USER SHA256\n…    oldest first, 0600
//! ```

use super::sessions::{Hash, hash};
use crate::limits;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// The browsers of each user, at most [`limits::BROWSERS_PER_USER_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Browsers {
    of: BTreeMap<String, VecDeque<Hash>>,
}

impl Browsers {
    /// Reads the file's text; a line that is none is left out: all that it can cost is a wait.
    pub(super) fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for (user, hex) in text.lines().filter_map(|line| line.split_once(' ')) {
            if let Some(hash) = from_hex(hex) {
                all.put(user, hash);
            }
        }
        all
    }

    /// The file's text for the users that are kept.
    pub(super) fn text(&self, kept: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        for (user, hashes) in self.of.iter().filter(|(user, _)| kept(user)) {
            for hash in hashes {
                let hex = super::hex(hash);
                let _ = writeln!(text, "{user} {hex}");
            }
        }
        text
    }

    /// The hash of a browser's cookie, where this user has logged in with it.
    pub(super) fn find(&self, user: &str, cookie: &str) -> Option<Hash> {
        let hash = hash(cookie);
        self.of.get(user)?.contains(&hash).then_some(hash)
    }

    /// Whether it is a cookie of ours, whoever logged in with it: nobody plants one of their own.
    pub(super) fn is_ours(&self, cookie: &str) -> bool {
        let hash = hash(cookie);
        self.of.values().any(|hashes| hashes.contains(&hash))
    }

    /// A user has logged in with this cookie; the oldest goes when there are too many.
    pub(super) fn add(&mut self, user: &str, cookie: &str) {
        self.put(user, hash(cookie));
    }

    fn put(&mut self, user: &str, hash: Hash) {
        let hashes = self.of.entry(user.to_owned()).or_default();
        if hashes.len() >= limits::BROWSERS_PER_USER_MAX {
            hashes.pop_front();
        }
        hashes.push_back(hash);
    }

    /// The user's browsers are strangers again.
    pub(super) fn forget(&mut self, user: &str) {
        self.of.remove(user);
    }
}

fn from_hex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (n, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_survive_their_file_and_the_oldest_goes_when_there_are_too_many() {
        let mut all = Browsers::default();
        all.add("chief", "a");
        for n in 0..limits::BROWSERS_PER_USER_MAX {
            all.add("clerk", &n.to_string());
        }
        let again = Browsers::parse(&format!("{}damaged line\nclerk 00\n", all.text(|_| true)));
        assert_eq!(again, all);
        assert!(again.find("clerk", "0").is_some() && again.find("chief", "0").is_none());
        assert!(again.is_ours("0") && !again.is_ours("x"));
        all.add("clerk", "new");
        assert!(all.find("clerk", "0").is_none() && all.find("clerk", "new").is_some());
        assert!(!all.text(|user| user != "clerk").contains("clerk"));
        all.forget("clerk");
        assert_eq!(all.find("clerk", "new"), None);
    }
}
