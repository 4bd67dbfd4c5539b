//! The control socket: `<state>/control.sock`, mode 0600. The command line asks the running daemon
//! through it, because the daemon holds lines and trees for itself. One JSON document a line, one
//! answer a question; whoever may open the file may ask.

use crate::command::{Answer, Closed};
use crate::limits;
use crate::outbox::Outbox;
use crate::problem::{Lang, Problem};
use crate::run::Reads;
use anyhow::Context;
use blockgate_drivers::hex::Hex;
use blockgate_drivers::meter::TestRead;
use blockgate_rules::input::{Command, Order};
use blockgate_types::{CommandId, Frozen, MeterId, ScanId, Span, Values};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The socket's name in the state directory.
pub const SOCKET: &str = "control.sock";

/// A question to the daemon.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// One reading, now.
    Read {
        /// Of which meter.
        meter: MeterId,
        /// What it froze, in place of the present values.
        #[serde(default)]
        frozen: Option<Frozen>,
    },
    /// The outbox in numbers, with its dead letters.
    Outbox,
    /// Doors and controllers.
    Doors,
    /// Something that is ordered; the answer comes with its outcome.
    Order {
        /// What.
        order: Box<Order>,
    },
    /// The last record that is durable.
    Durable,
    /// Begins a scan.
    Scan {
        /// Of what.
        wanted: crate::scans::Wanted,
    },
    /// How a scan stands.
    ScanState {
        /// Which.
        id: ScanId,
    },
    /// Cancels a scan.
    ScanCancel {
        /// Which.
        id: ScanId,
    },
    /// A rule file against the bills of a month that is over.
    Preview {
        /// What is asked.
        question: Box<crate::preview::Question>,
    },
}

/// Makes the socket. One that a dead daemon left is replaced: the store's lock says that we are the
/// only one.
///
/// # Errors
/// When it cannot be made.
pub fn listen(state_dir: &Path) -> anyhow::Result<UnixListener> {
    let path = state_dir.join(SOCKET);
    match std::fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    }
    let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until told to stop, several callers at once: a valve takes half a minute.
pub async fn run(
    listener: UnixListener,
    shared: Arc<crate::http::Shared>,
    reads: Reads,
    stop: CancellationToken,
) {
    let mut callers = JoinSet::new();
    loop {
        let caller = tokio::select! { biased;
            () = stop.cancelled() => return,
            Some(_) = callers.join_next() => continue,
            caller = listener.accept(), if callers.len() < limits::CONTROL_CALLERS_MAX => caller,
        };
        let Ok((stream, _)) = caller else {
            tokio::time::sleep(limits::ACCEPT_PAUSE).await;
            continue;
        };
        let (shared, reads) = (shared.clone(), reads.clone());
        callers.spawn(async move {
            // A caller that goes away, or says nothing, must not hold a place for ever.
            let answered = answer(stream, &shared, &reads);
            let _ = tokio::time::timeout(limits::CONTROL_MAX, answered).await;
        });
    }
}

async fn answer(
    stream: UnixStream,
    shared: &Arc<crate::http::Shared>,
    reads: &Reads,
) -> std::io::Result<()> {
    // Who asks, as the kernel knows it.
    let uid = stream.peer_cred().map(|who| who.uid())?;
    let (from, mut to) = stream.into_split();
    let mut line = String::new();
    BufReader::new(from.take(limits::CONTROL_BYTES_MAX)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(Ask::Read { meter, frozen }) => match reads.read(&meter, frozen).await {
            Some(read) => test_read_json(&meter, &read),
            None => json!({ "error": format!("there is no meter {meter}") }),
        },
        Ok(Ask::Outbox) => outbox_json(&shared.outbox),
        Ok(Ask::Doors) => crate::http::doors_json(shared),
        Ok(Ask::Order { order }) => ordered(shared, *order, uid).await,
        // What the outbox has was durable before.
        Ok(Ask::Durable) => json!({ "durable": shared.outbox.known() }),
        Ok(Ask::Scan { wanted }) => shared
            .scans
            .begin(&wanted)
            .unwrap_or_else(|problem| json!({ "error": sentence(&problem) })),
        Ok(Ask::ScanState { id }) => known(shared.scans.one(&id)),
        Ok(Ask::ScanCancel { id }) => known(shared.scans.cancel(&id)),
        Ok(Ask::Preview { question }) => previewed(shared.clone(), *question).await,
        Err(error) => json!({ "error": error.to_string() }),
    };
    let mut text = answer.to_string();
    text.push('\n');
    to.write_all(text.as_bytes()).await
}

/// Hands an order in for whoever may open the socket.
async fn ordered(shared: &crate::http::Shared, order: Order, uid: u32) -> Value {
    let mut bytes = [0; 8];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        return json!({ "error": "no random number for the command's id" });
    }
    let Ok(id) = CommandId::new(&format!("shell-{:016x}", u64::from_be_bytes(bytes))) else {
        return json!({ "error": "no id for the command" });
    };
    let issued_at = shared.clock.now();
    let expires_at = issued_at.plus(Span::from_mins(1));
    let actor = format!("shell/{uid}");
    let command = Command { id: id.clone(), issued_at, expires_at, actor, order };
    match shared.door.submit(command).await {
        Ok(Answer { outcome, detail }) => {
            let detail = serde_json::from_str::<Value>(&detail).unwrap_or_else(|_| detail.into());
            json!({ "id": id, "outcome": outcome, "detail": detail })
        }
        Err(Closed) => json!({ "error": "the gateway stops" }),
    }
}

fn sentence(problem: &Problem) -> String {
    if problem.detail.is_empty() {
        problem.code.sentence(Lang::En).to_owned()
    } else {
        problem.detail.clone()
    }
}

fn known(scan: Option<Value>) -> Value {
    scan.unwrap_or_else(|| json!({ "error": "the daemon does not know this scan any more" }))
}

/// A rule file against past bills, off the runtime's threads.
async fn previewed(shared: Arc<crate::http::Shared>, question: crate::preview::Question) -> Value {
    let made = tokio::task::spawn_blocking(move || {
        let (books, now) = (shared.board.books().clone(), shared.clock.now());
        match shared.trees.trees() {
            Some(trees) => crate::preview::run(trees, &books, &question, now),
            None => Err(vec!["there are no bills to look at".to_owned()]),
        }
    });
    crate::cli::preview_answer(made.await.unwrap_or_else(|error| Err(vec![error.to_string()])))
}

/// Asks the daemon of a state directory; `None` when none is running.
///
/// # Errors
/// When it runs and does not answer.
pub async fn ask(state_dir: &Path, question: &Ask) -> anyhow::Result<Option<Value>> {
    let Ok(mut stream) = UnixStream::connect(state_dir.join(SOCKET)).await else {
        return Ok(None);
    };
    let mut text = serde_json::to_string(question)?;
    text.push('\n');
    stream.write_all(text.as_bytes()).await?;
    let mut line = String::new();
    let mut answer = BufReader::new(stream);
    tokio::time::timeout(limits::CONTROL_MAX, answer.read_line(&mut line))
        .await
        .context("the daemon does not answer")??;
    Ok(Some(serde_json::from_str(&line).context("the daemon's answer")?))
}

/// What a read of one meter brought, frames included.
#[must_use]
pub fn test_read_json(meter: &MeterId, read: &TestRead) -> Value {
    let exchanges: Vec<Value> = read
        .exchanges
        .iter()
        .map(|exchange| {
            json!({
                "request": Hex(&exchange.request).to_string(),
                "reply": Hex(&exchange.reply).to_string(),
                "round_trip_us": u64::try_from(exchange.round_trip.as_micros()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    match &read.outcome {
        Ok(values) => {
            let rows = values_json(values, read.frozen_at.as_deref());
            json!({ "meter": meter, "values": rows, "exchanges": exchanges })
        }
        Err(fault) => json!({
            "meter": meter, "error": fault.what, "class": fault.class.text(), "exchanges": exchanges,
        }),
    }
}

/// Registers with value and unit; null where the device says "no value". `at` is when they were frozen, by
/// the meter's clock.
#[must_use]
pub fn values_json(values: &Values, at: Option<&str>) -> Value {
    let rows = values.iter().map(|(spec, value)| {
        let mut row = json!({
            "name": spec.name, "value": value.map(|v| v.to_string()), "unit": spec.unit.text(),
        });
        if let (Some(row), Some(at)) = (row.as_object_mut(), at) {
            row.insert("at".to_owned(), Value::from(at));
        }
        row
    });
    Value::Array(rows.collect())
}

/// The outbox in numbers, with its first dead letters.
#[must_use]
pub fn outbox_json(outbox: &Outbox) -> Value {
    let stats = outbox.stats();
    let dead = outbox.dead(None, 20).unwrap_or_default();
    let dead: Vec<Value> =
        dead.iter().map(|letter| json!({ "seq": letter.seq, "reason": letter.reason })).collect();
    json!({
        "waiting": stats.waiting, "bills": stats.bills, "acknowledged": stats.acknowledged,
        "dead": stats.dead, "through": stats.through, "oldest": stats.oldest, "dead_letters": dead,
    })
}
