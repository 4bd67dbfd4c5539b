//! Backups at the page: one is taken away encrypted, and a file is tried. A try reads it from its first to its
//! last byte and says what a restore would do to this gateway; it changes nothing. The restore itself needs a
//! stopped daemon, and the page says with which commands.

use super::components::empty;
use super::forms::{Field, Input, Reader};
use super::{Outcome, Page, system};
use crate::backup::{self, BackupError, Contents, Place, Request as BackupRequest};
use crate::config::Config;
use crate::http::answer::{Answered, Desk};
use crate::http::auth::{Caller, Person, Role};
use crate::http::gate::token_fits;
use crate::http::request::Request;
use crate::limits;
use crate::ports::RealDisk;
use crate::problem::{Code, Problem};
use crate::store::journal::Records;
use blockgate_rules::event::Upkeep;
use bytes::Bytes;
use maud::{Markup, html};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{Mutex, mpsc};
use warp::Reply;
use warp::http::HeaderValue;

/// One backup is made at a time: each reads the whole journal.
static TAKING: Mutex<()> = Mutex::const_new(());
/// The file under which a backup is made in the state folder; backups leave `*.new` out.
const PART: &str = "page-backup.new";
/// Fewest characters of a passphrase.
const PASSPHRASE_CHARS_MIN: usize = 10;
/// Files that a try lists.
const FILES_SHOWN: usize = 60;

/// Who may: a backup holds what every household used and owes, and by choice the keys.
fn may(page: &Page<'_>) -> bool {
    !page.locked && page.role == Some(Role::Operator)
}

/// The page.
pub(super) fn show(desk: &Desk, page: &Page<'_>, tried: Option<Markup>) -> Answered {
    let say = page.view.say;
    let keys = [("no", say.backup_without_keys()), ("yes", say.backup_with_keys())]
        .map(|(word, text)| (word.to_owned(), text.to_owned()));
    let file = desk.shared.upkeep.file();
    Ok(page.framed(
        say.backup(),
        false,
        html! {
            div.head { h1 { (say.backup()) } }
            (system::section(page))
            @if let Some(tried) = tried { (tried) }
            section.card {
                header { h2 { (say.backup_take()) } }
                p { (say.backup_what()) }
                @if file.is_none() { p.note { (say.no_config_file_no_backup()) } }
                @else if !may(page) { p.note { (say.backup_for_operator()) } }
                @else {
                    (page.form("/backup/take", || html! {
                        div.columns {
                            (page.field(&Field::new("passphrase", say.passphrase(), Input::NewPassword).hint(say.passphrase_hint())))
                            (page.field(&Field::new("again", say.again(), Input::NewPassword)))
                            (page.field(&Field::new("keys", say.backup_keys(), Input::Choice(&keys))))
                        }
                        button.button type="submit" data-many { (say.backup_get()) }
                    }))
                    p.small.mute { (say.backup_takes_long()) }
                }
            }
            @if may(page) {
                section.card {
                    header { h2 { (say.backup_try()) } }
                    p { (say.fill(say.backup_try_why(), &[&(limits::BACKUP_BODY_MAX / (1024 * 1024)).to_string()])) }
                    form method="post" action="/backup/try" enctype="multipart/form-data" {
                        input type="hidden" name="csrf" value=(page.csrf);
                        div.columns {
                            div.field { label for="backup-file" { (say.backup_file()) }
                                input id="backup-file" name="file" type="file" required; }
                            div.field { label for="backup-pass" { (say.passphrase()) }
                                input id="backup-pass" name="passphrase" type="password" autocomplete="current-password"; }
                        }
                        button.button.second type="submit" data-many { (say.backup_try_do()) }
                    }
                }
            }
            section.card {
                header { h2 { (say.restore()) } }
                p { (say.restore_why()) }
                pre tabindex="0" { (commands(desk.shared.accounts.dir(), file)) }
                p.note { (say.restore_one()) }
            }
        },
    ))
}

/// The restore as it is typed on the console of this gateway.
fn commands(state: &Path, config: Option<&Path>) -> String {
    let state = state.display();
    let config = config.and_then(Path::parent).unwrap_or_else(|| Path::new("/etc/blockgate"));
    let config = config.display();
    format!(
        "blockgate restore FILE --dry-run --passphrase-file PASS\n\
         systemctl stop blockgate\n\
         mv {state} {state}.old\n\
         install -d -o blockgate -g blockgate -m 0750 {state}\n\
         blockgate restore FILE --state {state} --config-to {config}.restored --passphrase-file PASS\n\
         systemctl start blockgate\n"
    )
}

/// Makes a backup and sends it.
///
/// # Errors
/// [`Code::Forbidden`] for who may not; [`Code::Internal`].
pub(super) async fn take(
    desk: &Desk,
    page: &Page<'_>,
    person: &Person,
    mut read: Reader<'_>,
) -> Result<Outcome, Problem> {
    let say = page.view.say;
    if !may(page) {
        return Err(Problem::new(Code::Forbidden, "a backup is for the operator"));
    }
    let passphrase = read.raw("passphrase").trim().to_owned();
    if passphrase.chars().count() < PASSPHRASE_CHARS_MIN {
        read.fault("passphrase", say.passphrase_hint());
    }
    if read.raw("again").trim() != passphrase {
        read.fault("again", say.passwords_differ());
    }
    let keys = read.text("keys") == "yes";
    if !read.is_good() {
        return Ok(Outcome::Again(read.typed(true), None));
    }
    let again = |read: Reader<'_>, text: String| {
        Ok(Outcome::Again(read.typed(true), Some(super::Note { good: false, text })))
    };
    let Some(file) = desk.shared.upkeep.file().map(Path::to_owned) else {
        return again(read, say.no_config_file_no_backup().to_owned());
    };
    let Ok(_one) = TAKING.try_lock() else {
        return again(read, say.backup_busy().to_owned());
    };
    let (durable, made) = (desk.shared.outbox.known(), desk.shared.clock.now());
    let written = tokio::task::spawn_blocking(move || {
        let config = Config::load(&file).map_err(|faults| Fault::Config(faults.len()))?;
        write(&config, &file, &passphrase, keys, durable, made)
    });
    let (part, records, bytes) = match written.await.map_err(|_| Code::Internal)? {
        Ok(written) => written,
        Err(Fault::Config(faults)) => {
            return again(read, say.fill(say.backup_config_wrong(), &[&faults.to_string()]));
        }
        Err(Fault::Space(needs)) => {
            let needs = (needs / 1_000_000).to_string();
            return again(read, say.fill(say.backup_no_space(), &[&needs]));
        }
        Err(Fault::Backup(error)) => return again(read, say.of(&error.text()).to_owned()),
    };
    let by = Caller::Person(person.clone()).actor();
    desk.shared.tell(by, Upkeep::BackupTaken { records, keys }).await;
    let mut response = warp::reply::stream(Chunks::of(part)).into_response();
    let civil = jiff::Timestamp::from(made).to_zoned(page.view.zone.clone());
    let gateway = &desk.shared.status.gateway;
    let name = format!("blockgate-{gateway}-{}.backup", civil.strftime("%Y%m%d-%H%M"));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/octet-stream"));
    headers.insert("content-length", HeaderValue::from(bytes));
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert("content-disposition", value);
    }
    Ok(Outcome::Shown(response))
}

enum Fault {
    /// So many faults.
    Config(usize),
    /// So many bytes are needed.
    Space(u64),
    Backup(BackupError),
}

/// Writes the backup, reads it back, and gives the open file, which has no name any more.
fn write(
    config: &Config,
    file: &Path,
    passphrase: &str,
    keys: bool,
    durable: u64,
    made: blockgate_types::Time,
) -> Result<(File, u64, u64), Fault> {
    let io = |error| Fault::Backup(BackupError::File(error));
    let needs = size_of(&config.state_dir.join("journal")).saturating_add(limits::BACKUP_SPARE);
    let space = rustix::fs::statvfs(&config.state_dir).map_err(|error| io(error.into()))?;
    // The daemon's own records must not meet a disk that a backup has filled.
    if space.f_bavail.saturating_mul(space.f_frsize) < needs {
        return Err(Fault::Space(needs));
    }
    let part = config.state_dir.join(PART);
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&part);
    let opened = opened.map_err(io)?;
    // Nobody else finds it, and nothing is left behind whatever happens next.
    let named = std::fs::remove_file(&part);
    named.map_err(io)?;
    let request = BackupRequest {
        config: (config, file),
        keys,
        passphrase: Some(passphrase),
        durable: Some(durable),
        made,
    };
    let copy = opened.try_clone().map_err(io)?;
    let (mut out, written) =
        backup::write(BufWriter::new(copy), &request).map_err(Fault::Backup)?;
    out.flush().map_err(io)?;
    drop(out);
    let mut opened = opened;
    // A backup that cannot be read is none.
    opened.rewind().map_err(io)?;
    let copy = opened.try_clone().map_err(io)?;
    backup::look(BufReader::new(copy), Some(passphrase)).map_err(Fault::Backup)?;
    let bytes = opened.metadata().map_err(io)?.len();
    opened.rewind().map_err(io)?;
    Ok((opened, written.end.records, bytes))
}

fn size_of(folder: &Path) -> u64 {
    let Ok(rows) = std::fs::read_dir(folder) else { return 0 };
    rows.flatten().filter_map(|row| row.metadata().ok()).map(|meta| meta.len()).sum()
}

/// A file as the parts of a response.
struct Chunks(mpsc::Receiver<std::io::Result<Bytes>>);

impl Chunks {
    fn of(mut file: File) -> Self {
        let (parts, rest) = mpsc::channel(2);
        tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let part = match file.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(length) => {
                        Ok(Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default()))
                    }
                    Err(error) => Err(error),
                };
                // Whoever went away gets no more.
                let over = part.is_err();
                if parts.blocking_send(part).is_err() || over {
                    return;
                }
            }
        });
        Self(rest)
    }
}

impl warp::Stream for Chunks {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

/// A body that came whole, as a stream of one part.
struct One(Option<Bytes>);

impl warp::Stream for One {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

/// What the form for a try brought.
#[derive(Default)]
struct Upload {
    csrf: String,
    passphrase: String,
    file: Bytes,
}

/// Reads a `multipart/form-data` body of this form.
async fn upload(request: &Request, body: Bytes) -> Result<Upload, Problem> {
    let bad = |error: multer::Error| Problem::new(Code::BadRequest, error.to_string());
    let media = request.header("content-type").unwrap_or_default();
    let boundary = multer::parse_boundary(media).map_err(|_| Code::UnsupportedMediaType)?;
    let mut parts = multer::Multipart::new(One(Some(body)), boundary);
    let mut upload = Upload::default();
    while let Some(part) = parts.next_field().await.map_err(bad)? {
        let name = part.name().unwrap_or_default().to_owned();
        let content = part.bytes().await.map_err(bad)?;
        let text = || String::from_utf8_lossy(&content).into_owned();
        match name.as_str() {
            "csrf" => upload.csrf = text(),
            "passphrase" => upload.passphrase = text(),
            "file" => upload.file = content,
            other => {
                let detail =
                    format!("unknown parameter {other:?}; known here: csrf, file, passphrase");
                return Err(Problem::new(Code::BadRequest, detail));
            }
        }
    }
    Ok(upload)
}

/// Tries a backup: what would a restore of it do.
///
/// # Errors
/// [`Code::Forbidden`], [`Code::Locked`], [`Code::CrossSite`], [`Code::BadRequest`].
pub(in crate::http) async fn try_file(
    desk: &Desk,
    request: &Request,
    caller: &Caller,
    body: Bytes,
) -> Answered {
    let Caller::Person(person) = caller else { return Err(Code::Forbidden.into()) };
    let mut page = Page::new(desk, request, caller);
    page.at = "/backup".to_owned();
    if person.locked {
        return Err(Code::Locked.into());
    }
    if !may(&page) {
        return Err(Problem::new(Code::Forbidden, "a backup is for the operator"));
    }
    let Upload { csrf, passphrase, file } = upload(request, body).await?;
    token_fits(&person.csrf, Some(&csrf))?;
    let passphrase = Some(passphrase.trim().to_owned()).filter(|text| !text.is_empty());
    let config = desk.shared.upkeep.file().map(Path::to_owned);
    let (state, known) = (desk.shared.accounts.dir().to_owned(), desk.shared.outbox.known());
    let tried = tokio::task::spawn_blocking(move || {
        let contents = backup::look(&file[..], passphrase.as_deref())?;
        Ok::<_, BackupError>(Tried::of(contents, &state, config.as_deref(), known))
    });
    let tried = tried.await.map_err(|_| Code::Internal)?;
    let good = tried.is_ok();
    let shown = match tried {
        Ok(tried) => tried.show(desk, &page),
        Err(error) => {
            let say = page.view.say;
            html! { p.note.bad role="alert" { strong { (say.backup_bad()) } " " (say.of(&error.text())) } }
        }
    };
    let mut response = show(desk, &page, Some(shown))?;
    if !good {
        *response.status_mut() = warp::http::StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(response)
}

/// How a file of a backup stands to the one that is here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Here {
    Same,
    Other,
    Missing,
}

/// What a backup would do to this gateway.
struct Tried {
    contents: Contents,
    /// Whether it is the beginning of this gateway's own journal; none where that has no such record.
    ours: Option<bool>,
    /// Records that were written here after it.
    later: u64,
    files: Vec<Here>,
}

impl Tried {
    fn of(contents: Contents, state: &Path, config: Option<&Path>, known: u64) -> Self {
        let records = contents.end.records;
        let mut reader = Records::of(Arc::new(RealDisk), &state.join("journal")).from(records);
        let same = |hash: String| hash == contents.end.head;
        let ours = (records > 0 && records <= known)
            .then(|| reader.read().ok().flatten().map(|item| same(item.hash.to_string())))
            .flatten();
        let folder = config.and_then(Path::parent);
        let here = |place: Place, name: &PathBuf, digest: &str| {
            let folder = match place {
                Place::State => Some(state),
                Place::Config => folder,
            };
            match folder.map(|folder| std::fs::read(folder.join(name))) {
                Some(Ok(content)) if backup::digest(&content) == digest => Here::Same,
                Some(Ok(_)) => Here::Other,
                Some(Err(_)) | None => Here::Missing,
            }
        };
        let files = contents.files.iter().zip(&contents.digests);
        let files = files.map(|(entry, digest)| here(entry.place, &entry.name, digest)).collect();
        Self { later: known.saturating_sub(records), ours, files, contents }
    }

    fn show(&self, desk: &Desk, page: &Page<'_>) -> Markup {
        let (view, say) = (&page.view, page.view.say);
        let Contents { manifest, end, files, encrypted, .. } = &self.contents;
        let status = &desk.shared.status;
        let same = manifest.tenant == status.tenant && manifest.gateway == status.gateway;
        html! {
            section.card {
                header { h2 { (say.backup_tried()) } span.pill.good { (say.backup_whole()) } }
                dl.wide-list {
                    dt { (say.backup_of()) }
                    dd { (manifest.tenant) " · " (manifest.gateway) " "
                        @if same { span.pill.good { (say.this_gateway()) } } @else { span.pill.bad { (say.other_gateway()) } } }
                    dt { (say.when()) } dd { (view.time(manifest.made)) " · blockgate " (manifest.program) }
                    dt { (say.records()) } dd { span.num { (end.records) } br; span.mono.small { (end.head) } }
                    dt { (say.backup_keys()) }
                    dd { @if manifest.keys { (say.backup_with_keys()) } @else { (say.backup_without_keys()) }
                        @if !encrypted { " " span.pill.late { (say.not_encrypted()) } } }
                }
                h3 { (say.restore_would()) }
                ul {
                    li { @match self.ours {
                        Some(true) if same => (say.fill(say.restore_loses(), &[&self.later.to_string()])),
                        Some(true) | Some(false) => span.late { (say.restore_other_history()) },
                        None => (say.restore_longer()),
                    } }
                    li { (say.restore_derived()) }
                    @if !manifest.keys { li { (say.restore_no_keys()) } }
                }
                @if files.is_empty() { (empty(say.none_found_yet())) } @else {
                    table.stack {
                        thead { tr { th { (say.backup_file()) } th { (say.restore_would()) } } }
                        tbody {
                            @for (entry, here) in files.iter().zip(&self.files).take(FILES_SHOWN) {
                                tr {
                                    td.lead.mono { @if entry.place == Place::Config { (say.config_folder()) } @else { (say.state_folder()) } " / " (entry.name.display()) }
                                    td { @match here {
                                        Here::Same => span.mute { (say.file_same()) },
                                        Here::Other => span.pill.late { (say.file_other()) },
                                        Here::Missing => span.pill.late { (say.file_missing()) },
                                    } }
                                }
                            }
                        }
                    }
                }
                p.note { (say.nothing_changed()) }
            }
        }
    }
}
