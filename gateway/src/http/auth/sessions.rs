//! Sessions of people: a 256-bit random cookie of which only the hash is kept, ended by idleness,
//! by age, by logging out or by a newer password.

use super::Role;
use crate::config::HttpConfig;
use crate::limits;
use ring::digest;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// After this long without a request a session only reads, until the password is given again, where the config
/// names no other time.
pub const LOCK: Duration = Duration::from_millis(HttpConfig::LOCK_AFTER.as_millis().unsigned_abs());
/// A session without a request for this long ends.
pub const IDLE: Duration = Duration::from_secs(60 * 60);
/// A session this old ends, however busy.
pub const AGE: Duration = Duration::from_secs(8 * 3600);

/// SHA-256 of a secret.
pub(super) type Hash = [u8; 32];

/// SHA-256; enough for secrets of 256 random bits.
pub(super) fn hash(secret: &str) -> Hash {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    out
}

/// What a request of a logged-in person carries with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user: String,
    /// What they may do.
    pub role: Role,
    /// What each form of theirs must bring back.
    pub csrf: String,
    /// Nobody was there for a while: the session only reads, until the password is given again.
    pub locked: bool,
    /// Names the session inside the process.
    pub(super) session: Hash,
}

#[derive(Debug)]
struct Session {
    person: Person,
    began: Instant,
    seen: Instant,
    /// Shown once on the next page: how the last command ended.
    note: Option<Note>,
}

/// How the last command of a session ended, shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether it was done.
    pub good: bool,
    /// One sentence.
    pub text: String,
}

/// All sessions, at most [`limits::SESSIONS_MAX`].
#[derive(Debug)]
pub(super) struct Sessions {
    open: BTreeMap<Hash, Session>,
    /// See [`LOCK`].
    pub(super) lock: Duration,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { open: BTreeMap::new(), lock: LOCK }
    }
}

impl Sessions {
    /// Opens a session for a cookie; the longest idle one goes when there are too many.
    pub(super) fn begin(
        &mut self,
        cookie: &str,
        csrf: String,
        user: &str,
        role: Role,
        now: Instant,
    ) {
        self.sweep(now);
        if self.open.len() >= limits::SESSIONS_MAX {
            let idlest = self.open.iter().min_by_key(|(_, s)| s.seen).map(|(k, _)| *k);
            if let Some(idlest) = idlest {
                self.open.remove(&idlest);
            }
        }
        let session = hash(cookie);
        let person = Person { user: user.to_owned(), role, csrf, locked: false, session };
        self.open.insert(session, Session { person, began: now, seen: now, note: None });
    }

    /// The person behind a cookie; `touch` counts as being there (an event stream does not).
    pub(super) fn find(&mut self, cookie: &str, touch: bool, now: Instant) -> Option<Person> {
        self.sweep(now);
        let lock = self.lock;
        let session = self.open.get_mut(&hash(cookie))?;
        session.person.locked |= now >= session.seen + lock;
        if touch {
            session.seen = now;
        }
        Some(session.person.clone())
    }

    /// The password was given again.
    pub(super) fn unlock(&mut self, person: &Person, now: Instant) {
        if let Some(session) = self.open.get_mut(&person.session) {
            (session.person.locked, session.seen) = (false, now);
        }
    }

    /// Ends all sessions of a person.
    pub(super) fn end_of(&mut self, user: &str) {
        self.open.retain(|_, session| session.person.user != user);
    }

    /// Whether a session is still open.
    pub(super) fn holds(&mut self, person: &Person, now: Instant) -> bool {
        self.sweep(now);
        self.open.contains_key(&person.session)
    }

    /// Leaves a note for the next page.
    pub(super) fn leave_note(&mut self, person: &Person, note: Note) {
        if let Some(session) = self.open.get_mut(&person.session) {
            session.note = Some(note);
        }
    }

    /// Takes the note.
    pub(super) fn take_note(&mut self, person: &Person) -> Option<Note> {
        self.open.get_mut(&person.session)?.note.take()
    }

    /// Ends one session.
    pub(super) fn end(&mut self, person: &Person) {
        self.open.remove(&person.session);
    }

    fn sweep(&mut self, now: Instant) {
        self.open.retain(|_, s| now < s.seen + IDLE && now < s.began + AGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Sessions {
        let mut sessions = Sessions::default();
        sessions.begin("cookie", "token".to_owned(), "admin", Role::Operator, Instant::now());
        sessions
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_session_ends_and_a_stream_does_not_keep_it() {
        let mut sessions = begun();
        tokio::time::advance(IDLE - Duration::from_secs(1)).await;
        assert!(sessions.find("cookie", false, Instant::now()).is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(sessions.find("cookie", true, Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_nobody_used_only_reads_until_the_password_is_given_again() {
        let mut sessions = begun();
        let locked = |sessions: &mut Sessions| {
            sessions.find("cookie", true, Instant::now()).map(|person| person.locked)
        };
        tokio::time::advance(LOCK - Duration::from_secs(1)).await;
        assert_eq!(locked(&mut sessions), Some(false));
        tokio::time::advance(LOCK).await;
        assert_eq!(locked(&mut sessions), Some(true));
        assert_eq!(locked(&mut sessions), Some(true), "a look does not open it");
        let person = sessions.find("cookie", true, Instant::now()).unwrap();
        sessions.unlock(&person, Instant::now());
        assert_eq!(locked(&mut sessions), Some(false));
        sessions.end_of("admin");
        assert_eq!(locked(&mut sessions), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_session_ends_after_eight_hours() {
        let mut sessions = begun();
        for _ in 0..(8 * 6 - 1) {
            tokio::time::advance(Duration::from_secs(600)).await;
            assert!(sessions.find("cookie", true, Instant::now()).is_some());
        }
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!(sessions.find("cookie", true, Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stolen_cookie_is_worthless_after_logging_out() {
        let mut sessions = begun();
        let person = sessions.find("cookie", true, Instant::now()).unwrap();
        sessions.end(&person);
        assert_eq!(sessions.find("cookie", true, Instant::now()), None);
        assert!(!sessions.holds(&person, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_idlest_session_goes_when_there_are_too_many() {
        let mut sessions = begun();
        for n in 0..limits::SESSIONS_MAX {
            tokio::time::advance(Duration::from_millis(1)).await;
            sessions.begin(&n.to_string(), String::new(), "admin", Role::Operator, Instant::now());
        }
        assert_eq!(sessions.open.len(), limits::SESSIONS_MAX);
        assert_eq!(sessions.find("cookie", true, Instant::now()), None);
    }
}
