//! Orders over HTTP: the same document as over MQTT, and the same door. `Idempotency-Key` makes a
//! repeated request safe: the same key with the same body gets the same answer, without a second
//! order; with another body it is refused.

use super::Shared;
use super::auth::Caller;
use crate::command::{Answer, Closed};
use crate::limits;
use crate::problem::{Code, Problem};
use blockgate_rules::event::Outcome;
use blockgate_rules::input::{Command, OpenDoor, Order};
use blockgate_types::{CommandId, DoorId, Span};
use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

type Result = std::result::Result<Value, Problem>;

/// The answers of the last day by caller and key.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<BTreeMap<(String, String), Kept>>);

#[derive(Debug)]
struct Kept {
    body: Vec<u8>,
    at: Instant,
    answer: Option<Result>,
}

impl Answers {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<(String, String), Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the place of a key, or gives the answer that it has.
    fn enter(&self, key: &(String, String), body: &[u8], now: Instant) -> Option<Result> {
        let fingerprint = digest::digest(&digest::SHA256, body).as_ref().to_vec();
        let mut kept = self.kept();
        kept.retain(|_, k| now < k.at + limits::IDEMPOTENCY_KEPT);
        if let Some(known) = kept.get(key) {
            return Some(if known.body != fingerprint {
                Err(Code::KeyReused.into())
            } else {
                known.answer.clone().unwrap_or_else(|| Err(Code::SameKeyBusy.into()))
            });
        }
        if kept.len() >= limits::IDEMPOTENCY_KEYS_MAX {
            let oldest = kept.iter().min_by_key(|(_, k)| k.at).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                kept.remove(&oldest);
            }
        }
        kept.insert(key.clone(), Kept { body: fingerprint, at: now, answer: None });
        None
    }

    /// Whether a key has come before.
    pub(super) fn knows(&self, key: &(String, String)) -> bool {
        self.kept().contains_key(key)
    }

    /// Remembers that a key has come.
    pub(super) fn note(&self, key: (String, String)) {
        let _ = self.enter(&key, &[], Instant::now());
    }

    /// What the second press of a button is told: where the first one was refused, that; else its own
    /// answer. Keeps the answer of the first.
    pub(super) fn first(&self, key: &(String, String), answer: Result) -> Result {
        match &answer {
            Err(problem) if problem.code == Code::CommandDuplicate => {
                let kept = self.kept();
                kept.get(key).and_then(|first| first.answer.clone()).unwrap_or(answer)
            }
            // How it ended, for good; what had no answer in time may still be carried out.
            Err(problem)
                if matches!(
                    problem.code,
                    Code::CommandRefused | Code::CommandFailed | Code::CommandExpired
                ) =>
            {
                self.leave(key, &answer);
                answer
            }
            Ok(_) | Err(_) => answer,
        }
    }

    fn leave(&self, key: &(String, String), answer: &Result) {
        if let Some(kept) = self.kept().get_mut(key) {
            kept.answer = Some(answer.clone());
        }
    }
}

/// Takes a command document in.
///
/// # Errors
/// A document that is not a command, a reused key, or how the command ended otherwise than done.
pub(super) async fn take(
    shared: &std::sync::Arc<Shared>,
    answers: &std::sync::Arc<Answers>,
    caller: &Caller,
    key: Option<&str>,
    body: &[u8],
) -> Result {
    let mut command: Command = serde_json::from_slice(body)
        .map_err(|fault| Problem::new(Code::BadRequest, format!("the command: {fault}")))?;
    // The audit record names who was let in; what the document says of itself stands behind it.
    let said: String = command.actor.chars().filter(|c| !c.is_control()).take(64).collect();
    command.actor =
        if said.is_empty() { caller.actor() } else { format!("{}/{said}", caller.actor()) };
    caller.may_order(&command.order)?;
    let Some(key) = key else { return order(shared, command).await };
    if key.is_empty() || key.len() > 255 {
        return Err(Problem::new(
            Code::BadRequest,
            "Idempotency-Key must have 1 to 255 characters",
        ));
    }
    let key = (caller.actor(), key.to_owned());
    if let Some(answer) = answers.enter(&key, body, Instant::now()) {
        return answer;
    }
    // On a task of its own: a client that hangs up does not leave its key busy for ever.
    let (shared, answers) = (shared.clone(), answers.clone());
    let ordered = tokio::spawn(async move {
        let answer = order(&shared, command).await;
        answers.leave(&key, &answer);
        answer
    });
    ordered.await.unwrap_or_else(|_| Err(Code::Internal.into()))
}

/// An order of a person at the page. `once` is the number of the form that it came with: the same form
/// twice is the same command, whose second coming is a duplicate, also after a restart.
///
/// # Errors
/// How the command ended otherwise than done.
pub(super) async fn from_page(
    shared: &Shared,
    caller: &Caller,
    once: Option<&str>,
    what: Order,
) -> Result {
    caller.may_order(&what)?;
    let fits = |once: &&str| once.len() == 32 && once.bytes().all(|b| b.is_ascii_hexdigit());
    let once = once.filter(fits).ok_or_else(|| {
        Problem::new(Code::BadRequest, "the form has no number: open the page again")
    })?;
    let id = CommandId::new(&format!("page-{}", once.to_ascii_lowercase()));
    let now = shared.clock.now();
    let command = Command {
        id: id.map_err(|fault| Problem::new(Code::Internal, fault.to_string()))?,
        issued_at: now,
        expires_at: now.plus(Span::from_hours(24)),
        actor: caller.actor(),
        order: what,
    };
    order(shared, command).await
}

/// What a request to open a door says.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    reason: String,
}

/// Opens a door once, for a person who says why.
///
/// # Errors
/// [`Code::BadRequest`]; how the command ended otherwise than done.
pub(super) async fn open_door(
    shared: &Shared,
    caller: &Caller,
    door: DoorId,
    body: &[u8],
) -> Result {
    let Opening { reason } = serde_json::from_slice(body)
        .map_err(|fault| Problem::new(Code::BadRequest, format!("the opening: {fault}")))?;
    let what = Order::OpenDoor(OpenDoor { door, reason });
    caller.may_order(&what)?;
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Code::Internal)?;
    let id = CommandId::new(&format!("door-{:016x}", u64::from_be_bytes(bytes)));
    let now = shared.clock.now();
    let command = Command {
        id: id.map_err(|fault| Problem::new(Code::Internal, fault.to_string()))?,
        issued_at: now,
        expires_at: now.plus(Span::from_secs(30)),
        actor: caller.actor(),
        order: what,
    };
    order(shared, command).await
}

async fn order(shared: &Shared, command: Command) -> Result {
    let id = command.id.clone();
    let patience = if command.order.moves_something() {
        limits::HTTP_ACT_TIMEOUT
    } else {
        limits::HTTP_COMMAND_TIMEOUT
    };
    let answer = tokio::time::timeout(patience, shared.door.submit(command));
    match answer.await {
        Err(_) => Err(Problem::new(Code::NoAnswer, format!("command {id}"))),
        Ok(Err(Closed)) => Err(Code::Stopping.into()),
        Ok(Ok(Answer { outcome, detail })) => {
            let code = match outcome {
                Outcome::Done => {
                    let detail =
                        serde_json::from_str::<Value>(&detail).unwrap_or_else(|_| detail.into());
                    return Ok(json!({ "id": id, "outcome": outcome, "detail": detail }));
                }
                Outcome::Failed => Code::CommandFailed,
                Outcome::Expired => Code::CommandExpired,
                Outcome::Duplicate => Code::CommandDuplicate,
                Outcome::Refused => Code::CommandRefused,
                Outcome::Unknown => Code::CommandUnknown,
            };
            Err(Problem::new(code, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_answers_once_and_only_for_its_body() {
        let answers = Answers::default();
        let key = ("token/a".to_owned(), "k".to_owned());
        let now = Instant::now();
        assert_eq!(answers.enter(&key, b"one", now), None);
        let busy = answers.enter(&key, b"one", now).unwrap().unwrap_err();
        assert_eq!(busy.code, Code::SameKeyBusy);
        answers.leave(&key, &Ok(json!({"outcome": "done"})));
        assert_eq!(answers.enter(&key, b"one", now), Some(Ok(json!({"outcome": "done"}))));
        let other = answers.enter(&key, b"two", now).unwrap().unwrap_err();
        assert_eq!(other.code, Code::KeyReused);
        let stranger = ("token/b".to_owned(), "k".to_owned());
        assert_eq!(answers.enter(&stranger, b"two", now), None, "keys are each caller's own");
        assert_eq!(answers.enter(&key, b"two", now + limits::IDEMPOTENCY_KEPT), None);
        for n in 0..2 * limits::IDEMPOTENCY_KEYS_MAX {
            answers.enter(&("x".to_owned(), n.to_string()), b"", now);
        }
        assert_eq!(answers.kept().len(), limits::IDEMPOTENCY_KEYS_MAX);
    }
}
