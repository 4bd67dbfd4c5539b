//! `generate`: manual pages and completions, made from the same definitions that parse the arguments,
//! so that neither can fall behind. Called when a package is built; not shown in the help.

use super::{Cli, Ended};
use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to write into: man8/, bash/, zsh/, fish/
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let sub = |name: &str| -> anyhow::Result<PathBuf> {
        let folder = args.folder.join(name);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    };
    manual(&Cli::command(), &sub("man8")?)?;
    for (shell, name) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        clap_complete::generate_to(shell, &mut Cli::command(), "blockgate", sub(name)?)?;
    }
    Ok(Ended::Done)
}

/// `blockgate.8` and one page for each command that the help shows: `blockgate-run.8`.
fn manual(command: &clap::Command, folder: &Path) -> anyhow::Result<()> {
    let mut pages = vec![("blockgate".to_owned(), command.clone())];
    while let Some((name, command)) = pages.pop() {
        let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        pages.extend(shown.map(|sub| (format!("{name}-{}", sub.get_name()), sub.clone())));
        // clap keeps a command's name as a string of the program's whole life; these few are leaked
        // by a command that ends at once.
        let title: &'static str = Box::leak(name.clone().into_boxed_str());
        let page = clap_mangen::Man::new(command.disable_help_subcommand(true).name(title));
        let mut text = Vec::new();
        page.section("8")
            .source(concat!("blockgate ", env!("CARGO_PKG_VERSION")))
            .render(&mut text)?;
        let file = folder.join(format!("{name}.8"));
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    }
    Ok(())
}
