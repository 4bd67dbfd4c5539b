//! `journal`, `outbox`, `rebuild`: evidence and maintenance.

use super::{CONFIG, Ended, print_faults};
use crate::config::Config;
use crate::control::{self, Ask};
use crate::ports::RealDisk;
use crate::store::head;
use crate::store::journal::{JournalError, Records};
use crate::store::rebuild;
use anyhow::Context;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The state directory: named, or the config's.
#[derive(Debug, clap::Args)]
pub(super) struct Where {
    /// The config file that names the state directory
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// The state directory itself
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl Where {
    /// `None` after the config's faults were printed. These commands look at what a daemon wrote and
    /// never make a state directory: a wrong path must not look like an empty gateway.
    fn state_dir(&self, json: bool) -> anyhow::Result<Option<PathBuf>> {
        let state = match &self.state {
            Some(state) => state.clone(),
            None => match Config::load(&self.config) {
                Ok(config) => config.state_dir,
                Err(faults) => {
                    print_faults(&faults, json);
                    return Ok(None);
                }
            },
        };
        anyhow::ensure!(
            state.join("journal").is_dir(),
            "{} holds no journal; the daemon makes it at its first start",
            state.display()
        );
        Ok(Some(state))
    }
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Checks every record, the hash chain and the signed heads; exit code 1 when something is wrong
    #[command(after_help = "Examples:\n  blockgate journal verify --json\n  \
        blockgate journal verify --head heads.jsonl --key 5f0c12ab9d3e4411\n\n\
        Heads are the cloud's events of kind audit, \"what\": \"head-signed\", as they came. A journal that\n\
        was changed and chained again is whole by itself; only a head that lies elsewhere shows it.")]
    Verify {
        /// Signed heads that the cloud has kept: one event, or one a line
        #[arg(long, value_name = "FILE")]
        head: Option<PathBuf>,
        /// The public key or its id that these heads must be signed by, as the page and `state` show it
        #[arg(long, value_name = "KEY", requires = "head")]
        key: Option<String>,
        #[command(flatten)]
        place: Where,
        /// Prints one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Shows records, newest last
    #[command(after_help = "Example:\n  blockgate journal show --from 1200 --to 1210")]
    Show {
        #[command(flatten)]
        place: Where,
        /// First sequence number
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Last sequence number
        #[arg(long)]
        to: Option<u64>,
        /// Only this kind
        #[arg(long, value_parser = ["reading", "bill", "ledger", "payment", "notice", "alarm", "gap", "audit"])]
        kind: Option<String>,
    },
    /// Writes every record as one JSON document a line
    #[command(after_help = "Example:\n  blockgate journal export > journal.jsonl")]
    Export {
        #[command(flatten)]
        place: Where,
        /// First sequence number
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
}

impl Command {
    /// Whether one JSON document was asked for; `show` and `export` print one a line, always.
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Verify { json, .. } => *json,
            Self::Show { .. } | Self::Export { .. } => false,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct OutboxArgs {
    #[command(flatten)]
    place: Where,
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RebuildArgs {
    #[command(flatten)]
    place: Where,
}

pub(super) fn run(command: &Command) -> anyhow::Result<Ended> {
    match command {
        Command::Verify { head, key, place, json } => {
            check(place, head.as_deref(), key.as_deref(), *json)
        }
        Command::Show { place, from, to, kind } => {
            let to = to.unwrap_or(u64::MAX);
            records(place, *from, to, |text| {
                kind.as_ref().is_none_or(|kind| {
                    text.get("type").and_then(|t| t.as_str())
                        == Some(&format!("blockgate.{kind}.v1"))
                })
            })
        }
        Command::Export { place, from } => records(place, *from, u64::MAX, |_| true),
    }
}

fn check(
    place: &Where,
    head: Option<&Path>,
    key: Option<&str>,
    json: bool,
) -> anyhow::Result<Ended> {
    let kept = match head {
        None => Vec::new(),
        Some(file) => {
            let name = file.display();
            let text = std::fs::read_to_string(file).with_context(|| name.to_string())?;
            head::Head::read_all(&text).map_err(|why| anyhow::anyhow!("{name}: {why}"))?
        }
    };
    let Some(state) = place.state_dir(json)? else { return Ok(Ended::No) };
    let (verdict, evidence) = head::examine(&RealDisk, &state.join("journal"), kept, key)?;
    let whole = verdict.damage.is_empty();
    let holds = evidence.holds();
    if json {
        let damage: Vec<String> = verdict.damage.iter().map(ToString::to_string).collect();
        println!(
            "{}",
            serde_json::json!({
                "whole": whole, "records": verdict.records, "segments": verdict.segments,
                "first": verdict.first, "last": verdict.last, "head": verdict.head,
                "torn_tail_bytes": verdict.cut.as_ref().map(|cut| cut.bytes), "damage": damage,
                "history_holds": holds, "heads_agreeing": evidence.agreeing,
                "heads_contradicted": evidence.contradicted, "head_keys": evidence.keys,
                "kept_heads": evidence.testimonies.iter().map(|(head, testimony)| {
                    let agrees = *testimony == head::Testimony::Agrees;
                    serde_json::json!({
                        "through": head.through, "at": head.at, "key": head.key, "agrees": agrees,
                        "says": testimony.sentence(head),
                    })
                }).collect::<Vec<_>>(),
            })
        );
    } else {
        println!(
            "{} records ({} to {}) in {} segments, head {}",
            verdict.records, verdict.first, verdict.last, verdict.segments, verdict.head
        );
        if let Some(cut) = &verdict.cut {
            println!(
                "a torn tail of {} bytes, never acknowledged; the next start cuts it",
                cut.bytes
            );
        }
        for damage in &verdict.damage {
            println!("DAMAGED {damage}");
        }
        if evidence.agreeing > 0 {
            let keys = evidence.keys.join(", ");
            println!("{} signed heads in it agree, signed by {keys}", evidence.agreeing);
        }
        for contradicted in &evidence.contradicted {
            println!("REWRITTEN {contradicted}");
        }
        for (head, testimony) in &evidence.testimonies {
            println!("{}", testimony.sentence(head));
        }
        println!(
            "{}",
            match (whole, holds) {
                (true, true) => "the journal is whole",
                (true, false) =>
                    "the journal is whole by itself, but it is not the history that was signed",
                (false, _) => "the journal is damaged",
            }
        );
    }
    Ok(if whole && holds { Ended::Done } else { Ended::No })
}

fn records(
    place: &Where,
    from: u64,
    to: u64,
    wanted: impl Fn(&serde_json::Value) -> bool,
) -> anyhow::Result<Ended> {
    let Some(state) = place.state_dir(false)? else { return Ok(Ended::No) };
    let mut reader = Records::of(Arc::new(RealDisk), &state.join("journal")).from(from);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    loop {
        let item = match reader.read() {
            Ok(Some(item)) => item,
            Ok(None) => break,
            // What came before is whole, and is printed.
            Err(error @ JournalError::Damaged(_)) => {
                out.flush()?;
                eprintln!("blockgate: {error}");
                return Ok(Ended::No);
            }
            Err(error) => return Err(error.into()),
        };
        if item.seq > to {
            break;
        }
        let value = serde_json::from_slice(item.payload)
            .with_context(|| format!("record {} is not JSON", item.seq))?;
        if wanted(&value) {
            out.write_all(item.payload)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()?;
    Ok(Ended::Done)
}

pub(super) fn outbox(args: &OutboxArgs) -> anyhow::Result<Ended> {
    let Some(state) = args.place.state_dir(args.json)? else { return Ok(Ended::No) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = match runtime.block_on(control::ask(&state, &Ask::Outbox))? {
        Some(answer) => answer,
        None => {
            let (store, _, _) = crate::store::Store::open(&state)?;
            control::outbox_json(&store.outbox)
        }
    };
    if args.json {
        println!("{answer}");
        return Ok(Ended::Done);
    }
    for key in ["waiting", "bills", "acknowledged", "dead", "through", "oldest"] {
        println!("{key:<14} {}", answer.get(key).unwrap_or(&serde_json::Value::Null));
    }
    for letter in answer.get("dead_letters").and_then(|d| d.as_array()).into_iter().flatten() {
        println!("dead letter    {letter}");
    }
    Ok(Ended::Done)
}

pub(super) fn rebuild(args: &RebuildArgs) -> anyhow::Result<Ended> {
    let Some(state) = args.place.state_dir(false)? else { return Ok(Ended::No) };
    let mut told = 0;
    let found = rebuild::rebuild(&state, &mut |seq, last| {
        let percent = seq * 100 / last.max(1);
        if percent >= told + 10 {
            told = percent;
            eprintln!("record {seq} of {last}");
        }
    })?;
    for warning in &found.warnings {
        eprintln!("{warning}");
    }
    println!("rebuilt from {} records", found.last);
    Ok(Ended::Done)
}
