//! `provision` and `certificate`: a box becomes a member of a fleet, and stays one.

use super::{CONFIG, Ended, print_faults};
use crate::clock::SystemClock;
use crate::config::{Config, Text};
use crate::ports::Clock;
use crate::provision::identity::{Identity, show};
use crate::provision::{check, choose, edited, parse, serials, whole};
use anyhow::Context;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct ProvisionArgs {
    /// The provisioning file; the same for all boxes of a fleet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Which [[gateway]] of the file this box is; absent: the one with this box's serial
    #[arg(long, value_name = "ID")]
    gateway: Option<String>,
    /// The config file to put it into
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
    /// Shows what would change and changes nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum CertificateCommand {
    /// Shows the certificate in use, and a request that waits for its certificate
    #[command(after_help = "Example:\n  blockgate certificate show")]
    Show(Place),
    /// Makes the next key and prints the request that a CA signs; the pair in use stays in use
    #[command(after_help = "Example:\n  blockgate certificate request > gw-1.csr")]
    Request(Place),
    /// Installs a certificate for that request; the pair before is kept beside it
    #[command(
        after_help = "Example:\n  blockgate certificate install gw-1.pem && systemctl reload blockgate"
    )]
    Install {
        /// The certificate and those between it and the CA, PEM; - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The config file
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

pub(super) fn provision(args: &ProvisionArgs) -> anyhow::Result<Ended> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let file = Text { name: args.file.display().to_string(), text: read(&args.file)? };
    let beside = args.file.parent().unwrap_or_else(|| Path::new("."));
    let fleet = match parse(&file, beside) {
        Ok(fleet) => fleet,
        Err(faults) => return Ok(refuse(&faults)),
    };
    let member = match choose(&fleet, args.gateway.as_deref(), &serials(Path::new("/"))) {
        Ok(member) => member,
        Err(message) => return Ok(refuse(&[whole(&args.file, message)])),
    };
    let before = read(&args.config)?;
    let old = match check(&before, &args.config) {
        Ok(config) => config,
        Err(faults) => return Ok(refuse(&faults)),
    };
    let identity = Identity::of(&old.state_dir);
    let after = match edited(&before, &fleet, member, &identity) {
        Ok(text) => text,
        Err(message) => return Ok(refuse(&[whole(&args.config, message)])),
    };
    if let Err(faults) = check(&after, &args.config) {
        return Ok(refuse(&faults));
    }
    for line in difference(&before, &after) {
        println!("{line}");
    }
    if args.dry_run {
        println!("nothing was changed");
        return Ok(Ended::Done);
    }
    std::fs::create_dir_all(&old.state_dir).with_context(|| old.state_dir.display().to_string())?;
    identity.prepare()?;
    if let Some((chain, key)) = &member.pair {
        let shown = identity.install_pair(chain, key)?;
        println!("certificate of {} until {}", shown.subject, shown.until);
    }
    if let Some(ca) = &fleet.mqtt.ca {
        identity.put(&identity.ca(), ca)?;
    }
    if let Some(password) = &member.password {
        identity.put(&identity.password(), password)?;
    }
    let waits = member.pair.is_none() && !identity.cert().exists();
    if waits {
        identity.make_request(&fleet.tenant, &member.id)?;
    }
    replace(&args.config, &after)?;
    println!("{}: this box is {} of {}", args.config.display(), member.id, fleet.tenant);
    if waits {
        println!(
            "its key was made here; let the CA sign {}, then: blockgate certificate install FILE",
            identity.request().display()
        );
    }
    println!("take it over with: systemctl reload-or-restart blockgate");
    Ok(Ended::Done)
}

fn refuse(faults: &[crate::config::FileFault]) -> Ended {
    print_faults(faults, false);
    eprintln!("nothing was changed");
    Ended::No
}

/// Lines that go (`-`) and come (`+`), in the order of the file.
fn difference(before: &str, after: &str) -> Vec<String> {
    let gone = before.lines().filter(|line| !after.lines().any(|other| other == *line));
    let new = after.lines().filter(|line| !before.lines().any(|other| other == *line));
    gone.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}"))).collect()
}

/// Writes the config whole or not at all, with the old one's owner and mode.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let of = || path.display().to_string();
    let meta = std::fs::metadata(path).with_context(of)?;
    let fresh = path.with_extension("toml.new");
    std::fs::write(&fresh, text).with_context(of)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(meta.mode() & 0o777))
        .with_context(of)?;
    std::os::unix::fs::chown(&fresh, Some(meta.uid()), Some(meta.gid())).with_context(of)?;
    std::fs::File::open(&fresh).and_then(|file| file.sync_all()).with_context(of)?;
    std::fs::rename(&fresh, path).with_context(of)
}

pub(super) fn certificate(command: &CertificateCommand) -> anyhow::Result<Ended> {
    let (CertificateCommand::Show(place)
    | CertificateCommand::Request(place)
    | CertificateCommand::Install { place, .. }) = command;
    let config = match Config::load(&place.config) {
        Ok(config) => config,
        Err(faults) => {
            print_faults(&faults, false);
            return Ok(Ended::No);
        }
    };
    let identity = Identity::of(&config.state_dir);
    match command {
        CertificateCommand::Show(_) => {
            let Ok(chain) = std::fs::read_to_string(identity.cert()) else {
                println!("no certificate is installed in {}", identity.cert().display());
                return Ok(Ended::No);
            };
            let shown = show(&chain)?;
            println!(
                "subject  {}\nissuer   {}\nfrom     {}\nuntil    {}",
                shown.subject, shown.issuer, shown.from, shown.until
            );
            if identity.request().exists() {
                println!("request  {} waits for its certificate", identity.request().display());
            }
        }
        CertificateCommand::Request(_) => {
            let of = &config.identity;
            print!("{}", identity.make_request(&of.tenant.to_string(), &of.gateway.to_string())?);
        }
        CertificateCommand::Install { file, .. } => {
            let mut chain = String::new();
            if file.as_os_str() == "-" {
                std::io::stdin().read_to_string(&mut chain).context("standard input")?;
            } else {
                chain = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
            }
            match identity.install(&chain, SystemClock::new(true).now()) {
                Ok(shown) => println!("installed: {} until {}", shown.subject, shown.until),
                Err(error) => {
                    eprintln!("blockgate: {error:#}\nnothing was changed");
                    return Ok(Ended::No);
                }
            }
        }
    }
    Ok(Ended::Done)
}
