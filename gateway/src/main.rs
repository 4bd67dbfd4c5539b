//! `blockgate`: arguments to the library, the answer to an exit code.

fn main() -> std::process::ExitCode {
    blockgate::cli::main()
}
