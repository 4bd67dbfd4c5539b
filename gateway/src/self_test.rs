//! Whether this program does its work on this machine: what differs between processors, kernels and
//! file systems is tried once, for real, in about a second. Each check compares with an answer from
//! outside (a standard's vector, a captured frame) or reads back what it wrote.
//!
//! It needs no config, touches no state of a gateway and opens no connection.
#![allow(clippy::disallowed_methods, reason = "how long a real disk takes is no simulated time")]

use crate::demo::certificates::{Authority, Purpose};
use crate::ports::RealDisk;
use crate::store::Store;
use crate::store::journal::{self, Journal};
use anyhow::{Context, ensure};
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordVerifier};
use blockgate_drivers::{Decoded, cjt188, dlt645, hex::parse_hex, mbus, modbus, profile::Profile};
use blockgate_rules::tariff::rate_document;
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One check's outcome.
#[derive(Debug)]
pub struct Check {
    /// What was tried: `journal`, `tls`, ...
    pub name: &'static str,
    /// What was found; or what is wrong.
    pub outcome: anyhow::Result<String>,
    /// How long it took on this machine.
    pub took: Duration,
}

type Decode<'a> = &'a dyn Fn(&[u8]) -> Decoded;
type Try = fn(&Path) -> anyhow::Result<String>;

/// In the order in which they run: the disk last, because it is the one that differs most.
const CHECKS: [(&str, Try); 9] = [
    ("prices", |_| prices()),
    ("frames", |_| frames()),
    ("time-zones", |_| time_zones()),
    ("hashes", |_| hashes()),
    ("signatures", |_| signatures()),
    ("passwords", |_| passwords()),
    ("tls", |_| tls()),
    ("journal", journal),
    ("store", store),
];

/// Runs every check, with files in a folder of its own inside `folder`, which is removed again.
///
/// # Errors
/// When no folder can be made there.
pub fn run(folder: &Path, mut told: impl FnMut(&Check)) -> anyhow::Result<Vec<Check>> {
    let id = crate::new_boot_id()?;
    let dir = folder.join(format!("blockgate-self-test-{id}"));
    std::fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let checks = CHECKS.map(|(name, attempt)| {
        let begun = Instant::now();
        let outcome = attempt(&dir);
        let check = Check { name, outcome, took: begun.elapsed() };
        told(&check);
        check
    });
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    Ok(checks.into())
}

fn bytes(hex: &str) -> anyhow::Result<Vec<u8>> {
    parse_hex(hex).map_err(|why| anyhow::anyhow!("{hex}: {why}"))
}

/// Exact decimals through a shipped tariff: 240 kWh at 0.4883 and 72.5 kWh at 0.5383.
fn prices() -> anyhow::Result<String> {
    let tariffs = include_str!("../../rules/tariffs/electricity.toml");
    let usage = "tariff = \"electricity-tiered\"\nusage = \"312.5\"\ncumulative_before = \"0\"\n";
    let rated =
        rate_document(tariffs, "electricity.toml", usage, "usage.toml").map_err(|faults| {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow::anyhow!(faults.join("; "))
        })?;
    let total = rated.total_fen.to_string();
    ensure!(total == "156.22", "312.5 kWh cost {total} in place of 156.22");
    Ok("312.5 kWh in two tiers cost 156.22".to_owned())
}

/// One frame of each meter protocol; the Modbus one holds a float, the others packed decimals.
fn frames() -> anyhow::Result<String> {
    let profile = Profile::shipped_by_id("eastron-sdm630").context("a shipped profile is gone")?;
    let energy = modbus::Context { profile, address: 72 };
    let tries: [(&str, &str, Decode<'_>); 4] = [
        ("0104044640E6B624CE", "12345.68 kWh", &|b| modbus::decode_frame(b, Some(energy))),
        ("68 610100000000 68 9108 33333433 59333333 8A16", "0.26 kWh", &dlt645::decode_frame),
        ("FEFEFEFE 6810 44332211003378 0103 1F9000 8016", "78330011223344", &cjt188::decode_frame),
        ("105B015C16", "5B", &mbus::decode_frame),
    ];
    for (hex, says, decode) in tries {
        let decoded = decode(&bytes(hex)?);
        let mut found = decoded.fields.iter().chain(&decoded.values).map(|(_, value)| value);
        ensure!(decoded.valid, "{hex} is taken for a broken frame");
        ensure!(found.any(|value| value.contains(says)), "{hex} does not say {says}");
    }
    Ok("Modbus, DL/T 645, CJ/T 188, M-Bus".to_owned())
}

/// The zone data is in the program: a day of 24 hours, one of 23 and one of 25.
fn time_zones() -> anyhow::Result<String> {
    let days = [
        ("Asia/Shanghai", (2026, 3, 29), 24),
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
    ];
    for (zone, (year, month, day), hours) in days {
        let date = jiff::civil::date(year, month, day);
        let (begin, end) = (date.in_tz(zone)?, date.tomorrow()?.in_tz(zone)?);
        let found = (end.timestamp().as_second() - begin.timestamp().as_second()) / 3600;
        ensure!(found == hours, "{date} in {zone} has {found} hours in place of {hours}");
    }
    Ok("days of 23, 24 and 25 hours".to_owned())
}

/// SHA-256 of `abc` (FIPS 180-4, example B.1), which chains the journal.
fn hashes() -> anyhow::Result<String> {
    let found = ring::digest::digest(&ring::digest::SHA256, b"abc");
    let right = bytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")?;
    ensure!(found.as_ref() == right, "SHA-256 of abc is {found:?}");
    // CRC-32C of nine digits (RFC 3720 and every catalogue of checksums), which guards a record.
    let crc = crc32c::crc32c(b"123456789");
    ensure!(crc == 0xE306_9283, "CRC-32C of 123456789 is {crc:08X}");
    Ok("SHA-256, CRC-32C".to_owned())
}

/// Ed25519 (RFC 8032, section 7.1, test 1), which signs the journal's head.
fn signatures() -> anyhow::Result<String> {
    let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")?;
    let public = bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")?;
    let right = bytes(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
         5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    )?;
    let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &public)
        .map_err(|refused| anyhow::anyhow!("the key is refused: {refused}"))?;
    let signature = pair.sign(b"");
    ensure!(signature.as_ref() == right, "the signature is another one");
    let key = UnparsedPublicKey::new(&ED25519, &public);
    ensure!(key.verify(b"", &right).is_ok(), "a right signature is refused");
    ensure!(key.verify(b"x", &right).is_err(), "a wrong signature is taken");
    Ok("Ed25519".to_owned())
}

/// argon2id at the page's cost, with a hash that another implementation made (argon2-cffi 25.1 over the
/// reference C code); the time is what a login waits on this machine.
fn passwords() -> anyhow::Result<String> {
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$YmxvY2tnYXRlIHNhbHQxNg\
                $mLXteHwn6qMq/AlcF6cpGoe2GEnpp7Dh/f5k0l6G51g";
    let hash = PasswordHash::new(hash).map_err(|why| anyhow::anyhow!("{why}"))?;
    let holds = |password: &[u8]| Argon2::default().verify_password(password, &hash).is_ok();
    ensure!(holds(b"correct horse"), "the right password is refused");
    ensure!(!holds(b"correct hors"), "a wrong password is taken");
    Ok("argon2id".to_owned())
}

/// Both ends of a TLS 1.3 connection with certificates from both, in memory.
fn tls() -> anyhow::Result<String> {
    let authority = Authority::new("self-test")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
    let roots = Arc::new(roots);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let own = |purpose, name| -> anyhow::Result<_> {
        let pair = authority.issue(purpose, &[name])?;
        let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes())?;
        Ok((vec![cert], PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?))
    };
    let (chain, key) = own(Purpose::Server, "localhost")?;
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::clone(&roots),
        Arc::clone(&provider),
    );
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients.build()?)
        .with_single_cert(chain, key)?;
    let (chain, key) = own(Purpose::Client, "gateway")?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from("localhost")?)?;
    let mut server = ServerConnection::new(Arc::new(server))?;

    client.writer().write_all(b"a bill")?;
    // A handshake takes three flights; the bound only ends a loop that never would.
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire)?;
        }
        server.read_tls(&mut wire.as_slice())?;
        server.process_new_packets()?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire)?;
        }
        if !wire.is_empty() {
            client.read_tls(&mut wire.as_slice())?;
            client.process_new_packets()?;
        }
    }
    let mut got = [0; 6];
    server.reader().read_exact(&mut got).context("nothing arrived")?;
    ensure!(&got == b"a bill", "something else arrived");
    Ok("TLS 1.3, certificates on both sides".to_owned())
}

/// Records committed one by one, read back by another opening, verified; says what one commit takes.
fn journal(dir: &Path) -> anyhow::Result<String> {
    const COMMITS: usize = 50;
    let dir = dir.join("journal");
    let (mut journal, _) = Journal::open(&dir, journal::Options::default())?;
    let mut took = Vec::with_capacity(COMMITS);
    for n in 0..COMMITS {
        journal.append(format!("record {n}").as_bytes())?;
        let batch = journal.cut()?.context("nothing to commit")?;
        let begun = Instant::now();
        batch.commit()?;
        took.push(begun.elapsed());
    }
    let head = journal.head();
    drop(journal);
    let (journal, opened) = Journal::open(&dir, journal::Options::default())?;
    ensure!(opened.cut.is_none() && journal.head() == head, "another head is read back");
    let verdict = journal::verify(&RealDisk, &dir)?;
    ensure!(verdict.records == COMMITS as u64 && verdict.damage.is_empty(), "{verdict:?}");
    took.sort_unstable();
    let micros = |at: usize| took.get(at).map_or(0, Duration::as_micros);
    Ok(format!("a commit takes {} µs, the longest {} µs", micros(COMMITS / 2), micros(COMMITS - 1)))
}

/// The derived store, made, closed and found whole.
fn store(dir: &Path) -> anyhow::Result<String> {
    let dir = dir.join("state");
    std::fs::create_dir(&dir)?;
    drop(Store::open(&dir)?);
    let (_store, _block, found) = Store::open(&dir)?;
    ensure!(found.warnings.is_empty(), "{}", found.warnings.join("; "));
    ensure!(crate::store::probe::probe(&dir)?.is_some(), "an upgrade would not find it");
    Ok("made and opened again".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_well_here_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let mut told = 0;
        for check in run(dir.path(), |_| told += 1).unwrap() {
            assert!(check.outcome.is_ok(), "{}: {:?}", check.name, check.outcome);
        }
        assert_eq!(told, CHECKS.len());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let refused = run(Path::new("/nowhere/at/all"), |_| {}).unwrap_err();
        assert!(format!("{refused:#}").contains("/nowhere/at/all"), "{refused:#}");
    }
}
