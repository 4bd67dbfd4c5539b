//! The command line. Exit codes: 0 done, 1 the answer is no (invalid, refused, corrupt), 2 wrong
//! usage, 3 could not run. With `--json` exactly one JSON document goes to standard output; logs and
//! progress go to standard error.
#![allow(clippy::print_stdout, reason = "standard output is what a command line is for")]

mod check;
mod decode;
mod demo;
mod journal;
mod rate;
mod read;
mod run;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Where the config file lies when none is named.
const CONFIG: &str = "/etc/blockgate/blockgate.toml";

#[derive(Debug, Parser)]
#[command(
    name = "blockgate",
    version,
    about = "The gateway of a residential block: polls meters, computes bills, brings them to the cloud exactly once",
    after_help = "Try it without any hardware:  blockgate demo\n\
                  Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 could not run.",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon
    #[command(after_help = "Example:\n  blockgate run --config /etc/blockgate/blockgate.toml\n\n\
        SIGHUP reloads the config (a wrong one is refused and the old one kept); SIGTERM stops in order.")]
    Run {
        /// The config file; rules.d/ and profiles.d/ are looked for beside it
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
    /// Runs a whole simulated block on this machine: meters, broker, gateway, page
    #[command(after_help = "Examples:\n  blockgate demo\n  \
        blockgate demo --for 62d --headless      two billing periods, a JSON summary as the last line\n  \
        blockgate demo --speed 60 --listen 127.0.0.1:8080")]
    Demo(demo::Args),
    /// Checks config, profiles and rules; prints every error as file:line:column
    #[command(after_help = "Example:\n  blockgate check --config /etc/blockgate/blockgate.toml")]
    Check {
        /// The config file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
    /// Reads one meter now, through the running daemon when there is one
    #[command(
        after_help = "Examples:\n  blockgate read m-0101\n  blockgate read m-0101 --raw --json"
    )]
    Read(read::Args),
    /// Decodes a captured frame
    #[command(after_help = "Examples:\n  \
        blockgate decode modbus '01 04 04 46 40 E6 B6 24 CE'\n  \
        blockgate decode modbus 0104044640E6B624CE --profile eastron-sdm630 --address 72")]
    Decode(decode::Args),
    /// Prices usage by a rule file, line by line, without touching any state
    #[command(
        after_help = "Example:\n  blockgate rate electricity.toml --input usage.toml --json\n\n\
        usage.toml:\n  usage = \"312.5\"\n  cumulative_before = \"0\""
    )]
    Rate(rate::Args),
    /// Looks into the journal
    #[command(subcommand)]
    Journal(journal::Command),
    /// Shows what waits for the cloud
    #[command(after_help = "Example:\n  blockgate outbox --json")]
    Outbox(journal::OutboxArgs),
    /// Builds the derived store anew from the journal; the daemon must not run
    #[command(
        after_help = "Example:\n  systemctl stop blockgate && blockgate rebuild && systemctl start blockgate"
    )]
    Rebuild(journal::RebuildArgs),
}

/// How a command ended; the exit code follows.
pub(crate) enum Ended {
    /// Done: 0.
    Done,
    /// The answer is no: 1.
    No,
}

/// Parses the arguments and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse(); // clap ends with 2 on wrong usage
    let ended = match cli.command {
        Command::Run { config } => run::run(&config),
        Command::Demo(args) => demo::run(&args),
        Command::Check { config } => Ok(check::run(&config)),
        Command::Read(args) => read::run(&args),
        Command::Decode(args) => decode::run(&args),
        Command::Rate(args) => rate::run(&args),
        Command::Journal(command) => journal::run(&command),
        Command::Outbox(args) => journal::outbox(&args),
        Command::Rebuild(args) => journal::rebuild(&args),
    };
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::No) => ExitCode::from(1),
        Err(error) => {
            eprintln!("blockgate: {error:#}");
            ExitCode::from(3)
        }
    }
}

/// Prints every fault of a config; for the commands that need one.
fn print_faults(faults: &[crate::config::FileFault]) {
    for fault in faults {
        eprintln!("{fault}");
    }
    let s = if faults.len() == 1 { "" } else { "s" };
    eprintln!("{} error{s}; nothing was started", faults.len());
}
