//! Who asks, and what they may do: people by password and session, devices and scrapers by token.
//!
//! The state directory holds, each 0600 and replaced as a whole:
//! ```text
//! password     USER ROLE ARGON2ID-PHC\n…     a line for each person; no default: absent until the set-up
//! setup-code   ARGON2ID-PHC\n                valid once, gone with the first password
//! tokens.toml  see `tokens`
//! ```
//! No secret is ever kept in clear, logged (but the set-up code, once) or compared other than as a
//! hash. Hashing takes 19 MiB and runs off the runtime's threads, two at a time.

mod devices;
mod guesses;
mod roles;
mod sessions;
mod tokens;

pub use devices::{Devices, Refusal, Shown};
pub use roles::{Area, Role};
pub use sessions::{AGE, IDLE, LOCK, Note, Person};
pub use tokens::{Device, Scope};

use super::secret_file;
use crate::limits;
use crate::problem::{Code, Problem};
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, Params};
use guesses::Guesses;
use ring::rand::{SecureRandom, SystemRandom};
use sessions::Sessions;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokens::Tokens;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// The user of the first set-up.
pub const USER: &str = "admin";
/// Fewest characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Most bytes of a password: more would only make work.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Nobody we know; gets the login page and nothing else.
    Nobody,
    /// A logged-in person.
    Person(Person),
    /// The holder of a token.
    Device(Arc<Device>),
}

impl Caller {
    /// Whether the caller sees a part; what a token's holder sees is said by its scopes.
    #[must_use]
    pub fn sees(&self, area: Area) -> bool {
        match self {
            Self::Nobody => false,
            Self::Person(person) => person.role.sees(area),
            Self::Device(_) => true,
        }
    }

    /// Whether the caller may give an order that its scope lets it give at all.
    ///
    /// # Errors
    /// [`Code::Forbidden`], [`Code::Locked`].
    pub fn may_order(&self, order: &blockgate_rules::input::Order) -> Result<(), Problem> {
        match self {
            Self::Person(person) if person.locked => Err(Code::Locked.into()),
            Self::Person(person) if !person.role.may_order(order) => {
                let (role, name) = (person.role.text(), order.name());
                Err(Problem::new(Code::Forbidden, format!("{name} is not for the role {role}")))
            }
            Self::Nobody => Err(Code::Unauthenticated.into()),
            Self::Person(_) | Self::Device(_) => Ok(()),
        }
    }

    /// Whether the caller may have a line searched for devices; a token's scope says that elsewhere.
    ///
    /// # Errors
    /// [`Code::Forbidden`], [`Code::Locked`].
    pub fn may_scan(&self) -> Result<(), Problem> {
        match self {
            Self::Person(person) if person.locked => Err(Code::Locked.into()),
            Self::Person(person) if !person.role.may_scan() => {
                Err(Problem::new(Code::Forbidden, "a scan is for the installer"))
            }
            Self::Nobody | Self::Person(_) | Self::Device(_) => Ok(()),
        }
    }

    /// Whether the caller may do it.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Nobody => false,
            Self::Person(person) => person.role.may(scope),
            Self::Device(device) => device.scopes.contains(&scope),
        }
    }

    /// The name for the audit record.
    #[must_use]
    pub fn actor(&self) -> String {
        match self {
            Self::Nobody => "nobody".to_owned(),
            Self::Person(person) => format!("page/{}", person.user),
            Self::Device(device) => format!("token/{}", device.name),
        }
    }
}

/// A fresh session's cookie value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// 256 random bits in hexadecimal.
    pub cookie: String,
}

#[derive(Debug, Clone)]
struct User {
    name: String,
    role: Role,
    phc: String,
}

#[derive(Debug)]
struct State {
    users: Vec<User>,
    /// Of the demo: in memory only.
    one_time: Option<User>,
    setup_code: Option<String>,
    /// The code in clear, until it has been shown once.
    fresh_code: Option<String>,
    sessions: Sessions,
    guesses: Guesses,
}

/// The accounts of one gateway.
#[derive(Debug)]
pub struct Accounts {
    dir: PathBuf,
    random: SystemRandom,
    hashing: Arc<Semaphore>,
    /// Devices need no lock that a person's login could hold.
    devices: Devices,
    /// One set-up at a time: the code is valid once.
    set_up: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

impl Accounts {
    /// Reads the accounts; makes a set-up code when there is neither a password nor a code.
    ///
    /// # Errors
    /// A file that cannot be read or written, that others can read, or that is not of the form.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let random = SystemRandom::new();
        let users = match secret_file::read(&dir.join("password"))? {
            Some(text) => parse_users(&text).ok_or_else(|| {
                io::Error::other("the password file is damaged; reset it on the console")
            })?,
            None => Vec::new(),
        };
        let mut setup_code =
            secret_file::read(&dir.join("setup-code"))?.map(|t| t.trim().to_owned());
        let mut fresh_code = None;
        if users.is_empty() && setup_code.is_none() {
            let (code, phc) = new_code(dir, &random)?;
            (setup_code, fresh_code) = (Some(phc), Some(code));
        }
        let tokens = match secret_file::read(&dir.join("tokens.toml"))? {
            Some(text) => Tokens::parse(&text)
                .map_err(|why| io::Error::other(format!("tokens.toml: {why}")))?,
            None => Tokens::default(),
        };
        Ok(Self {
            dir: dir.to_owned(),
            random,
            hashing: Arc::new(Semaphore::new(limits::HASHES_AT_ONCE)),
            devices: Devices::new(tokens),
            set_up: tokio::sync::Mutex::new(()),
            state: Mutex::new(State {
                users,
                one_time: None,
                setup_code,
                fresh_code,
                sessions: Sessions::default(),
                guesses: Guesses::new(Instant::now()),
            }),
        })
    }

    /// Takes over who is logged in, and how often was guessed, from the accounts of the start before.
    /// Sessions of people who may not come in any more, or otherwise than before, end.
    pub fn go_on_from(&self, before: &Self) {
        let (mut old, mut new) = (before.state(), self.state());
        new.guesses = std::mem::replace(&mut old.guesses, Guesses::new(Instant::now()));
        new.sessions = std::mem::take(&mut old.sessions);
        let of = |users: &[User], name: &str| {
            users.iter().find(|user| user.name == name).map(|user| (user.role, user.phc.clone()))
        };
        let gone: Vec<String> = old
            .users
            .iter()
            .filter(|user| of(&new.users, &user.name) != of(&old.users, &user.name))
            .map(|user| user.name.clone())
            .collect();
        gone.iter().for_each(|user| new.sessions.end_of(user));
    }

    /// Forgets the password and makes a new set-up code: the console's answer to a lost password.
    /// A running daemon sees it at its next start.
    ///
    /// # Errors
    /// When the files cannot be replaced.
    pub fn reset(dir: &Path) -> io::Result<String> {
        let (code, _) = new_code(dir, &SystemRandom::new())?;
        match std::fs::remove_file(dir.join("password")) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
            Ok(()) | Err(_) => Ok(code),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the secrets lie; the page's own certificate goes there too.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether somebody can log in.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        let state = self.state();
        !state.users.is_empty() || state.one_time.is_some()
    }

    /// The set-up code, when this start made one; given out once, to be printed or logged.
    #[must_use]
    pub fn take_set_up_code(&self) -> Option<String> {
        self.state().fresh_code.take()
    }

    /// A login for this run only, kept in memory: `(user, password)`. For the demo.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub async fn one_time_login(&self) -> io::Result<(String, String)> {
        let password = readable(&random_bytes::<12>(&self.random)?, 16);
        let phc = self.hash(password.clone()).await.map_err(io::Error::other)?;
        let user = User { name: USER.to_owned(), role: Role::Operator, phc };
        let mut state = self.state();
        state.one_time = Some(user);
        state.fresh_code = None; // there is a way in: no code need be shown
        drop(state);
        Ok((USER.to_owned(), password))
    }

    /// The people who may come in, by name, with their roles; the demo's own login too.
    #[must_use]
    pub fn people(&self) -> Vec<(String, Role)> {
        let state = self.state();
        let mut all: Vec<(String, Role)> =
            state.users.iter().chain(&state.one_time).map(|u| (u.name.clone(), u.role)).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Sets a person's password and role, or lets a new one in, and ends their sessions.
    ///
    /// # Errors
    /// [`Code::WeakPassword`]; [`Code::BadRequest`] for a name that is none, too many people, or when
    /// nobody would be left who says who may come in; [`Code::Internal`] when the file cannot be written.
    pub async fn set_person(
        &self,
        name: &str,
        role: Role,
        password: Option<&str>,
    ) -> Result<(), Problem> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if name.is_empty() || name.len() > 32 || !name.chars().all(fits) {
            let detail = "a user name has 1 to 32 of the characters a-z 0-9 . _ -";
            return Err(Problem::new(Code::BadRequest, detail));
        }
        let phc = match password {
            Some(password) => Some(self.hash_checked(password).await?),
            None => None,
        };
        let mut state = self.state();
        let mut users = state.users.clone();
        match (users.iter_mut().find(|user| user.name == name), phc) {
            (Some(user), phc) => {
                user.role = role;
                if let Some(phc) = phc {
                    user.phc = phc;
                }
            }
            (None, Some(phc)) => users.push(User { name: name.to_owned(), role, phc }),
            (None, None) => {
                return Err(Problem::new(Code::WeakPassword, "a new user needs a password"));
            }
        }
        if users.len() > limits::USERS_MAX {
            let detail = format!("there may be {} users", limits::USERS_MAX);
            return Err(Problem::new(Code::BadRequest, detail));
        }
        self.keep(&mut state, users)?;
        state.sessions.end_of(name);
        Ok(())
    }

    /// A person may not come in any more.
    ///
    /// # Errors
    /// [`Code::NotFound`]; [`Code::BadRequest`] when nobody would be left who says who may come in.
    pub fn remove_person(&self, name: &str) -> Result<(), Problem> {
        let mut state = self.state();
        let mut users = state.users.clone();
        users.retain(|user| user.name != name);
        if users.len() == state.users.len() {
            return Err(Code::NotFound.into());
        }
        self.keep(&mut state, users)?;
        state.sessions.end_of(name);
        Ok(())
    }

    /// Writes the password file and takes `users` over.
    fn keep(&self, state: &mut State, users: Vec<User>) -> Result<(), Problem> {
        let someone = users.iter().chain(&state.one_time).any(|u| u.role == Role::Operator);
        if !someone {
            let detail = "the last operator must stay one";
            return Err(Problem::new(Code::BadRequest, detail));
        }
        let line = |u: &User| format!("{} {} {}\n", u.name, u.role.text(), u.phc);
        let text: String = users.iter().map(line).collect();
        secret_file::write(&self.dir.join("password"), text.as_bytes()).map_err(internal)?;
        state.users = users;
        Ok(())
    }

    /// Sets the password of [`USER`], the operator of the first set-up.
    ///
    /// # Errors
    /// As [`Accounts::set_person`].
    pub async fn set_password(&self, password: &str) -> Result<(), Problem> {
        self.set_person(USER, Role::Operator, Some(password)).await
    }

    async fn hash_checked(&self, password: &str) -> Result<String, Problem> {
        if password.chars().count() < PASSWORD_CHARS_MIN {
            return Err(Code::WeakPassword.into());
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(Problem::new(Code::BadRequest, "a password may have 1024 bytes"));
        }
        self.hash(password.to_owned()).await
    }

    /// Whether it is the person's password; a wrong one counts as a wrong login.
    ///
    /// # Errors
    /// [`Code::WrongPassword`], [`Code::TooManyTries`].
    pub async fn check(&self, peer: IpAddr, user: &str, password: &str) -> Result<(), Problem> {
        self.right(peer, user, password).await.map(|_| ())
    }

    /// Opens a locked session again.
    pub fn unlock(&self, person: &Person) {
        self.state().sessions.unlock(person, Instant::now());
    }

    /// The first password, against the set-up code.
    ///
    /// # Errors
    /// [`Code::WrongPassword`] for a wrong or used code, [`Code::TooManyTries`],
    /// [`Code::WeakPassword`] (the code stays valid).
    pub async fn set_up(&self, peer: IpAddr, code: &str, password: &str) -> Result<Login, Problem> {
        if password.chars().count() < PASSWORD_CHARS_MIN {
            return Err(Code::WeakPassword.into());
        }
        let _one = self.set_up.lock().await;
        self.take_guess(peer)?;
        let phc = self.state().setup_code.clone();
        let right = match phc {
            Some(phc) if self.state().users.is_empty() => self.verify(plain(code), phc).await?,
            Some(_) | None => false,
        };
        if !right {
            return Err(Code::WrongPassword.into());
        }
        self.set_password(password).await?;
        secret_file::remove(&self.dir.join("setup-code")).map_err(internal)?;
        {
            let mut state = self.state();
            state.setup_code = None;
            state.fresh_code = None;
            state.guesses.right(peer);
        }
        self.begin(USER, Role::Operator)
    }

    /// Logs a person in.
    ///
    /// # Errors
    /// [`Code::WrongPassword`], [`Code::TooManyTries`].
    pub async fn log_in(&self, peer: IpAddr, user: &str, password: &str) -> Result<Login, Problem> {
        let (role, stale) = self.right(peer, user, password).await?;
        if stale {
            self.set_person(user, role, Some(password)).await?;
        }
        self.begin(user, role)
    }

    /// The role of a user whose password this is, and whether its hash should be made anew.
    async fn right(
        &self,
        peer: IpAddr,
        user: &str,
        password: &str,
    ) -> Result<(Role, bool), Problem> {
        self.take_guess(peer)?;
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(Code::WrongPassword.into());
        }
        let mut candidates: Vec<(User, bool)> = {
            let state = self.state();
            let one_time = state.one_time.iter().filter(|u| u.name == user);
            let kept = state.users.iter().filter(|u| u.name == user);
            let mut all: Vec<(User, bool)> = one_time
                .map(|u| (u.clone(), false))
                .chain(kept.map(|u| (u.clone(), true)))
                .collect();
            if all.is_empty() {
                // A hash is computed for an unknown name too, so that time tells nothing.
                all.extend(
                    state
                        .users
                        .iter()
                        .chain(&state.one_time)
                        .take(1)
                        .cloned()
                        .map(|u| (User { name: String::new(), ..u }, false)),
                );
            }
            all
        };
        for (known, kept) in candidates.drain(..) {
            let right = self.verify(password.to_owned(), known.phc.clone()).await?;
            if right && known.name == user {
                self.state().guesses.right(peer);
                return Ok((known.role, kept && outdated(&known.phc)));
            }
        }
        tracing::warn!(peer = %peer, "a login failed");
        Err(Code::WrongPassword.into())
    }

    fn take_guess(&self, peer: IpAddr) -> Result<(), Problem> {
        self.state().guesses.take(peer, Instant::now()).map_err(|wait| Problem {
            code: Code::TooManyTries,
            detail: String::new(),
            retry_after: Some(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))),
        })
    }

    /// A new session: the cookie changes at every login, so none can be planted before.
    fn begin(&self, user: &str, role: Role) -> Result<Login, Problem> {
        let cookie = hex(&random_bytes::<32>(&self.random).map_err(internal)?);
        let csrf = hex(&random_bytes::<32>(&self.random).map_err(internal)?);
        self.state().sessions.begin(&cookie, csrf, user, role, Instant::now());
        Ok(Login { cookie })
    }

    /// Whose cookie it is; `touch` unless nobody need be there (an event stream).
    #[must_use]
    pub fn person(&self, cookie: &str, touch: bool) -> Option<Person> {
        self.state().sessions.find(cookie, touch, Instant::now())
    }

    /// Whether the session is still open.
    #[must_use]
    pub fn holds(&self, person: &Person) -> bool {
        self.state().sessions.holds(person, Instant::now())
    }

    /// Ends a session.
    pub fn log_out(&self, person: &Person) {
        self.state().sessions.end(person);
    }

    /// Leaves a note for the session's next page.
    pub fn leave_note(&self, person: &Person, note: Note) {
        self.state().sessions.leave_note(person, note);
    }

    /// Takes the note.
    #[must_use]
    pub fn take_note(&self, person: &Person) -> Option<Note> {
        self.state().sessions.take_note(person)
    }

    /// Whose token it is.
    #[must_use]
    pub fn device(&self, token: &str) -> Option<Arc<Device>> {
        self.devices.bearer(token)
    }

    /// The devices: their tokens, signatures and rates.
    #[must_use]
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    async fn hash(&self, password: String) -> Result<String, Problem> {
        let salt = random_bytes::<16>(&self.random).map_err(internal)?;
        self.off_thread(move || hash_now(&password, &salt)).await?.map_err(internal)
    }

    async fn verify(&self, password: String, phc: String) -> Result<bool, Problem> {
        self.off_thread(move || {
            PasswordHash::new(&phc).is_ok_and(|known| {
                Argon2::default().verify_password(password.as_bytes(), &known).is_ok()
            })
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = Arc::clone(&self.hashing).acquire_owned().await.map_err(internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(internal)
    }
}

fn internal(fault: impl std::fmt::Display) -> Problem {
    tracing::error!(%fault, "accounts");
    Code::Internal.into()
}

/// A line `USER ROLE PHC` for each person.
fn parse_users(text: &str) -> Option<Vec<User>> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, role, phc) = (words.next()?, words.next()?, words.next()?);
        PasswordHash::new(phc).ok()?;
        let role = Role::of(role)?;
        (words.next().is_none()).then(|| User { name: name.to_owned(), role, phc: phc.to_owned() })
    };
    let users: Vec<User> = text.lines().map(line).collect::<Option<_>>()?;
    (!users.is_empty()).then_some(users)
}

/// A hash with other parameters than today's is made anew at the next login.
fn outdated(phc: &str) -> bool {
    let today = Params::default();
    PasswordHash::new(phc).ok().and_then(|h| Params::try_from(&h).ok()).is_none_or(|p| {
        (p.m_cost(), p.t_cost(), p.p_cost()) != (today.m_cost(), today.t_cost(), today.p_cost())
    })
}

fn hash_now(password: &str, salt: &[u8]) -> io::Result<String> {
    let salt = SaltString::encode_b64(salt).map_err(io::Error::other)?;
    let phc =
        Argon2::default().hash_password(password.as_bytes(), &salt).map_err(io::Error::other)?;
    Ok(phc.to_string())
}

/// A new set-up code of 60 random bits, its hash on disk.
fn new_code(dir: &Path, random: &SystemRandom) -> io::Result<(String, String)> {
    let plain_code = readable(&random_bytes::<12>(random)?, 12);
    let phc = hash_now(&plain_code, &random_bytes::<16>(random)?)?;
    secret_file::write(&dir.join("setup-code"), format!("{phc}\n").as_bytes())?;
    let grouped: Vec<&str> =
        [0..4, 4..8, 8..12].into_iter().filter_map(|r| plain_code.get(r)).collect();
    Ok((grouped.join("-"), phc))
}

fn random_bytes<const N: usize>(random: &SystemRandom) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    random.fill(&mut bytes).map_err(|_| io::Error::other("the system has no random numbers"))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Random bytes as characters that nobody confuses: five bits each, without I, L, O and U.
fn readable(bytes: &[u8], chars: usize) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    (0..chars)
        .map(|n| {
            let bit = n * 5;
            let pair =
                [bit / 8, bit / 8 + 1].map(|i| u16::from(bytes.get(i).copied().unwrap_or(0)));
            let window = (pair[0] << 8 | pair[1]) >> (11 - bit % 8) & 31;
            char::from(ALPHABET[usize::from(window)])
        })
        .collect()
}

/// A code as it was made: upper case, without dashes and blanks, look-alikes resolved.
fn plain(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test(start_paused = true)]
    async fn the_set_up_code_is_valid_once_and_the_password_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        let code = accounts.take_set_up_code().unwrap();
        assert_eq!(code.len(), 14);
        assert_eq!(accounts.take_set_up_code(), None, "given out once");
        assert!(!accounts.is_set_up());
        let weak = accounts.set_up(PEER, &code, "short").await.unwrap_err();
        assert_eq!(weak.code, Code::WeakPassword);
        let typed = format!(" {} ", code.to_lowercase().replace('-', " "));
        accounts.set_up(PEER, &typed, "correct horse").await.unwrap();
        let again = accounts.set_up(PEER, &code, "another one!").await.unwrap_err();
        assert_eq!(again.code, Code::WrongPassword);

        let accounts = Accounts::open(dir.path()).unwrap();
        assert!(accounts.is_set_up() && accounts.take_set_up_code().is_none());
        assert!(accounts.log_in(PEER, USER, "correct horse").await.is_ok());
        let wrong = accounts.log_in(PEER, "root", "correct horse").await.unwrap_err();
        assert_eq!(wrong.code, Code::WrongPassword);
        let early = accounts.log_in(PEER, USER, "correct horse").await.unwrap_err();
        assert_eq!((early.code, early.retry_after), (Code::TooManyTries, Some(1)));

        let code = Accounts::reset(dir.path()).unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        assert!(!accounts.is_set_up());
        assert!(accounts.set_up(PEER, &code, "a third one!").await.is_ok());
    }

    #[tokio::test]
    async fn two_gateways_have_different_codes_and_files_are_ours_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let codes = dirs.each_ref().map(|d| Accounts::open(d.path()).unwrap().take_set_up_code());
        assert_ne!(codes[0], codes[1]);
        let file = dirs[0].path().join("setup-code");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Accounts::open(dirs[0].path()).unwrap_err().to_string().contains("0600"));
    }

    #[tokio::test]
    async fn a_one_time_login_leaves_nothing_on_disk_and_a_new_password_ends_sessions() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        let (user, password) = accounts.one_time_login().await.unwrap();
        let login = accounts.log_in(PEER, &user, &password).await.unwrap();
        assert!(accounts.person(&login.cookie, true).is_some());
        assert!(!dir.path().join("password").exists());
        assert_eq!(accounts.take_set_up_code(), None, "no second way in is shown");
        accounts.set_password("a new password").await.unwrap();
        assert_eq!(accounts.person(&login.cookie, true), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hash_with_weaker_parameters_is_made_anew_at_login() {
        let dir = tempfile::tempdir().unwrap();
        let weak = Argon2::new(
            argon2::Algorithm::Argon2id,
            argon2::Version::V0x13,
            Params::new(8 * 1024, 1, 1, None).unwrap(),
        );
        let salt = SaltString::encode_b64(&[7; 16]).unwrap();
        let phc = weak.hash_password(b"correct horse", &salt).unwrap().to_string();
        let line = format!("admin operator {phc}\n");
        secret_file::write(&dir.path().join("password"), line.as_bytes()).unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        accounts.log_in(PEER, USER, "correct horse").await.unwrap();
        let text = std::fs::read_to_string(dir.path().join("password")).unwrap();
        assert!(text.contains("m=19456"), "{text}");
    }
}
