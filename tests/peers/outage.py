#!/usr/bin/env python3
"""60 s without a broker, beside the programs that people would take instead: who loses what.

  outage.py [PEER...] [--after SECONDS] [--slot N]

20 meters, one reading a second of each, to a consumer at QoS 1 that is nobody's own. Two runs, each with all peers side
by side, every one with a simulator, a broker and ports of its own:

  outage   the broker is stopped, and started again after 60 s
  kill     the same, and 30 s into it the peer is killed (SIGKILL) and started again a second later, the broker still away

A row meets what it names: `lost` nothing lost without a kill, `order` each meter's readings in their order in both runs,
`kill` nothing lost that was confirmed before the kill, of live values that were not at most one commit interval of ours
(200 ms, 4 readings), and nothing that was read after the restart; `drain` what waited is there 2 s after the broker is. The
peers confirm nothing to anybody, so that theirs are the lost readings alone; ours is also held to its journal: it must
verify, and every reading in it must have come to the consumer.

PEERS: bare rustmin pymb tb tbsqlite tbfile nodered collectd modpoll, all of them when none is named; blockgate (`product`)
always runs. BLOCKGATE_PEERS_KIT names the folder of the comparison kit, PEERS_DIR where it is installed, BLOCKGATE_BIN the
program (the release build). Exit code 1 when blockgate misses one of the four.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ["bare", "rustmin", "pymb", "tb", "tbsqlite", "tbfile", "nodered", "collectd", "modpoll"]
OURS = "product"
OUTAGE = 60
# 200 ms of 20 readings a second: `commit_interval` as it is when nothing is said.
UNCONFIRMED_MAX = 4
DRAIN_MAX = 2.0


def places():
    """The kit, where it is installed, and our program."""
    kit, installed = Path(os.environ.get("BLOCKGATE_PEERS_KIT", "")), Path(os.environ.get("PEERS_DIR", ""))
    if not (kit / "harness.py").is_file():
        sys.exit("BLOCKGATE_PEERS_KIT does not name the comparison kit (the folder with harness.py)")
    if not (installed / "bin/sim").exists():
        sys.exit("PEERS_DIR does not name an installed kit (bin/sim is missing)")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = Path(os.environ.get("BLOCKGATE_BIN", target / "release/blockgate"))
    if not program.exists():
        sys.exit(f"{program} is missing: cargo build --release -p blockgate --bin blockgate")
    return kit, installed, program


def surroundings(program):
    """How the kit starts our program, and the cloud that confirms beside it."""
    prepare = f"{HERE}/write-config {{folder}} {{base}} {{ports}} {{units}} {{interval_ms}} {{tls_port}} {{ca}}"
    return {
        **os.environ,
        "PRODUCT_PREPARE": prepare,
        "PRODUCT_ARGV": f"{program} run --config {{folder}}/blockgate.toml",
        "PRODUCT_BESIDE": f"{sys.executable} {HERE}/cloud.py {{broker_port}}",
        "PRODUCT_PARSE": str(HERE / "parse.py"),
    }


def run(kit, phase, peers, options, environment):
    """All of them side by side: peer -> what the kit's judge says, None where it could not run."""
    running = []
    for place, peer in enumerate(peers):
        argv = [sys.executable, kit / "harness.py", peer, phase, "--ports", 2, "--units", 10, "--outage", OUTAGE]
        argv += ["--after", options.after, "--slot", options.slot + place, *(["--tls"] if peer == OURS else [])]
        argv = [str(word) for word in argv]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        running.append((peer, process))
        time.sleep(1)  # one starts after the other
    said = {}
    for peer, process in running:
        out, err = process.communicate()
        said[peer] = json.loads(out) if process.returncode == 0 else None
        if said[peer] is None:
            print(f"{peer}, {phase}: {err.strip() or 'no result'}", file=sys.stderr)
    return said


def readings(parse, lines):
    return {reading for topic, payload in lines for reading in parse(topic, payload)}


def journal_is_there(program, folder):
    """What our journal holds and the consumer never got, and whether the journal verifies; a sentence, or None."""
    state = folder / "state"
    verified = subprocess.run([program, "journal", "verify", "--state", state], capture_output=True, text=True)
    if verified.returncode:
        return f"the journal does not verify: {verified.stdout}{verified.stderr}"
    specification = importlib.util.spec_from_file_location("parse", HERE / "parse.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    exported = subprocess.run([program, "journal", "export", "--state", state], capture_output=True, text=True, check=True)
    kept = [line for line in exported.stdout.splitlines() if '"blockgate.reading.v1"' in line]
    with open(folder / "sink.tsv", errors="replace") as sink:
        came = [row for row in (line.rstrip("\n").split("\t", 2)[1:] for line in sink) if len(row) == 2]
    # What was read in the last second may still have been on its way when the consumer was ended.
    newest = readings(module.parse, (("/evt/reading", line) for line in kept[-40:]))
    missing = readings(module.parse, (("/evt/reading", line) for line in kept)) - readings(module.parse, came) - newest
    return f"{len(missing)} journaled readings never came" if missing else None


def met(outage, kill):
    """Which of the four a peer meets."""
    killed = kill["outage_before_kill_lost"] <= UNCONFIRMED_MAX and kill["outage_after_restart_lost"] == 0
    drains = [one["backlog_drained_s"] for one in (outage, kill)]
    return {
        "lost": outage["outage_lost"] == 0 and outage["after_lost"] == 0,
        "order": outage["out_of_order"] == 0 and kill["out_of_order"] == 0,
        "kill": killed and kill["after_lost"] == 0,
        "drain": all(drain is not None and drain < DRAIN_MAX for drain in drains),
    }


def row(peer, outage, kill, four):
    """One line of the table."""
    drained = [f"{one['backlog_drained_s']:.2f}" if one["backlog_drained_s"] is not None else "never" for one in (outage, kill)]
    cells = [
        f"{outage['outage_lost']} of {outage['outage_reads']}",
        str(outage["after_lost"]),
        f"{outage['out_of_order']}, {kill['out_of_order']}",
        f"{kill['outage_before_kill_lost']} of {kill['outage_before_kill_reads']}",
        f"{kill['outage_after_restart_lost']} of {kill['outage_after_restart_reads']}",
        f"{drained[0]}, {drained[1]}",
        f"{outage['duplicates']}, {kill['duplicates']}",
        f"{outage['rss_end_outage_mb']:.0f}",
        " ".join(name for name, reached in four.items() if reached) or "none",
    ]
    return f"| {'blockgate' if peer == OURS else peer} | " + " | ".join(cells) + " |"


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("peers", nargs="*", metavar="PEER", help=", ".join(PEERS))
    a.add_argument("--after", type=int, default=60, help="seconds after the broker is back (60)")
    a.add_argument("--slot", type=int, default=20, help="the first run's place among the kit's ports (20)")
    options = a.parse_args()
    if unknown := [peer for peer in options.peers if peer not in PEERS]:
        a.error(f"no peer named {' '.join(unknown)}; there are: {' '.join(PEERS)}")
    kit, installed, program = places()
    peers, environment = [OURS, *(options.peers or PEERS)], surroundings(program)
    said = {phase: run(kit, phase, peers, options, environment) for phase in ("outage", "kill")}
    print(f"load {os.getloadavg()[0]:.1f}; 20 meters at 1 Hz, {OUTAGE} s without a broker, all side by side; two figures: outage, kill")
    print("| | lost of the outage's | after it | out of order | before the kill | after the restart | drained, s | twice | MB | meets |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    reached = False
    for peer in peers:
        outage, kill = said["outage"][peer], said["kill"][peer]
        if outage is None or kill is None:
            print(f"| {peer} | could not run |")
            continue
        four = met(outage, kill)
        if peer == OURS:
            for phase in ("outage", "kill"):
                if wrong := journal_is_there(program, installed / "run" / f"{OURS}-{phase}-{options.slot}"):
                    print(f"{phase}: {wrong}", file=sys.stderr)
                    four["kill"] = False
            reached = all(four.values())
        print(row(peer, outage, kill, four), flush=True)
    sys.exit(not reached)


main()
