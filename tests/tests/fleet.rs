//! A fleet on a clustered broker, the smaller version: gateways that bill a month against three nodes of
//! RabbitMQ in network namespaces, the reference consumer with PostgreSQL as the judge; the consumer's
//! node is killed and another one cut off meanwhile. `GATEWAYS=1000 SECONDS=180` for the full one.
//! Where namespaces, RabbitMQ or PostgreSQL are missing it is reported as ignored, with the reason.

use blockgate_e2e::{python, source};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::{Command, Output};

fn fleet(arguments: &[&str]) -> Output {
    let mut command = Command::new(python());
    command.arg(source("tests/python/fleet.py")).arg("--fleet").arg(env!("CARGO_BIN_EXE_fleet"));
    command.args(arguments).output().expect("Python")
}

fn a_month_arrives_complete_and_exact_while_the_cluster_fails() -> Result<(), Failed> {
    let number = |name, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let (gateways, seconds) = (number("GATEWAYS", "12"), number("SECONDS", "25"));
    let said = fleet(&["--gateways", &gateways, "--seconds", &seconds]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&said.stdout), text(&said.stderr));
    eprintln!("{}", out.trim());
    if !said.status.success() {
        return Err(format!("{}\n{out}\n{err}", said.status).into());
    }
    let result: serde_json::Value = serde_json::from_str(out.lines().last().unwrap_or_default())?;
    let faults = result["faults"].as_array().map_or(0, Vec::len);
    if faults != 2 {
        return Err(format!("two faults were due: {result}").into());
    }
    Ok(())
}

fn main() {
    let arguments = Arguments::from_args();
    let check = fleet(&["--check"]);
    let reason = String::from_utf8_lossy(&check.stderr).trim().to_owned();
    let mut trial = Trial::test(
        "a_month_arrives_complete_and_exact_while_the_cluster_fails",
        a_month_arrives_complete_and_exact_while_the_cluster_fails,
    );
    if check.status.code() == Some(77) {
        eprintln!("fleet: {reason}");
        trial = trial.with_kind(reason).with_ignored_flag(true);
    }
    libtest_mimic::run(&arguments, vec![trial]).exit();
}
