//! Power cuts for real: the state folder is an ext4 file system of its own, and in the middle of a busy
//! run it is shut down without a flush of its log, as when the power goes: what was not synced is gone.
//! It is mounted again, the daemon starts on what is left, with its sled folder kept, damaged or
//! deleted, and everything that the cloud had been told must be in the journal, byte for byte.
//!
//! A killed process alone loses nothing that it has written: the kernel keeps it.
//!
//! Needs root, a loop device, `mkfs.ext4` and Debian's xfsprogs; without them it counts as ignored. The same on f2fs, which
//! boxes with bare flash have, where kernel and `mkfs.f2fs` (f2fs-tools) have it.
//! `BLOCKGATE_CUTS` says how many cuts (12), `BLOCKGATE_SEED` where they fall.
//!
//! A second test cuts at the n-th call by which the daemon changes the disk, n from 1 until a run ends uncut, each
//! n on a copy of the same disk; `BLOCKGATE_EVERY=1` takes every n (13: every 13th).

use blockgate_e2e::broker::Broker;
use blockgate_e2e::gateway::{Gateway, private, succeeds};
use blockgate_e2e::shim::{How, Shim};
use blockgate_e2e::slave::{Framing, Slave, profile};
use blockgate_e2e::wait_until;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DISK_BYTES: u64 = 400 << 20;

fn main() {
    let missing = missing(Kind::Ext4);
    if let Some(missing) = &missing {
        eprintln!("ignored: power cuts need {missing}");
    }
    let missing_f2fs = missing.or_else(|| self::missing(Kind::F2fs));
    if let Some(missing) = &missing_f2fs {
        eprintln!("ignored: power cuts on f2fs need {missing}");
    }
    let trial = Trial::test("no_event_that_left_is_lost_in_a_power_cut", || {
        no_event_that_left_is_lost_in_a_power_cut();
        Ok::<(), Failed>(())
    });
    let f2fs = Trial::test("no_event_that_left_is_lost_in_a_power_cut_of_f2fs", || {
        no_event_that_left_is_lost_in_a_power_cut_of_f2fs();
        Ok::<(), Failed>(())
    });
    let compiles = tempfile::tempdir().is_ok_and(|folder| Shim::compile(folder.path()).is_some());
    let each = Trial::test("the_power_goes_at_the_nth_call_until_a_run_ends_uncut", || {
        the_power_goes_at_the_nth_call_until_a_run_ends_uncut();
        Ok::<(), Failed>(())
    });
    if !compiles {
        eprintln!("ignored: a cut at the n-th call needs cc");
    }
    let trials = vec![
        trial.with_ignored_flag(missing.is_some()),
        f2fs.with_ignored_flag(missing_f2fs.is_some()),
        each.with_ignored_flag(missing.is_some() || !compiles),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The file system that is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ext4,
    F2fs,
}

impl Kind {
    /// The program that makes it, and how it is told to ask nothing.
    fn maker(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Ext4 => ("mkfs.ext4", &["-q", "-F"]),
            Self::F2fs => ("mkfs.f2fs", &["-q", "-f"]),
        }
    }

    /// Whether the kernel has it.
    fn is_known(self) -> bool {
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        let name = if self == Self::Ext4 { "ext4" } else { "f2fs" };
        known.lines().any(|line| line.split_whitespace().last() == Some(name))
    }
}

/// What of the machine is not there.
fn missing(kind: Kind) -> Option<&'static str> {
    let works = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !root {
        Some("root")
    } else if !works("losetup", &["-f"]) {
        Some("a loop device")
    } else if !works("xfs_io", &["-V"]) {
        Some("xfs_io of the package xfsprogs")
    } else if !works(kind.maker().0, &["-V"]) {
        Some(kind.maker().0)
    } else if !kind.is_known() {
        Some("a kernel that knows the file system")
    } else {
        None
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A file system in a file, mounted; unmounted when it is dropped.
struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    fn new(kind: Kind, image: PathBuf, at: PathBuf) -> Self {
        let file = std::fs::File::create(&image).expect("an image");
        file.set_len(DISK_BYTES).expect("its length");
        let (maker, arguments) = kind.maker();
        succeeds(Command::new(maker).args(arguments).arg(&image));
        let disk = Self { image, at };
        disk.mount();
        disk
    }

    fn mount(&self) {
        succeeds(Command::new("mount").args(["-o", "loop"]).args([&self.image, &self.at]));
    }

    fn unmount(&self) {
        wait_until("the disk can be unmounted", Duration::from_secs(20), || {
            let output = Command::new("umount").arg(&self.at).output();
            output.is_ok_and(|output| output.status.success()).then_some(())
        });
    }

    /// The power goes: nothing more reaches the disk, not even what the file system's log holds back.
    fn cut(&self) {
        succeeds(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(&self.at));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Fails where it is not mounted just now.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
    }
}

/// xorshift64*: where the cuts fall.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

fn config(lines: &[Slave], broker: u16) -> String {
    let mut text = format!(
        "[mqtt]\nhost = \"localhost\"\nport = {broker}\nca = \"tls/ca.crt\"\ncert = \"tls/gateway.crt\"\n\
         key = \"tls/gateway.key\"\nreceipt_timeout = \"2s\"\n\
         [meter_defaults]\npoll_every = \"10ms\"\nrecord_every = \"0s\"\nmax_per_hour = \"1000000000000\"\n"
    );
    for (n, slave) in lines.iter().enumerate() {
        writeln!(text, "{}", slave.line(&format!("l{n}"))).expect("text");
    }
    for (n, _) in lines.iter().enumerate() {
        for unit in 1..=4 {
            write!(
                text,
                "[[meter]]\nid = \"m-{n}{unit}\"\nline = \"l{n}\"\naddress = {unit}\n\
                 profile = \"scripted-meter\"\n"
            )
            .expect("text");
        }
    }
    text
}

/// Turns bits over in every file of sled's own.
fn damage(sled: &Path, dice: &mut Dice) {
    for entry in std::fs::read_dir(sled).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.is_file() {
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("a file of sled");
        let length = bytes.len() as u64;
        for _ in 0..length.min(20) {
            let place = usize::try_from(dice.below(length)).expect("a place");
            bytes[place] ^= 1 << dice.below(8);
        }
        std::fs::write(&path, bytes).expect("a file of sled");
    }
}

fn no_event_that_left_is_lost_in_a_power_cut() {
    cut_at_random(Kind::Ext4);
}

fn no_event_that_left_is_lost_in_a_power_cut_of_f2fs() {
    cut_at_random(Kind::F2fs);
}

fn cut_at_random(kind: Kind) {
    let cuts = number("BLOCKGATE_CUTS", 12);
    let mut dice = Dice(number("BLOCKGATE_SEED", 0x5EED_0001).max(1));
    let lines = [Slave::tcp(Framing::Rtu), Slave::tcp(Framing::Mbap)];
    let mut gateway = Gateway::new("");
    let tokens = std::fs::read_to_string(gateway.path("state/tokens.toml")).expect("the tokens");
    blockgate::demo::certificates::write(&gateway.path("tls")).expect("certificates");
    let mut broker = Broker::new(&gateway.path("broker"));
    let tls = gateway.path("tls").display().to_string();
    broker.start(&format!(
        "allow_anonymous true\ncafile {tls}/ca.crt\ncertfile {tls}/server.crt\n\
         keyfile {tls}/server.key\nrequire_certificate true\n"
    ));
    gateway.write("profiles.d/scripted-meter.toml", &profile());
    gateway.write_config(&config(&lines, broker.port));
    let disk = Disk::new(kind, gateway.path("disk.img"), gateway.path("state"));
    private(&gateway.path("state/tokens.toml"), &tokens);
    succeeds(Command::new("sync").arg("-f").arg(gateway.path("state")));

    let requests = || lines.iter().map(|line| line.requests().len()).sum::<usize>() as u64;
    let (mut checked, mut told) = (0, 0);
    for cut in 1..=cuts {
        let known = broker.whole_through();
        gateway.start();
        gateway.wait("events come through", |_| (broker.whole_through() > known + 1).then_some(()));
        if cut % 4 == 0 {
            broker.confirm(broker.whole_through());
        }
        let from = requests() + dice.below(400);
        gateway.wait("the meters were asked so often", |_| (requests() >= from).then_some(()));
        disk.cut();
        gateway.kill();
        disk.unmount();
        disk.mount();
        let sled = gateway.path("state/sled");
        match cut % 3 {
            0 => std::fs::remove_dir_all(&sled).expect("sled's folder"),
            1 => damage(&sled, &mut dice),
            _ => {}
        }

        let verified = gateway.command(&["journal", "verify"]);
        assert_eq!(verified.code, 0, "cut {cut}: {verified:?}");
        let journal: BTreeMap<u64, Value> = gateway
            .journal_from(checked + 1)
            .into_iter()
            .map(|event| (event["seq"].as_u64().expect("a seq"), event))
            .collect();
        assert!(journal.keys().copied().eq(checked + 1..=checked + journal.len() as u64));
        let events = broker.events();
        for event in &events {
            let seq = event["seq"].as_u64().expect("a seq");
            assert!(
                seq <= checked || journal.get(&seq) == Some(event),
                "cut {cut}: the cloud was told of event {seq}, and the journal has {:?}",
                journal.get(&seq)
            );
        }
        told = events.len();
        // What a later start adds has other bytes only where nobody was told.
        checked = events.iter().filter_map(|event| event["seq"].as_u64()).max().unwrap_or(0);
    }
    gateway.start();
    eprintln!("{cuts} cuts, {told} events at the cloud, none lost, every start good");
    gateway.wait("the cloud gets all that waits", |g| {
        let through = broker.whole_through();
        broker.confirm(through);
        (g.metric("blockgate_outbox_messages")? < 50).then_some(())
    });
    gateway.stop();
    disk.unmount();
}

fn the_power_goes_at_the_nth_call_until_a_run_ends_uncut() {
    /// So many records are a run that was long enough.
    const ENOUGH: u64 = 12;
    let every = number("BLOCKGATE_EVERY", 13).max(1);
    let lines = [Slave::tcp(Framing::Mbap)];
    let mut gateway = Gateway::new("");
    let tokens = std::fs::read_to_string(gateway.path("state/tokens.toml")).expect("the tokens");
    gateway.write("profiles.d/scripted-meter.toml", &profile());
    let text = config(&lines, 1);
    let (_, field) = text.split_once("[meter_defaults]").expect("the field's part");
    gateway.write_config(&format!("[meter_defaults]{field}"));
    let shim = Shim::compile(gateway.folder()).expect("cc");
    let disk = Disk::new(Kind::Ext4, gateway.path("disk.img"), gateway.path("state"));
    private(&gateway.path("state/tokens.toml"), &tokens);
    gateway.start();
    gateway.stop();
    let known = gateway.journal();
    disk.unmount();
    let (whole, mut cuts, mut at) = (gateway.path("whole.img"), 0, 1);
    std::fs::rename(&disk.image, &whole).expect("a name");
    loop {
        let mut copy = Command::new("cp");
        succeeds(copy.args(["--sparse=always"]).args([&whole, &disk.image]));
        disk.mount();
        let mut command = gateway.daemon();
        shim.plan(&mut command, &gateway.path("state"), at, How::Cut);
        let durable = gateway.run_frail(command, |durable| durable >= ENOUGH);
        let said = gateway.log_since();
        if !shim.struck() {
            break;
        }
        disk.unmount();
        disk.mount();
        // A start on what is left: a command that opens the store as the daemon does.
        let opened = gateway.command(&["outbox", "--json"]);
        assert_eq!(opened.code, 0, "cut at call {at}: {opened:?}\n{said}");
        let journal = gateway.journal();
        let wanted = known.len() as u64 + durable;
        assert!(
            journal.len() as u64 >= wanted && journal.starts_with(&known),
            "cut at call {at}: {} of {wanted} records\n{said}",
            journal.len()
        );
        disk.unmount();
        std::fs::remove_file(&disk.image).expect("the image");
        cuts += 1;
        at += every;
    }
    eprintln!("{cuts} cuts at every {every} calls, the last run ended uncut before call {at}");
    assert!(cuts > 1, "no call was cut");
    disk.unmount();
}
