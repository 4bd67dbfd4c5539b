//! Who asks, and what they may do: people by password and session, devices and scrapers by token.
//!
//! The state directory holds, each 0600 and replaced as a whole:
//! ```text
//! password        USER ROLE ARGON2ID-PHC\n…  a line for each person; no default: absent until the set-up
//! setup-code      ARGON2ID-PHC [AT BY]\n     valid once, gone with the first password; AT and BY of a reset
//! known-browsers  see `browsers`
//! tokens.toml     see `tokens`
//! ```
//! No secret is ever kept in clear, logged (but the set-up code, once) or compared other than as a
//! hash. Hashing takes 19 MiB and runs off the runtime's threads, two at a time.

mod browsers;
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
use blockgate_rules::event::Upkeep;
use blockgate_types::Time;
use browsers::Browsers;
use guesses::{Brake, Guesses, Name, Source};
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
    /// The same, for the browser itself, where it had none of ours: it outlives sessions, lets nobody in,
    /// and only keeps others' wrong tries from making this browser wait.
    pub browser: Option<String>,
}

/// Where a login comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The address.
    pub peer: IpAddr,
    /// The cookie of [`Login::browser`], as the browser says.
    pub browser: Option<&'a str>,
}

impl From<IpAddr> for Origin<'_> {
    fn from(peer: IpAddr) -> Self {
        Self { peer, browser: None }
    }
}

/// All logins were forgotten at the console.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reset {
    at: Time,
    by: String,
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
    browsers: Browsers,
    /// Stays until somebody has set a password again.
    reset: Option<Reset>,
    /// For the audit trail: who did it, and what.
    untold: Vec<(String, Upkeep)>,
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
        let (mut setup_code, reset) = match secret_file::read(&dir.join("setup-code"))? {
            Some(text) => parse_code(&text),
            None => (None, None),
        };
        let browsers = secret_file::read(&dir.join("known-browsers"))?;
        let mut fresh_code = None;
        if users.is_empty() && setup_code.is_none() {
            let (code, phc) = new_code(dir, &random, None)?;
            (setup_code, fresh_code) = (Some(phc), Some(code));
        }
        let tokens = match secret_file::read(&dir.join("tokens.toml"))? {
            Some(text) => Tokens::parse(&text)
                .map_err(|why| io::Error::other(format!("tokens.toml: {why}")))?,
            None => Tokens::default(),
        };
        // Told at each start until somebody has set a password: better twice than not at all.
        let told = |reset: &Reset| (reset.by.clone(), Upkeep::LoginsReset { at: reset.at });
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
                browsers: browsers.map_or_else(Browsers::default, |text| Browsers::parse(&text)),
                untold: reset.iter().map(told).collect(),
                reset,
            }),
        })
    }

    /// Takes over who is logged in, and how often was guessed, from the accounts of the start before.
    /// Sessions of people who may not come in any more, or otherwise than before, end.
    pub fn go_on_from(&self, before: &Self) {
        let (mut old, mut new) = (before.state(), self.state());
        new.guesses = std::mem::replace(&mut old.guesses, Guesses::new(Instant::now()));
        new.sessions = std::mem::take(&mut old.sessions);
        if new.reset == old.reset {
            new.untold.clear();
        }
        new.untold.append(&mut old.untold);
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

    /// Forgets all logins and makes a new set-up code: the console's answer to a lost password. A
    /// running daemon sees it at its next start, and tells the audit trail who did it and when.
    ///
    /// # Errors
    /// When the files cannot be replaced.
    pub fn reset(dir: &Path, at: Time, by: &str) -> io::Result<String> {
        let by = by.split_whitespace().collect::<Vec<_>>().join("-");
        let reset = Reset { at, by: if by.is_empty() { "console".to_owned() } else { by } };
        let (code, _) = new_code(dir, &SystemRandom::new(), Some(&reset))?;
        secret_file::remove(&dir.join("known-browsers"))?;
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

    /// What the audit trail has not been told yet: who did it, and what.
    #[must_use]
    pub fn take_untold(&self) -> Vec<(String, Upkeep)> {
        std::mem::take(&mut self.state().untold)
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
        let has_new = phc.is_some();
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
        if has_new {
            self.forget_browsers(&mut state, name);
        }
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
        self.forget_browsers(&mut state, name);
        Ok(())
    }

    /// Whoever knew the old password had time to log in with it: their browsers are strangers again.
    fn forget_browsers(&self, state: &mut State, name: &str) {
        state.browsers.forget(name);
        self.keep_browsers(state);
    }

    /// Writes the browsers of the users that are on disk themselves.
    fn keep_browsers(&self, state: &State) {
        let text = state.browsers.text(|name| state.users.iter().any(|user| user.name == name));
        let path = self.dir.join("known-browsers");
        let written = if text.is_empty() {
            secret_file::remove(&path)
        } else {
            secret_file::write(&path, text.as_bytes())
        };
        if let Err(fault) = written {
            // A login must not fail for it: all that it costs is a wait after the next start.
            tracing::warn!(%fault, "known browsers could not be written");
        }
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

    /// Whether it is the person's password. A wrong one makes this session's next try wait, and
    /// nobody else's.
    ///
    /// # Errors
    /// [`Code::WrongPassword`], [`Code::TooManyTries`].
    pub async fn check(&self, person: &Person, password: &str) -> Result<(), Problem> {
        let source = Source::Known(person.session);
        self.right(&source, &person.user, password).await.map(|_| ())
    }

    /// After how long without a request sessions only read, until the password is given again.
    pub fn lock_after(&self, time: std::time::Duration) {
        self.state().sessions.lock = time;
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
    pub async fn set_up<'a>(
        &self,
        from: impl Into<Origin<'a>>,
        code: &str,
        password: &str,
    ) -> Result<Login, Problem> {
        let from: Origin<'a> = from.into();
        let source = Source::of(from.peer);
        if password.chars().count() < PASSWORD_CHARS_MIN {
            return Err(Code::WeakPassword.into());
        }
        let _one = self.set_up.lock().await;
        self.take_guess(&source, None)?;
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
            state.reset = None;
            state.guesses.right(&source, None);
        }
        self.begin(&from, USER, Role::Operator)
    }

    /// Logs a person in.
    ///
    /// # Errors
    /// [`Code::WrongPassword`], [`Code::TooManyTries`].
    pub async fn log_in<'a>(
        &self,
        from: impl Into<Origin<'a>>,
        user: &str,
        password: &str,
    ) -> Result<Login, Problem> {
        let from: Origin<'a> = from.into();
        let known = from.browser.and_then(|cookie| self.state().browsers.find(user, cookie));
        let source = known.map_or_else(|| Source::of(from.peer), Source::Known);
        let (role, stale) = match self.right(&source, user, password).await {
            Ok(right) => right,
            Err(problem) => {
                tracing::warn!(peer = %from.peer, why = problem.code.text(), "a login failed");
                return Err(problem);
            }
        };
        if stale {
            self.set_person(user, role, Some(password)).await?;
        }
        self.begin(&from, user, role)
    }

    /// The role of a user whose password this is, and whether its hash should be made anew.
    async fn right(
        &self,
        source: &Source,
        user: &str,
        password: &str,
    ) -> Result<(Role, bool), Problem> {
        let name = self.name(user);
        self.take_guess(source, Some(&name))?;
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
                self.state().guesses.right(source, Some(&name));
                return Ok((known.role, kept && outdated(&known.phc)));
            }
        }
        let mut state = self.state();
        let tell = state.guesses.wrong(&name).filter(|_| state.untold.len() < limits::USERS_MAX);
        if let Some(wrong) = tell {
            tracing::warn!(%user, wrong, "a user's name is tried with wrong passwords");
            let did = Upkeep::LoginsBraked { user: user.to_owned(), wrong };
            state.untold.push(("nobody".to_owned(), did));
        }
        Err(Code::WrongPassword.into())
    }

    /// Whose name it is; names that are nobody's share a few.
    fn name(&self, user: &str) -> Name {
        let state = self.state();
        let known = state.users.iter().chain(&state.one_time).any(|known| known.name == user);
        if known { Name::User(user.to_owned()) } else { Name::Nobody(sessions::hash(user)[0]) }
    }

    fn take_guess(&self, source: &Source, name: Option<&Name>) -> Result<(), Problem> {
        let taken = self.state().guesses.take(source, name, Instant::now());
        taken.map_err(|(brake, wait)| {
            let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
            let detail = match brake {
                Brake::Source => format!("wait {seconds} s"),
                Brake::Name => format!(
                    "others try this name with wrong passwords: wait {seconds} s, or use a browser in \
                     which you have logged in before"
                ),
                Brake::All => format!("too many log in at once: wait {seconds} s"),
            };
            Problem { code: Code::TooManyTries, detail, retry_after: Some(seconds) }
        })
    }

    /// A new session: the cookie changes at every login, so none can be planted before.
    fn begin(&self, from: &Origin<'_>, user: &str, role: Role) -> Result<Login, Problem> {
        let cookie = hex(&random_bytes::<32>(&self.random).map_err(internal)?);
        let csrf = hex(&random_bytes::<32>(&self.random).map_err(internal)?);
        let fresh = hex(&random_bytes::<32>(&self.random).map_err(internal)?);
        let mut state = self.state();
        state.sessions.begin(&cookie, csrf, user, role, Instant::now());
        if from.browser.is_some_and(|had| state.browsers.find(user, had).is_some()) {
            return Ok(Login { cookie, browser: None });
        }
        // Two people at one computer share what names it.
        let ours = from.browser.filter(|had| state.browsers.is_ours(had));
        state.browsers.add(user, ours.unwrap_or(&fresh));
        let browser = if ours.is_some() { None } else { Some(fresh) };
        self.keep_browsers(&state);
        Ok(Login { cookie, browser })
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

/// The hash of a set-up code, and which reset made it. Text after the hash that is none is left out: the
/// code works all the same.
fn parse_code(text: &str) -> (Option<String>, Option<Reset>) {
    let mut words = text.split_whitespace();
    let code = words.next().map(str::to_owned);
    let at = words.next().and_then(|at| at.parse().ok());
    let reset = at.zip(words.next()).map(|(at, by)| Reset { at, by: by.to_owned() });
    (code, reset)
}

/// A new set-up code of 60 random bits, its hash on disk.
fn new_code(
    dir: &Path,
    random: &SystemRandom,
    reset: Option<&Reset>,
) -> io::Result<(String, String)> {
    let plain_code = readable(&random_bytes::<12>(random)?, 12);
    let phc = hash_now(&plain_code, &random_bytes::<16>(random)?)?;
    let of = reset.map_or_else(String::new, |reset| format!(" {} {}", reset.at, reset.by));
    secret_file::write(&dir.join("setup-code"), format!("{phc}{of}\n").as_bytes())?;
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
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_at_the_console_ends_every_login_and_is_told_until_there_is_a_password_again() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        let code = accounts.take_set_up_code().unwrap();
        let login = accounts.set_up(PEER, &code, "correct horse").await.unwrap();
        assert!(accounts.take_untold().is_empty());

        let at: Time = "2026-11-29T08:00:00Z".parse().unwrap();
        let code = Accounts::reset(dir.path(), at, "console/li wei").unwrap();
        let told = [("console/li-wei".to_owned(), Upkeep::LoginsReset { at })];
        let again = Accounts::open(dir.path()).unwrap();
        again.go_on_from(&accounts);
        assert!(!again.is_set_up());
        assert_eq!(again.person(&login.cookie, true), None, "a reload ends the old sessions");
        assert_eq!(again.take_set_up_code(), None, "the console has shown it");
        assert_eq!(again.take_untold(), told);
        let reloaded = Accounts::open(dir.path()).unwrap();
        reloaded.go_on_from(&again);
        assert_eq!(reloaded.take_untold(), [], "a reload tells it once");
        let restarted = Accounts::open(dir.path()).unwrap();
        assert_eq!(restarted.take_untold(), told);
        assert!(restarted.set_up(PEER, &code, "a third one!").await.is_ok());
        assert_eq!(Accounts::open(dir.path()).unwrap().take_untold(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_guesses_a_clerks_password_from_everywhere_does_not_keep_the_clerk_out() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(dir.path()).unwrap();
        accounts.set_password("correct horse").await.unwrap();
        accounts.set_person("clerk", Role::Finance, Some("correct horse")).await.unwrap();
        let own = accounts.log_in(PEER, "clerk", "correct horse").await.unwrap();
        let cookie = own.browser.unwrap();
        let at = |n: u32| IpAddr::V4((0x0A00_0000 + n).into());
        let mut held = None;
        for n in 0..12 {
            match accounts.log_in(at(n), "clerk", "a wild guess").await {
                Err(problem) if problem.code == Code::TooManyTries => held = Some(problem),
                other => assert_eq!(other.unwrap_err().code, Code::WrongPassword),
            }
        }
        let held = held.expect("the name is braked");
        assert!(held.detail.contains("others try this name"), "{held:?}");
        assert!(held.retry_after.is_some_and(|wait| wait <= 60), "{held:?}");
        let told = accounts.take_untold();
        let did = Upkeep::LoginsBraked { user: "clerk".to_owned(), wrong: 5 };
        assert_eq!(told, [("nobody".to_owned(), did)]);
        // A name that is nobody's waits like one that is somebody's.
        let nobody = (20..32).map(at);
        let mut waits = 0;
        for peer in nobody {
            let problem = accounts.log_in(peer, "nosuch", "a wild guess").await.unwrap_err();
            waits += u32::from(problem.code == Code::TooManyTries);
        }
        assert!(waits > 0);
        assert!(accounts.take_untold().is_empty(), "nobody's name may be a password typed there");
        // The clerk's own browser comes in, from whatever address, also after a restart.
        let from = Origin { peer: at(3), browser: Some(&cookie) };
        let login = accounts.log_in(from, "clerk", "correct horse").await.unwrap();
        assert_eq!(login.browser, None);
        let person = accounts.person(&login.cookie, true).unwrap();
        assert!(accounts.check(&person, "correct horse").await.is_ok(), "a locked session opens");
        let restarted = Accounts::open(dir.path()).unwrap();
        restarted.go_on_from(&accounts);
        assert!(restarted.log_in(from, "clerk", "correct horse").await.is_ok());
        let planted = Origin { peer: at(40), browser: Some("planted") };
        let other = restarted.log_in(planted, "admin", "correct horse").await.unwrap();
        assert!(other.browser.is_some_and(|fresh| fresh != "planted"), "nobody plants a cookie");
        // With the password goes what was known by it.
        restarted.set_person("clerk", Role::Finance, Some("another horse")).await.unwrap();
        let stranger = restarted.log_in(from, "clerk", "another horse").await.unwrap_err();
        assert_eq!(stranger.code, Code::TooManyTries);
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
