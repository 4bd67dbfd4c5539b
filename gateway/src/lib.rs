//! The gateway daemon: wiring of lines, engine, store, outbox, MQTT and the local page. How a frame
//! is made is known to `blockgate-drivers`, how a price is made to `blockgate-rules`; this crate
//! knows neither.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | the config file, with every error at its line and column |
//! | [`limits`] | every bound in one place (invariant 10) |
//! | [`ports`] | clock, lines: the only ways to the real world (invariant 11) |
//! | [`run`] | the wiring: two runtimes, four groups of tasks |
//! | [`bus`] | the tasks that own the lines: when which meter is polled |
//! | [`engine`] | the single writer: decide, append, commit, release |
//! | [`command`] | the one door for orders |
//! | [`scans`] | scans of lines by the daemon: begin, progress, cancel |
//! | [`lanes`] | cameras, barriers: pushes, questions, openings |
//! | [`conditions`] | what the gateway notices about itself |
//! | [`control`] | the socket of the command line |
//! | [`cli`] | the command line |
//! | [`demo`] | a whole simulated block |
//! | [`board`] | what is live: last values, faults, connection states; shared with page and metrics |
//! | [`books`] | where every household's money stands by durable events |
//! | [`preview`] | a rule file against the bills of a month that is over |
//! | [`receipt`] | what is printed for a payment |
//! | [`figures`] | what was billed, paid and is owed; forecasts; tables for people |
//! | [`backup`] | a gateway in one file, and back |
//! | [`store`] | journal (truth), sled trees (derived), checkpoint, rebuild |
//! | [`outbox`] | what waits for the cloud until its receipt |
//! | [`http`] | the local API, the event stream, metrics and the page |
//! | [`self_test`] | whether this program does its work on this machine |
//! | [`provision`] | a box becomes a member of a fleet: identity, broker, certificates |
//! | [`problem`] | the one list of errors, in both languages |
//! | `contract` | the contract with the cloud as AsyncAPI, schemas and examples (feature `schema`) |
//! | [`mapper`] | other clouds: Alibaba's thing model, Sparkplug B, Home Assistant |
//! | [`mqtt`] | topics, wire form, client |
//! | [`demo`] | a whole simulated block on this machine |

#[cfg(all(any(feature = "canary-sync", feature = "canary-fen"), not(debug_assertions)))]
compile_error!("a canary is a planted bug for the simulation: no release build takes one");

pub mod backup;
pub mod board;
pub mod books;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod command;
pub mod conditions;
pub mod config;
#[cfg(feature = "schema")]
pub mod contract;
pub mod control;
pub mod demo;
pub mod doors;
pub mod engine;
pub mod figures;
pub mod http;
pub mod lanes;
pub mod limits;
pub mod mapper;
pub mod mqtt;
pub mod outbox;
pub mod ports;
pub mod preview;
pub mod problem;
pub mod provision;
pub mod receipt;
pub mod run;
pub mod scans;
pub mod self_test;
pub mod store;
pub mod supervise;
pub mod telemetry;
pub mod upkeep;

/// Makes ring the process's one provider of cryptography. A second call changes nothing.
pub fn install_crypto() {
    // An error says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A new start's id: eight random hexadecimal digits.
///
/// # Errors
/// When the system has no random numbers.
pub fn new_boot_id() -> anyhow::Result<String> {
    use ring::rand::SecureRandom;
    let mut bytes = [0_u8; 4];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow::anyhow!("the system gives no random numbers"))?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}
