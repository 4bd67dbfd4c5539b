//! `profile check FILE...`: whether device profiles are good, and `profile list`: which there are.

use super::Ended;
use blockgate_drivers::profile::{Profile, run_vector};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Reads profile files and runs their test vectors; prints every error as file:line:column
    #[command(after_help = "Example:\n  blockgate profile check /etc/blockgate/profiles.d/*.toml")]
    Check {
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Prints one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Lists the built-in profiles
    #[command(after_help = "Example:\n  blockgate profile list --json")]
    List {
        /// Prints one JSON document
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// Whether one JSON document was asked for.
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Check { json, .. } | Self::List { json } => *json,
        }
    }
}

pub(super) fn run(command: &Command) -> Ended {
    match command {
        Command::Check { files, json } => check(files, *json),
        Command::List { json } => list(*json),
    }
}

/// What is wrong with a file: lines to print. Empty where it is good.
fn faults_of(file: &Path) -> (Option<Profile>, Vec<String>) {
    let name = file.display().to_string();
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return (None, vec![format!("{name}: cannot be read: {error}")]),
    };
    let profile = match Profile::parse(&text, &name) {
        Ok(profile) => profile,
        Err(errors) => return (None, errors.to_string().lines().map(str::to_owned).collect()),
    };
    let wrong = profile.vectors.iter().filter_map(|vector| {
        let line = vector.line;
        run_vector(&profile, vector).err().map(|what| format!("{name}:{line}:1: {what}"))
    });
    let mut faults: Vec<String> = wrong.collect();
    for spec in profile.specs().iter() {
        let named = |expect: &[(String, _)]| expect.iter().any(|(n, _)| n == spec.name.as_str());
        if !profile.vectors.iter().any(|vector| named(&vector.expect)) {
            faults.push(format!("{name}:1:1: no vector tests {}", spec.name));
        }
    }
    (Some(profile), faults)
}

fn check(files: &[PathBuf], json: bool) -> Ended {
    let mut all_good = true;
    let mut documents = Vec::new();
    for file in files {
        let (profile, faults) = faults_of(file);
        all_good &= faults.is_empty();
        if json {
            documents.push(json!({
                "file": file.display().to_string(),
                "id": profile.as_ref().map(|profile| profile.id.clone()),
                "good": faults.is_empty(),
                "errors": faults,
            }));
            continue;
        }
        for fault in &faults {
            eprintln!("{fault}");
        }
        if let Some(profile) = profile.filter(|_| faults.is_empty()) {
            println!(
                "{}: good: {} for {} {}, {} registers, {} vectors",
                file.display(),
                profile.protocol(),
                profile.vendor,
                profile.model,
                profile.specs().len(),
                profile.vectors.len()
            );
        }
    }
    if json {
        println!("{}", Value::Array(documents));
    }
    if all_good { Ended::Done } else { Ended::No }
}

fn list(json: bool) -> Ended {
    if json {
        let all = Profile::shipped().map(|profile| {
            json!({
                "id": profile.id,
                "vendor": profile.vendor,
                "model": profile.model,
                "protocol": profile.protocol().text(),
            })
        });
        println!("{}", Value::Array(all.collect()));
        return Ended::Done;
    }
    for profile in Profile::shipped() {
        let protocol = profile.protocol().to_string();
        println!("{:<38} {protocol:<9} {} {}", profile.id, profile.vendor, profile.model);
    }
    Ended::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_whose_vector_does_not_hold_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let (_, good) = Profile::shipped_texts()
            .iter()
            .find(|(name, _)| *name == "generic-dlt645-energy.toml")
            .unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        assert_eq!(faults_of(&write("good.toml", good)).1, Vec::<String>::new());
        let wrong = faults_of(&write("wrong.toml", &good.replace("\"0.26\"", "\"0.27\""))).1;
        assert_eq!(wrong.len(), 1);
        assert!(
            wrong[0].contains("wrong.toml:") && wrong[0].contains("energy_import"),
            "{wrong:?}"
        );
        let broken = faults_of(&write("broken.toml", &good.replace("00010000", "0001"))).1;
        assert!(broken[0].contains("8 hex digits"), "{broken:?}");
        assert!(faults_of(&folder.path().join("none.toml")).1[0].contains("cannot be read"));
    }
}
