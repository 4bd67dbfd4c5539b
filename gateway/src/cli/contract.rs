//! `contract`: writes the contract with the cloud as files.

use super::Ended;
use crate::contract::files;
use anyhow::Context;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to write to; it is made where it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Prints one JSON document: the files' names
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let files = files();
    for file in &files {
        let path = args.out.join(&file.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        std::fs::write(&path, &file.text).with_context(|| path.display().to_string())?;
    }
    if args.json {
        let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        println!("{}", serde_json::json!({ "out": args.out, "files": names }));
    } else {
        println!("{} files in {}", files.len(), args.out.display());
        println!("begin with asyncapi.yaml; what it cannot say stands in docs/cloud.md");
    }
    Ok(Ended::Done)
}
