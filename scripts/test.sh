#!/bin/bash
# scripts/test.sh [ARGUMENTS]: installs what the tests need, builds the program as it ships, runs
# every test. ARGUMENTS go to the test runner: `scripts/test.sh -p blockgate-rules`.
#
# Debian 12 or newer, as root or with sudo; elsewhere install mosquitto, its clients, socat and
# Python's venv module first. Nothing is left running: see `install` below.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(gcc libc6-dev mosquitto mosquitto-clients socat python3-venv faketime e2fsprogs xfsprogs
  postgresql rabbitmq-server iproute2 chromium chromium-driver fonts-noto-cjk)
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

have() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install() {
  local missing=() package service running=()
  for package in "${packages[@]}"; do have "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  # Debian starts these services with their packages. The tests start their own, on their own ports, so
  # one that came only because of us is stopped again; one that was here before is not touched.
  for service in mosquitto rabbitmq-server postgresql; do
    have "$service" || running+=("$service")
  done
  echo "installing: ${missing[*]}"
  "${as_root[@]}" apt-get -qq update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
  for service in "${running[@]}"; do
    if [ -d /run/systemd/system ]; then
      "${as_root[@]}" systemctl disable --quiet --now "$service.service" || true
    else
      "${as_root[@]}" service "$service" stop >/dev/null 2>&1 || true
    fi
  done
}

peers() { # .venv holds exactly tests/requirements.txt; it is made again when that file changes
  cmp -s tests/requirements.txt .venv/installed.txt && return 0
  local python=/usr/bin/python3
  [ -x "$python" ] || python=python3
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
  cp tests/requirements.txt .venv/installed.txt
}

if command -v dpkg-query >/dev/null; then
  install
else
  for tool in cc mosquitto mosquitto_pub socat python3; do
    command -v "$tool" >/dev/null || { echo "not Debian: install $tool first" >&2; exit 3; }
  done
fi
peers

cargo build --release --locked --package blockgate --bin blockgate
export BLOCKGATE_BIN="${CARGO_TARGET_DIR:-$PWD/target}/release/blockgate"
export BLOCKGATE_PYTHON="$PWD/.venv/bin/python"

cargo test --quiet --workspace --locked --doc
# The runner's summary is the last thing printed.
if cargo nextest --version >/dev/null 2>&1; then
  exec cargo nextest run --workspace --locked "$@"
else
  exec cargo test --workspace --locked --no-fail-fast --lib --bins --tests "$@"
fi
