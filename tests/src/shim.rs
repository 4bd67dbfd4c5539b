//! Disk calls of a real daemon that fail at a number: `shim.c`, compiled by the test that needs it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It gives EIO; later ones work.
    Once,
    /// It and all later ones give EIO.
    Ever,
    /// The file system is shut down without a flush of its log.
    Cut,
}

impl How {
    fn word(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Ever => "ever",
            Self::Cut => "cut",
        }
    }
}

/// The compiled library.
#[derive(Debug)]
pub struct Shim {
    library: PathBuf,
    mark: PathBuf,
}

impl Shim {
    /// Compiles it into a folder. `None` where there is no C compiler, or none that can do that.
    #[must_use]
    pub fn compile(folder: &Path) -> Option<Self> {
        let library = folder.join("shim.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library);
        let done = compiler.arg(crate::source("tests/src/shim.c")).arg("-ldl").output();
        let done = done.is_ok_and(|output| output.status.success());
        done.then(|| Self { library, mark: folder.join("struck") })
    }

    /// Lets the `at`-th call below `under` of this program fail, from 1.
    pub fn plan(&self, command: &mut Command, under: &Path, at: u64, how: How) {
        let _ = std::fs::remove_file(&self.mark);
        command
            .env("LD_PRELOAD", &self.library)
            .env("SHIM_UNDER", under)
            .env("SHIM_AT", at.to_string())
            .env("SHIM_HOW", how.word())
            .env("SHIM_MARK", &self.mark);
    }

    /// Whether the call has come.
    #[must_use]
    pub fn struck(&self) -> bool {
        self.mark.exists()
    }
}
