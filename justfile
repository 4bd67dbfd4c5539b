# `just` lists the commands. Each is one line, so `cargo` alone works too.

default:
    @just --list

# The quick checks, before every commit.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
    cargo test --locked --package blockgate-e2e --test tidy

# All tests, or those whose name holds NAME; installs the tests' peers first.
test *NAME:
    scripts/test.sh {{ NAME }}

# A simulated block on this machine; prints the page's address.
demo *ARGUMENTS:
    cargo run --release --locked -- demo {{ ARGUMENTS }}

# Licences, bans, sources and known vulnerabilities (needs cargo-deny; the last one needs a network).
deny:
    cargo deny check

# The same order as in CI, nothing hidden.
ci:
    .ci/run
