//! The command line. Exit codes: 0 done, 1 the answer is no (invalid, refused, corrupt), 2 wrong
//! usage, 3 could not run. With `--json` exactly one JSON document goes to standard output; logs and
//! progress go to standard error.
#![allow(clippy::print_stdout, reason = "standard output is what a command line is for")]

mod backup;
mod board;
mod check;
#[cfg(feature = "schema")]
mod contract;
mod decode;
mod demo;
mod doors;
mod generate;
mod journal;
mod logins;
mod order;
mod preview;
mod profile;
mod provision;
mod rate;
mod read;
mod run;
mod scan;
mod self_test;

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
        /// The config file; rules.d/ and profiles.d/ are looked for beside it, meters.d/ in the state folder
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
    },
    /// Runs a whole simulated block on this machine: meters, broker, gateway, page
    #[command(after_help = "Examples:\n  blockgate demo\n  \
        blockgate demo --for 62d --headless      two billing periods, a JSON summary as the last line\n  \
        blockgate demo --speed 60 --listen 127.0.0.1:8080")]
    Demo(demo::Args),
    /// Checks config, profiles and rules; prints every error as file:line:column
    #[command(
        after_help = "Examples:\n  blockgate check --config /etc/blockgate/blockgate.toml\n  \
        blockgate check --store      before an upgrade: can this version read what is stored?"
    )]
    Check {
        /// The config file
        #[arg(long, value_name = "FILE", default_value = CONFIG)]
        config: PathBuf,
        /// Also reads the store as a start of this version would, and changes nothing; the daemon may run
        #[arg(long)]
        store: bool,
    },
    /// Tries on this machine what differs between machines: decimals, frames, TLS, disk
    #[command(after_help = "Examples:\n  blockgate self-test\n  \
        blockgate self-test --folder /var/lib --json\n\n\
        Needs no config, touches no state and opens no connection. Says what a commit takes on that disk.")]
    SelfTest(self_test::Args),
    /// Reads one meter now, through the running daemon when there is one
    #[command(
        after_help = "Examples:\n  blockgate read m-0101\n  blockgate read m-0101 --raw --json
  blockgate read m-0101 --frozen day-1"
    )]
    Read(read::Args),
    /// Tells a meter something through the running daemon: relay, valve, clock
    #[command(
        subcommand,
        after_help = "Examples:\n  blockgate order relay m-0101 trip --reason 'arrears, notice 7'\n  \
        blockgate order set-clock m-0101\n\n\
        Done means that the meter's own state was read back and is what was ordered."
    )]
    Order(order::Command),
    /// Decodes a captured frame
    #[command(after_help = "Examples:\n  \
        blockgate decode modbus '01 04 04 46 40 E6 B6 24 CE'\n  \
        blockgate decode modbus 0104044640E6B624CE --profile eastron-sdm630 --address 72\n  \
        blockgate decode dlt645 '68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16'\n  \
        blockgate decode cjt188 'FE FE FE FE 68 10 44 33 22 11 00 33 78 01 03 1F 90 00 80 16'\n  \
        blockgate decode mbus '10 5B 01 5C 16' --json\n\n\
        A frame that does not hold is explained too: which byte, which checksum; exit code 1.")]
    Decode(decode::Args),
    /// Finds the meters of a line whose settings nobody knows; only reads
    #[command(after_help = "Examples:\n  blockgate scan --port /dev/ttyUSB0\n  \
        blockgate scan --tcp 10.0.0.7:4001 --protocol dlt645 --protocol mbus --json\n  \
        blockgate scan --port /dev/ttyUSB0 --baud 9600 --protocol modbus --units 1-32\n  \
        blockgate scan --line line-1\n\n\
        Progress goes to standard error, the config for what was found to standard output. Ctrl-C\n\
        cancels; what was found until then is printed. A running daemon scans itself: a wire has one\n\
        master, and the line's polls wait meanwhile.")]
    Scan(scan::Args),
    /// Checks or lists device profiles
    #[command(
        subcommand,
        after_help = "Examples:\n  blockgate profile list\n  blockgate profile check my-meter.toml"
    )]
    Profile(profile::Command),
    /// Prices usage by a rule file, line by line, without touching any state
    #[command(
        after_help = "Example:\n  blockgate rate electricity.toml --input usage.toml --json\n\n\
        usage.toml:\n  tariff = \"electricity-tiered\"\n  usage = \"312.5\"\n  cumulative_before = \"0\""
    )]
    Rate(rate::Args),
    #[cfg(feature = "schema")]
    /// Writes the contract with the cloud: AsyncAPI, JSON Schemas, golden examples
    #[command(after_help = "Example:\n  blockgate contract --out contract/\n\n\
        What a cloud engineer needs beside docs/cloud.md, as this very program speaks it.")]
    Contract(contract::Args),
    /// Prints the board of a parking tariff, made from the rule that charges
    #[command(after_help = "Example:\n  blockgate board parking.toml --on 2026-05-01")]
    Board(board::Args),
    /// Tries a rule file on a month that is over: who would pay more or less
    #[command(after_help = "Examples:\n  blockgate preview electricity-2027.toml\n  \
        blockgate preview electricity-2027.toml --month 2026-11 --json\n\n\
        Changes nothing. The command \"apply-rules\" puts the file in force from its own dates.")]
    Preview(preview::Args),
    /// Doors and controllers: how they are held, what is pending
    #[command(after_help = "Examples:\n  blockgate doors\n  blockgate doors --json")]
    Doors(doors::Args),
    /// Looks into the journal
    #[command(
        subcommand,
        after_help = "Examples:\n  blockgate journal verify\n  blockgate journal show --kind bill"
    )]
    Journal(journal::Command),
    /// Shows what waits for the cloud
    #[command(after_help = "Example:\n  blockgate outbox --json")]
    Outbox(journal::OutboxArgs),
    /// Builds the derived store anew from the journal; the daemon must not run
    #[command(
        after_help = "Example:\n  systemctl stop blockgate && blockgate rebuild && systemctl start blockgate"
    )]
    Rebuild(journal::RebuildArgs),
    /// Writes a backup of the gateway into one file; the daemon may run
    #[command(
        after_help = "Examples:\n  blockgate backup gw-1.bgbackup --keys --passphrase-file passphrase\n  \
        blockgate backup gw-1.bgbackup --config /etc/blockgate/blockgate.toml\n\n\
        The file is read back before it gets its name. Without --keys no key, password or token is in it."
    )]
    Backup(backup::BackupArgs),
    /// Checks a backup, or builds a gateway's state from it in an empty folder
    #[command(
        after_help = "Examples:\n  blockgate restore gw-1.bgbackup --dry-run --passphrase-file passphrase\n  \
        blockgate restore gw-1.bgbackup --state /var/lib/blockgate --config-to /etc/blockgate\n\n\
        Never writes over anything. Trees and checkpoints are built by the first start."
    )]
    Restore(backup::RestoreArgs),
    /// Makes this box a member of a fleet: identity, broker, certificates, from one file
    #[command(after_help = "Examples:\n  blockgate provision fleet.toml --dry-run\n  \
        blockgate provision fleet.toml && systemctl reload-or-restart blockgate\n\n\
        The file's form stands in the manual and in docs/provisioning.md.")]
    Provision(provision::ProvisionArgs),
    /// Shows, requests and installs the certificate towards the cloud
    #[command(subcommand, after_help = "Example:\n  blockgate certificate request > gw-1.csr")]
    Certificate(provision::CertificateCommand),
    /// Forgets every login of the page and prints a new set-up code
    #[command(
        after_help = "Example:\n  blockgate reset-logins --yes && systemctl restart blockgate\n\n\
        For a password that nobody knows any more. Who did it and when goes into the audit trail;\n\
        tokens of devices stay."
    )]
    ResetLogins(logins::Args),
    /// Writes the manual pages and the shells' completions, for packages
    #[command(hide = true, after_help = "Example:\n  blockgate generate target/manual")]
    Generate(generate::Args),
}

impl Command {
    /// Whether one JSON document was asked for.
    fn json(&self) -> bool {
        match self {
            Self::Run { .. }
            | Self::Demo(_)
            | Self::Check { .. }
            | Self::Rebuild(_)
            | Self::Provision(_)
            | Self::Certificate(_)
            | Self::ResetLogins(_)
            | Self::Generate(_) => false,
            Self::SelfTest(args) => args.json,
            Self::Read(args) => args.json,
            Self::Order(command) => command.json(),
            Self::Decode(args) => args.json,
            Self::Rate(args) => args.json,
            Self::Preview(args) => args.json,
            #[cfg(feature = "schema")]
            Self::Contract(args) => args.json,
            Self::Board(args) => args.json,
            Self::Journal(command) => command.json(),
            Self::Scan(args) => args.json,
            Self::Profile(command) => command.json(),
            Self::Outbox(args) => args.json,
            Self::Backup(args) => args.json,
            Self::Restore(args) => args.json,
            Self::Doors(args) => args.json,
        }
    }
}

pub(crate) use preview::answer as preview_answer;

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
    let json = cli.command.json();
    let ended = match cli.command {
        Command::Run { config } => run::run(&config),
        Command::Demo(args) => demo::run(&args),
        Command::Check { config, store } => Ok(check::run(&config, store)),
        Command::Provision(args) => provision::provision(&args),
        Command::Certificate(command) => provision::certificate(&command),
        Command::Generate(args) => generate::run(&args),
        Command::ResetLogins(args) => logins::run(&args),
        Command::SelfTest(args) => self_test::run(&args),
        Command::Read(args) => read::run(&args),
        Command::Order(command) => order::run(&command),
        Command::Decode(args) => decode::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Profile(command) => Ok(profile::run(&command)),
        Command::Rate(args) => rate::run(&args),
        Command::Preview(args) => preview::run(&args),
        #[cfg(feature = "schema")]
        Command::Contract(args) => contract::run(&args),
        Command::Board(args) => board::run(&args),
        Command::Journal(command) => journal::run(&command),
        Command::Outbox(args) => journal::outbox(&args),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Doors(args) => doors::run(&args),
        Command::Rebuild(args) => journal::rebuild(&args),
    };
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::No) => ExitCode::from(1),
        // Whoever read our output has seen enough: `blockgate journal export | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if json {
                println!("{}", serde_json::json!({ "error": format!("{error:#}") }));
            }
            eprintln!("blockgate: {error:#}");
            ExitCode::from(3)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Prints every fault of a file that a command needs, each as `file:line:column: message`; as one
/// JSON document on standard output too where that was asked for.
fn print_faults<F: std::fmt::Display>(faults: &[F], json: bool) {
    if json {
        let errors: Vec<String> = faults.iter().map(ToString::to_string).collect();
        println!("{}", serde_json::json!({ "errors": errors }));
    }
    for fault in faults {
        eprintln!("{fault}");
    }
    let s = if faults.len() == 1 { "" } else { "s" };
    eprintln!("{} error{s}; nothing was done", faults.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The commands of a help text's examples, without the words beside them.
    fn examples(help: &str) -> Vec<&str> {
        let commands = help.lines().flat_map(|line| line.split("&&")).map(str::trim);
        let ours = commands.filter(|command| command.starts_with("blockgate "));
        ours.map(|line| line.split("  ").next().unwrap_or(line)).collect()
    }

    fn look(command: &clap::Command, found: &mut Vec<String>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            let all = examples(&help);
            assert!(!all.is_empty(), "{} has no example", sub.get_name());
            found.extend(all.into_iter().map(str::to_owned));
            look(sub, found);
        }
    }

    #[test]
    fn every_command_has_examples_that_it_takes() {
        let mut found = Vec::new();
        look(&Cli::command(), &mut found);
        assert!(found.len() >= 12, "{found:?}");
        for example in found {
            // What the shell does with it is the shell's: `> file`, quotes.
            let ours = example.split('>').next().unwrap_or_default();
            let mut words = Vec::new();
            for (n, part) in ours.split('\'').enumerate() {
                if n % 2 == 1 {
                    words.push(part);
                } else {
                    words.extend(part.split_whitespace());
                }
            }
            let parsed = Cli::try_parse_from(&words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.err().unwrap());
        }
    }
}
