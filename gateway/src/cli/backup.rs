//! `backup` and `restore`.

use super::{CONFIG, Ended, print_faults};
use crate::backup::{self, BackupError, Contents, Request};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::control::{self, Ask};
use crate::ports::Clock;
use anyhow::Context;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct BackupArgs {
    /// The file to write; it must not be there yet
    file: PathBuf,
    /// The config file
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Takes keys, passwords and tokens in too; needs a passphrase
    #[arg(long)]
    keys: bool,
    /// Encrypts with the passphrase in the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// Only checks it, from its first to its last byte, and says what is in it
    #[arg(long)]
    dry_run: bool,
    /// The state folder to build; it must be empty or not there
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    state: Option<PathBuf>,
    /// Also writes the config files into this folder, which must be empty or not there
    #[arg(long, value_name = "DIR")]
    config_to: Option<PathBuf>,
    /// The passphrase is in the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

/// The first line of a file.
fn passphrase(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    anyhow::ensure!(!line.is_empty(), "{}: its first line is empty", file.display());
    Ok(Some(line))
}

/// The answer is no: said in both languages.
fn no(error: &BackupError, json: bool) -> Ended {
    let text = error.text();
    if json {
        println!("{}", serde_json::json!({ "error": text.en, "error_zh": text.zh }));
    }
    eprintln!("blockgate: {}\n{}", text.en, text.zh);
    Ended::No
}

pub(super) fn backup(args: &BackupArgs) -> anyhow::Result<Ended> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => {
            print_faults(&faults, args.json);
            return Ok(Ended::No);
        }
    };
    anyhow::ensure!(
        config.state_dir.join("journal").is_dir(),
        "{} holds no journal; the daemon makes it at its first start",
        config.state_dir.display()
    );
    let passphrase = passphrase(args.passphrase_file.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(control::ask(&config.state_dir, &Ask::Durable))?;
    let durable = match &answer {
        Some(answer) => {
            Some(answer["durable"].as_u64().context("the daemon is of another version")?)
        }
        None => None,
    };
    let name = args.file.display().to_string();
    // Written under another name and readable by nobody else: half a backup never has a backup's name.
    let mut part = args.file.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    anyhow::ensure!(
        !args.file.exists(),
        "{name} is there already: a backup never replaces another"
    );
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&part);
    let file = file.with_context(|| part.display().to_string())?;
    let request = Request {
        config: (&config, &args.config),
        keys: args.keys,
        passphrase: passphrase.as_deref(),
        durable,
        made: SystemClock::new(true).now(),
    };
    let written = match backup::write(BufWriter::new(file), &request) {
        Ok((mut out, written)) => {
            out.flush()?;
            out.get_ref().sync_all()?;
            written
        }
        Err(error) => {
            let _ = std::fs::remove_file(&part);
            return Ok(no(&error, args.json));
        }
    };
    // A backup that cannot be read is none: read it from the disk before it gets its name.
    let read = File::open(&part).with_context(|| part.display().to_string())?;
    if let Err(error) = backup::look(BufReader::new(read), passphrase.as_deref()) {
        return Ok(no(&error, args.json));
    }
    std::fs::rename(&part, &args.file).with_context(|| name.clone())?;
    let left: Vec<String> = written.left_out.iter().map(|p| p.display().to_string()).collect();
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "file": name, "records": written.end.records, "head": written.end.head,
                "files": written.files, "encrypted": passphrase.is_some(), "keys": args.keys,
                "left_out": left, "while_running": answer.is_some(),
            })
        );
        return Ok(Ended::Done);
    }
    println!("{} records, head {}", written.end.records, written.end.head);
    println!("{} files; read back from the disk and whole: {name}", written.files);
    for path in &left {
        println!("not in it: {path}");
    }
    if passphrase.is_none() {
        println!(
            "not encrypted: it holds what households used and owe; keep it as safe as the box"
        );
        println!("未加密：其中有住户的用量和账目，请像保管网关一样保管它");
    }
    Ok(Ended::Done)
}

pub(super) fn restore(args: &RestoreArgs) -> anyhow::Result<Ended> {
    let passphrase = passphrase(args.passphrase_file.as_deref())?;
    let name = args.file.display().to_string();
    let open = || File::open(&args.file).map(BufReader::new).with_context(|| name.clone());
    // All of it is read before anything is written.
    let contents = match backup::look(open()?, passphrase.as_deref()) {
        Ok(contents) => contents,
        Err(error) => return Ok(no(&error, args.json)),
    };
    let done = match (&args.state, args.dry_run) {
        (Some(state), false) => {
            let config = args.config_to.as_deref();
            if let Err(error) = backup::restore(open()?, passphrase.as_deref(), state, config) {
                return Ok(no(&error, args.json));
            }
            true
        }
        (_, _) => false,
    };
    print(&contents, done, args);
    Ok(Ended::Done)
}

fn print(contents: &Contents, done: bool, args: &RestoreArgs) {
    let Contents { manifest, end, files, encrypted, .. } = contents;
    let names: Vec<String> = files.iter().map(|f| f.name.display().to_string()).collect();
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "restored": done, "tenant": manifest.tenant, "gateway": manifest.gateway,
                "made": manifest.made, "program": manifest.program, "records": end.records,
                "head": end.head, "encrypted": encrypted, "keys": manifest.keys, "files": names,
            })
        );
        return;
    }
    println!("backup of {}/{} of {}", manifest.tenant, manifest.gateway, manifest.made);
    println!("{} records, head {}; the backup is whole", end.records, end.head);
    for name in names {
        println!("  {name}");
    }
    if done {
        println!(
            "restored. Compare the head with the cloud's newest signed head, and start the daemon;"
        );
        println!(
            "what came after the backup is known to the cloud alone; new events say another epoch."
        );
        println!("the old box must never run again: two gateways with one name confuse the cloud.");
        println!(
            "已恢复。备份之后的事件只有云端知道，新事件带有新的 epoch。请与云端最新的签名核对后再启动；旧网关绝不能再运行：同名的两台网关会让云端混乱。"
        );
    } else {
        println!("nothing was written (--dry-run)");
        println!("没有写入任何内容（--dry-run）");
    }
}
