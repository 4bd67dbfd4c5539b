//! Disks that fail a real daemon: full, read-only, and every file of the state folder with a flipped bit
//! or cut short. Either it heals and says so, or it stops and says what, where and what to do; what it had
//! journaled before is there in the end.
//!
//! A full and a read-only disk need root and a mount of a tmpfs, calls that fail a C compiler; without them they
//! count as ignored. `BLOCKGATE_EVERY=1` lets every single call fail once and once for ever (13: every 13th).

use blockgate_e2e::gateway::{Gateway, Said, blockgate, private, succeeds};
use blockgate_e2e::page;
use blockgate_e2e::shim::{How, Shim};
use blockgate_e2e::slave::{Framing, Slave, profile};
use libtest_mimic::{Arguments, Failed, Trial};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let mounts = can_mount();
    if !mounts {
        eprintln!("ignored: a full and a read-only disk need root and mounts");
    }
    let compiles = tempfile::tempdir().is_ok_and(|folder| Shim::compile(folder.path()).is_some());
    if !compiles {
        eprintln!("ignored: calls of the disk that fail need cc");
    }
    let trial = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    let trials = vec![
        trial(
            "every_damaged_file_heals_or_stops_the_start_with_what_and_where",
            every_damaged_file_heals_or_stops_the_start_with_what_and_where,
        ),
        trial(
            "a_full_disk_loses_nothing_keeps_no_start_from_coming_up_and_ends_when_there_is_room",
            a_full_disk_loses_nothing_keeps_no_start_from_coming_up_and_ends_when_there_is_room,
        )
        .with_ignored_flag(!mounts),
        trial(
            "a_barrier_is_answered_while_the_disk_is_full",
            a_barrier_is_answered_while_the_disk_is_full,
        )
        .with_ignored_flag(!mounts),
        trial(
            "whichever_call_of_the_disk_fails_nothing_durable_is_lost_and_the_next_start_is_good",
            whichever_call_of_the_disk_fails_nothing_durable_is_lost_and_the_next_start_is_good,
        )
        .with_ignored_flag(!compiles),
        trial(
            "a_read_only_disk_stops_the_daemon_and_loses_nothing",
            a_read_only_disk_stops_the_daemon_and_loses_nothing,
        )
        .with_ignored_flag(!mounts),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn can_mount() -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    let mut mount = Command::new("mount");
    let mounted = mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(folder.path()).output();
    let mounted = mounted.is_ok_and(|output| output.status.success());
    let _ = Command::new("umount").arg(folder.path()).output();
    mounted
}

/// A tmpfs over the state folder; unmounted when it is dropped.
struct Mount(PathBuf);

impl Mount {
    fn over(gateway: &Gateway, size: &str) -> Self {
        let at = gateway.path("state");
        let tokens = std::fs::read_to_string(at.join("tokens.toml")).expect("the tokens");
        let options = format!("size={size},mode=0700");
        succeeds(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&at));
        private(&at.join("tokens.toml"), &tokens);
        Self(at)
    }

    fn again(&self, options: &str) {
        succeeds(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

fn gateway(slave: &Slave) -> Gateway {
    let gateway = Gateway::new(&format!(
        "{}[[meter]]\nid = \"m-1\"\nline = \"l0\"\naddress = 1\nprofile = \"scripted-meter\"\n\
         poll_every = \"20ms\"\nrecord_every = \"0s\"\nmax_per_hour = \"1000000000000\"\n",
        slave.line("l0")
    ));
    gateway.write("profiles.d/scripted.toml", &profile());
    gateway
}

fn records(gateway: &Gateway) -> u64 {
    let said = verify(&gateway.path("state"));
    assert_eq!(said.code, 0, "{said:?}");
    said.json()["last"].as_u64().expect("a number")
}

fn verify(state: &Path) -> Said {
    blockgate(&["journal", "verify", "--json", "--state", &state.display().to_string()])
}

/// Fills what is free, a smaller and smaller piece at a time.
fn fill(folder: &Path) -> PathBuf {
    use std::io::Write;
    let path = folder.join("somebody-elses");
    let mut file = std::fs::File::create(&path).expect("a file");
    for size in [1 << 20, 1 << 14, 1 << 10, 1] {
        while file.write_all(&vec![0x55; size]).is_ok() {}
    }
    path
}

fn a_full_disk_loses_nothing_keeps_no_start_from_coming_up_and_ends_when_there_is_room() {
    let slave = Slave::tcp(Framing::Mbap);
    let mut gateway = gateway(&slave);
    let disk = Mount::over(&gateway, "260m");
    gateway.start();
    gateway
        .wait("some records", |g| g.metric("blockgate_journal_records_total").filter(|n| *n > 60));
    gateway.stop();
    assert!(gateway.path("state/ballast").is_file(), "room is kept for such a day");
    let before = gateway.journal();
    let other = fill(&gateway.path("state"));

    // It comes up on what the ballast gave free, says so, and goes on.
    gateway.start();
    gateway.wait("records are made durable", |g| {
        g.metric("blockgate_journal_records_total").filter(|n| *n > 60)
    });
    assert!(!gateway.path("state/ballast").exists(), "the ballast went");
    assert!(gateway.log_since().contains("the disk is full"), "{}", gateway.log_since());
    let alarms = gateway.json("/v1/alarms").to_string();
    assert!(alarms.contains("store"), "{alarms}");
    gateway.stop();

    // Even that is full now: whatever it does, it loses nothing and says why.
    let rest = fill(&gateway.path("state/journal"));
    let said = blockgate_e2e::gateway::ends(gateway.daemon());
    let after = gateway.journal();
    assert!(after.len() >= before.len() && after[..before.len()] == before[..], "nothing is lost");
    if let Some(said) = said {
        assert!(said.code != 0 && !said.err.contains("panicked"), "{said:?}");
    }
    std::fs::remove_file(rest).expect("the file");
    std::fs::remove_file(other).expect("the file");
    gateway.start();
    gateway.wait("records are made durable", |g| {
        g.metric("blockgate_journal_records_total").filter(|n| *n > 60)
    });
    gateway.stop();
    assert!(records(&gateway) > after.len() as u64);
    drop(disk);
}

/// Token `barrier-token`, which may ask, and push as a camera.
const BARRIER: &str = "[tokens.barrier]\n\
    sha256 = \"b56805574f6747d85386072f1765ed01250a492907aee7d9f542e0951d1cbcd9\"\n\
    scopes = [\"payment-status\", \"camera\"]\nrate_per_second = 1000\n";

const LANE: &str = "[parking]\naccount = \"a-parking\"\nduplicate_within = \"30s\"\n\
    expired_grace = \"5d\"\nretention = \"30d\"\n\
    [[account]]\nid = \"a-parking\"\nbuilding = \"parking\"\n\
    [[area]]\nid = \"yard\"\ncapacity = 200\ntariff = \"temporary\"\n\
    [[lane]]\nid = \"in\"\nto = \"yard\"\n[[lane]]\nid = \"out\"\nfrom = \"yard\"\n\
    [[camera]]\nid = \"cam-in\"\nlane = \"in\"\nvendor = \"generic\"\n\
    [[barrier]]\nlane = \"out\"\nvendor = \"generic\"\nopen = \"answer\"\nfail_safe = \"ask\"\n\
    [[barrier]]\nlane = \"in\"\nvendor = \"generic\"\nopen = \"answer\"\nfail_safe = \"ask\"\n\
    [[permit]]\nid = \"p-1\"\nclass = \"monthly\"\nplates = [\"粤B12345\"]\naccount = \"a-parking\"\n";

fn a_barrier_is_answered_while_the_disk_is_full() {
    let mut gateway = Gateway::new(LANE);
    let rules = std::fs::read_to_string(blockgate_e2e::source("rules/tariffs/parking.toml"));
    gateway.write("rules.d/parking.toml", &rules.expect("the rules"));
    let tokens = gateway.path("state/tokens.toml");
    let own = std::fs::read_to_string(&tokens).expect("the tokens");
    private(&tokens, &format!("{own}{BARRIER}"));
    let disk = Mount::over(&gateway, "260m");
    let post = |gateway: &Gateway, path: &str, body: &str| {
        let fields =
            [("Authorization", "Bearer barrier-token"), ("Content-Type", "application/json")];
        let reply = page::ask(gateway.address(), "POST", path, &fields, body).expect("the page");
        assert_eq!(reply.status, 200, "{reply:?}");
        serde_json::from_str::<serde_json::Value>(&reply.body).expect("JSON")
    };
    let comes = |gateway: &Gateway, plate: &str| {
        let id = plate.trim_start_matches('粤');
        let body = format!("{{\"type\":\"car\",\"id\":\"{id}\",\"plate\":\"{plate}\"}}");
        post(gateway, "/v1/cameras/cam-in/generic", &body)["action"].clone()
    };
    let asks = |gateway: &Gateway, plate: &str| {
        let body = format!("{{\"lane\":\"out\",\"plate\":\"{plate}\"}}");
        post(gateway, "/v1/payment-status", &body)["decision"].clone()
    };
    gateway.start();
    assert_eq!(comes(&gateway, "粤A11111"), "open");
    gateway.stop();
    fill(&gateway.path("state"));

    gateway.start();
    assert!(gateway.log_since().contains("the disk is full"), "{}", gateway.log_since());
    for n in 0..100 {
        assert_eq!(asks(&gateway, "粤B12345"), "open", "the resident, question {n}");
        assert_eq!(asks(&gateway, "粤A11111"), "open", "in the free time, question {n}");
        let plate = format!("粤A2{n:04}");
        assert_eq!(comes(&gateway, &plate), "open", "car {n}");
        assert_eq!(asks(&gateway, &plate), "open", "what came on the full disk is known");
    }
    gateway.stop();
    let journal = gateway.journal();
    let passed = journal.iter().filter(|record| record["data"]["what"] == "passed").count();
    assert_eq!(passed, 101, "each passage that was answered is in the journal");
    drop(disk);
}

fn a_read_only_disk_stops_the_daemon_and_loses_nothing() {
    let slave = Slave::tcp(Framing::Mbap);
    let mut gateway = gateway(&slave);
    let disk = Mount::over(&gateway, "260m");
    gateway.start();
    gateway
        .wait("some records", |g| g.metric("blockgate_journal_records_total").filter(|n| *n > 60));
    gateway.stop();
    let before = gateway.journal();
    disk.again("ro");
    let said = blockgate_e2e::gateway::ends(gateway.daemon()).expect("it ends");
    assert!(said.code == 3 && said.err.contains("state"), "{said:?}");
    assert!(!said.err.contains("panicked"), "{said:?}");
    assert_eq!(gateway.journal(), before);
    disk.again("rw");
    gateway.start();
    gateway.stop();
    assert!(gateway.journal().starts_with(&before));
}

fn whichever_call_of_the_disk_fails_nothing_durable_is_lost_and_the_next_start_is_good() {
    let every = std::env::var("BLOCKGATE_EVERY").ok().and_then(|text| text.parse().ok());
    let every: u64 = every.unwrap_or(13);
    let slave = Slave::tcp(Framing::Mbap);
    let mut gateway = gateway(&slave);
    let shim = Shim::compile(gateway.folder()).expect("cc");
    gateway.start();
    gateway.stop();
    let (mut known, mut ends, mut goes_on) = (gateway.journal(), 0, 0);
    for how in [How::Once, How::Ever] {
        let mut at = 1;
        loop {
            let mut command = gateway.daemon();
            shim.plan(&mut command, &gateway.path("state"), at, how);
            let durable = gateway.run_frail(command, |durable| durable >= 12);
            let said = gateway.log_since();
            let journal = gateway.journal();
            let what = format!("call {at}, {how:?}: {said}");
            let wanted = known.len() as u64 + durable;
            assert!(
                journal.len() as u64 >= wanted,
                "{} of {wanted} records: {what}",
                journal.len()
            );
            assert!(journal.starts_with(&known), "what was there is another: {what}");
            if !shim.struck() {
                break;
            }
            if durable >= 12 {
                goes_on += 1;
            } else {
                ends += 1;
                assert!(said.contains("Input/output error"), "it does not say why: {what}");
            }
            known = journal;
            at += every;
        }
        assert!(at > every, "no call failed");
    }
    // And after all that it starts, and goes on.
    gateway.start();
    gateway.wait("records are made durable", |g| {
        g.metric("blockgate_journal_records_total").filter(|n| *n > 12)
    });
    gateway.stop();
    assert!(gateway.journal().starts_with(&known) && records(&gateway) > known.len() as u64);
    eprintln!("{} calls failed: {ends} ended the daemon, {goes_on} did not", ends + goes_on);
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for row in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = row.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    succeeds(Command::new("cp").arg("-a").arg(from).arg(to));
}

fn every_damaged_file_heals_or_stops_the_start_with_what_and_where() {
    let slave = Slave::tcp(Framing::Mbap);
    let mut gateway = gateway(&slave);
    gateway.start();
    gateway
        .wait("some records", |g| g.metric("blockgate_journal_records_total").filter(|n| *n > 60));
    gateway.stop();
    let before = gateway.journal();
    let whole = gateway.path("whole");
    let state = gateway.path("state");
    std::fs::rename(&state, &whole).expect("a name");
    let (mut healed, mut stopped) = (0, 0);
    for path in files(&whole) {
        let name = path.strip_prefix(&whole).expect("below it").to_owned();
        if ["lock", "ballast"].iter().any(|n| name == Path::new(n)) {
            continue; // nothing is read from these
        }
        for cut in [false, true] {
            let _ = std::fs::remove_dir_all(&state);
            copy(&whole, &state);
            let hurt = state.join(&name);
            let mut bytes = std::fs::read(&hurt).expect("a file");
            let Some(end) = bytes.iter().rposition(|b| *b != 0) else { continue };
            if cut {
                bytes.truncate(end / 2);
            } else {
                bytes[end / 2] ^= 0x40;
            }
            let mode = std::fs::metadata(&hurt).expect("it").permissions().mode();
            std::fs::write(&hurt, bytes).expect("a file");
            std::fs::set_permissions(&hurt, PermissionsExt::from_mode(mode)).expect("its mode");
            let what = format!("{} {}", name.display(), if cut { "cut short" } else { "flipped" });
            // A command that opens the store as a start does.
            let said = gateway.command(&["outbox", "--json"]);
            assert!(!said.err.contains("panicked at"), "{what}: {said:?}");
            match said.code {
                0 => {
                    healed += 1;
                    let journal = gateway.journal();
                    assert!(journal == before, "{what}: the journal is another one");
                }
                _ => {
                    stopped += 1;
                    let file = name.file_name().expect("a name").to_string_lossy();
                    assert!(said.err.contains(&*file), "{what}: it does not say where: {said:?}");
                    assert!(said.err.len() > 60, "{what}: and not what to do: {said:?}");
                    // Nothing was repaired by itself: the whole file in its place, all is there.
                    std::fs::copy(whole.join(&name), &hurt).expect("the whole file");
                    assert!(gateway.journal() == before, "{what}");
                }
            }
        }
    }
    eprintln!("{healed} damages healed, {stopped} stopped the start");
    assert!(healed >= 6 && stopped >= 2, "{healed} {stopped}");
}
