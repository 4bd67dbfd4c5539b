#!/usr/bin/env python3
"""What a barrier waits for: POST /v1/payment-status beside the bare C and warp endpoints, in interleaved rounds.

  gate.py [--rounds N] [--soak SECONDS] [--households N] [--meters N]

The gateway runs as installed: with authentication and journaling, its cloud unreachable, a Modbus TCP line polled as fast
as it goes, and the close of many months running (the first start is set back by libfaketime, so that the second one has
them all to close). Four measurements, each in rounds one after the other for C, warp and the gateway:

  paced      one query every 5 ms on one kept connection, and on a new connection each (httpping)
  unpaced    as fast as it goes on 1 and on 32 kept connections (wrk)
  soak       one query every 5 ms for so many seconds, the gateway alone: the longest answer

Quote ratios of medians out of one call only. PEERS_DIR names the installed comparison kit (bin/chttp, bin/httpmin,
bin/httpping, bin/sim), BLOCKGATE_BIN the program (default: the release build). wrk and libfaketime are Debian's.
"""

import argparse
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PORTS = {"C": 25100, "warp": 25101, "gateway": 25110}
LINE, DEAD = 25120, 25139
TOKEN = "bench-token-of-a-barrier"
LANE, PLATE = "north-in", "粤B12345"


def programs():
    kit = Path(os.environ.get("PEERS_DIR", ""))
    if not (kit / "bin/chttp").exists():
        sys.exit("PEERS_DIR does not name an installed kit with bin/chttp, bin/httpmin, bin/httpping and bin/sim")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    gateway = Path(os.environ.get("BLOCKGATE_BIN", target / "release/blockgate"))
    if not gateway.exists():
        sys.exit(f"{gateway} is missing: cargo build --release -p blockgate --bin blockgate")
    return kit / "bin", gateway


def start(argv, log, env=None):
    with open(log, "ab") as out:
        return subprocess.Popen(
            [str(a) for a in argv], stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}
        )


def wait_port(port, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def median(values):
    values = sorted(values)
    return values[len(values) // 2]


def write_config(folder, households, meters):
    """200 meters on one line, households with two monthly items each, one lane."""
    ca = folder / "ca.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=nobody", "-keyout", folder / "ca.key", "-out", ca], check=True, capture_output=True)  # fmt: skip
    argv = [HERE / "write-config", folder, LINE, 1, meters, 0, DEAD, ca]
    subprocess.run([sys.executable, *map(str, argv)], check=True)
    text = (folder / "blockgate.toml").read_text()
    text += f'\n[http]\nlisten = "127.0.0.1:{PORTS["gateway"]}"\n'
    text += f'\n[[barrier]]\nlane = "{LANE}"\nvendor = "vzenith"\nopen = "answer"\nfail_safe = "ask"\n'
    text += f'\n[[camera]]\nid = "cam-1"\nlane = "{LANE}"\nvendor = "vzenith"\n'
    text += (HERE / "parking.toml").read_text()
    for number in range(households):
        text += (
            f'\n[[account]]\nid = "a-{number:04}"\nbuilding = "1"\narea_m2 = "88.5"\ncharges = [\n'
            '  { item = "property-fee", tariff = "property-fee" },\n  { item = "garbage-fee", tariff = "garbage-fee" },\n]\n'
        )
    (folder / "blockgate.toml").write_text(text)
    (folder / "rules.d").mkdir(exist_ok=True)
    for name in ("property", "parking"):
        shutil.copy(ROOT / f"rules/tariffs/{name}.toml", folder / f"rules.d/{name}.toml")
    state = folder / "state"
    state.mkdir(exist_ok=True)
    tokens = state / "tokens.toml"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    tokens.write_text(
        f'[tokens.bench]\nsha256 = "{digest}"\nscopes = ["payment-status", "metrics"]\nrate_per_second = 1000000\n'
    )
    tokens.chmod(0o600)
    body = json.dumps({"lane": LANE, "plate": PLATE}, ensure_ascii=False).encode()
    head = (
        f"POST /v1/payment-status HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    (folder / "question.http").write_bytes(head.encode() + body)
    (folder / "question.lua").write_text(
        'wrk.method = "POST"\n'
        f"wrk.body = '{body.decode()}'\n"
        f'wrk.headers["Authorization"] = "Bearer {TOKEN}"\nwrk.headers["Content-Type"] = "application/json"\n'
    )


def set_up(log):
    """The first password, as a person sets it."""
    code = re.search(r"code=(\S+)", re.sub(r"\x1b\[[0-9;]*m", "", log.read_text())).group(1)
    form = urllib.parse.urlencode({"code": code, "password": "a long password", "again": "a long password"})
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORTS['gateway']}/setup",
        form.encode(),
        {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"},
    )
    opener = urllib.request.build_opener(NoRedirect)
    try:
        opener.open(request)
    except urllib.error.HTTPError as answer:
        if answer.code != 303:
            sys.exit(f"the set-up answered {answer.code}: {answer.read()[:300]}")


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def count(name):
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORTS['gateway']}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    text = urllib.request.urlopen(request).read().decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def ping(binaries, folder, name, flags, queries, gap=5000):
    argv = [binaries / "httpping", *flags]
    if name == "gateway":
        argv += ["-r", folder / "question.http"]
    out = subprocess.run([str(a) for a in [*argv, PORTS[name], queries, gap]], capture_output=True, text=True, check=True)
    row = json.loads(out.stdout)
    if row["not_2xx"]:
        sys.exit(f"{name} answered {row['not_2xx']} times with something other than 2xx")
    return row


def wrk(folder, name, connections, seconds):
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    argv += ["-s", folder / "question.lua", f"http://127.0.0.1:{PORTS[name]}/v1/payment-status"] if name == "gateway" else [
        f"http://127.0.0.1:{PORTS[name]}/gate/P00042"
    ]  # fmt: skip
    out = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out:
        sys.exit(f"{name} answered with something other than 2xx:\n{out}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--soak", type=int, default=0)
    options.add_argument("--households", type=int, default=500)
    options.add_argument("--meters", type=int, default=200)
    options = options.parse_args()
    binaries, gateway = programs()
    fake = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
    if not fake:
        sys.exit("libfaketime is missing (Debian package libfaketime)")
    folder = Path(tempfile.mkdtemp(prefix="gate."))
    running = []
    try:
        write_config(folder, options.households, options.meters)
        log = folder / "gateway.log"
        running.append(start([binaries / "sim", LINE, 1, LINE + 9], folder / "sim.log"))
        running.append(start([binaries / "chttp", PORTS["C"]], folder / "c.log"))
        running.append(start([binaries / "httpmin", "warp", PORTS["warp"]], folder / "warp.log"))
        argv = [gateway, "run", "--config", folder / "blockgate.toml"]
        # Months that wait for their close.
        early = start(argv, log, {"LD_PRELOAD": fake, "FAKETIME": "@2020-01-02 08:00:00", "NO_COLOR": "1"})
        wait_port(PORTS["gateway"])
        set_up(log)
        time.sleep(3)
        stop(early)
        running.append(start(argv, log))
        for port in PORTS.values():
            wait_port(port)
        load = os.getloadavg()[0]
        print(f"load {load:.1f}; {options.rounds} rounds; medians; lines at full speed, no broker, months closing", flush=True)
        began = time.monotonic()
        reads, bills = count("blockgate_meter_reads_total"), count("blockgate_bills_total")
        rows = {}
        for _ in range(options.rounds):
            for kind, flags, queries in (("kept", [], 1500), ("new", ["-n"], 500)):
                for name in PORTS:
                    rows.setdefault((kind, name), []).append(ping(binaries, folder, name, flags, queries))
            for connections in (1, 32):
                for name in ("warp", "gateway"):
                    rows.setdefault((connections, name), []).append(wrk(folder, name, connections, 2))
        passed = time.monotonic() - began
        reads, bills = count("blockgate_meter_reads_total") - reads, count("blockgate_bills_total") - bills
        print("paced, 5 ms   server     p50 us   p99 us   p99.9 us   max us   x C    x warp")
        for kind in ("kept", "new"):
            for name in PORTS:
                r = rows[kind, name]
                of = lambda key, rows: median([row[key] for row in rows])  # noqa: E731
                p99 = of("p99_us", r)
                print(
                    f"{kind:12}  {name:8}{of('p50_us', r):>9.0f}{p99:>9.0f}{of('p999_us', r):>11.0f}"
                    f"{max(row['max_us'] for row in r):>9.0f}{p99 / of('p99_us', rows[kind, 'C']):>6.2f}"
                    f"{p99 / of('p99_us', rows[kind, 'warp']):>9.2f}"
                )
        print("unpaced       warp /s   gateway /s   share of warp")
        for connections in (1, 32):
            warp, ours = median(rows[connections, "warp"]), median(rows[connections, "gateway"])
            print(f"{connections:>2} connections {warp:>8.0f}{ours:>12.0f}{ours / warp:>13.0%}")
        print(f"meanwhile: {reads / passed:.0f} polls/s, {bills:.0f} bills closed in {passed:.0f} s")
        if options.soak:
            row = ping(binaries, folder, "gateway", [], options.soak * 200)
            print(f"soak {options.soak} s: p50 {row['p50_us']} p99 {row['p99_us']} p99.9 {row['p999_us']} max {row['max_us']} us")
    finally:
        for process in reversed(running):
            stop(process)
        if os.environ.get("KEEP"):
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


main()
