#!/usr/bin/env python3
"""A fleet on a clustered broker: gateways that bill a month, three nodes of RabbitMQ, the reference
consumer and PostgreSQL; a node is killed and a network is cut in the middle. What arrived is compared
with what the gateways' journals hold, event by event.

  fleet.py --fleet PROGRAM [--gateways N] [--seconds S] [--folder DIR] [--faults none|all] [--keep]

As root on Debian with rabbitmq-server, postgresql and iproute2; everything runs in network namespaces
that it makes. Exit 0 when everything arrived once and unaltered, 1 when not, 77 when this machine
cannot run it (with the reason on standard error). The last line is one JSON document.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent


def cannot():
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "setpriv"):
        if not shutil.which(tool):
            return f"{tool} is not installed"
    if not pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists():
        return "rabbitmq-server is not installed"
    if not list(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return "postgresql is not installed"
    probe = f"bgprobe{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode:
        return "network namespaces cannot be made here"
    subprocess.run(["ip", "netns", "del", probe], capture_output=True)
    try:
        import paho.mqtt.client  # noqa: F401
        import psycopg  # noqa: F401
    except ImportError as error:
        return f"a Python package is missing: {error.name}"
    return None


class Site:
    def __init__(self, folder, name):
        self.folder, self.name, self.running = folder, name, []
        self.inside = ["ip", "netns", "exec", f"{name}0"]

    def start(self, name, argv, **more):
        log = open(self.folder / f"{name}.log", "ab")
        process = subprocess.Popen(argv, stderr=log, start_new_session=True, **{"stdout": log, "stdin": subprocess.DEVNULL, **more})
        self.running.append(process)
        return process

    def stop(self, process, how=signal.SIGTERM, limit=30):
        if process.poll() is None:
            os.killpg(process.pid, how)
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def postgres(self):
        bin_ = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        data = self.folder / "postgres"
        data.mkdir()
        shutil.chown(data, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        subprocess.run([*as_user, str(bin_ / "initdb"), "-A", "trust", "-U", "blockgate", "-D", str(data / "data")],
                       check=True, stdout=subprocess.DEVNULL, cwd="/")
        self.start("postgres", [*self.inside, *as_user, str(bin_ / "postgres"), "-D", str(data / "data"), "-h", "127.0.0.1",
                                "-p", "5433", "-k", str(data)], cwd="/")
        self.psql = [*self.inside, str(bin_ / "psql"), "-X", "-A", "-t", "-h", "127.0.0.1", "-p", "5433", "-U", "blockgate", "-d", "postgres"]
        end = time.monotonic() + 60
        while subprocess.run([*self.psql, "-c", "SELECT 1"], capture_output=True).returncode:
            if time.monotonic() > end:
                sys.exit("PostgreSQL does not come up")
            time.sleep(0.2)

    def ask(self, query):
        return subprocess.run([*self.psql, "-c", query], check=True, capture_output=True, text=True).stdout.strip()


class Cluster:
    def __init__(self, site):
        self.process = site.start("cluster", [sys.executable, str(HERE / "rabbit.py"), str(site.folder / "tls"), site.name],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("ready")

    def expect(self, word):
        line = self.process.stdout.readline().strip()
        if line != word:
            sys.exit(f"the cluster says {line!r} and not {word!r}")

    def tell(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        self.expect("done")

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait()


class Fleet:
    """The gateways' process; `lines` grows as it reports."""

    def __init__(self, site, program, gateways, seconds):
        self.lines = []
        self.process = site.start("fleet", [*site.inside, program, "run", str(site.folder), str(gateways), "broker", "8883", str(seconds)],
                                  stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append({**json.loads(line), "at": time.monotonic()})

    def last(self):
        return next((line for line in reversed(self.lines) if "waiting" in line), None)

    def until(self, holds, limit, what):
        end = time.monotonic() + limit
        while self.process.poll() is None and time.monotonic() < end:
            last = self.last()
            if last and holds(last):
                return True
            time.sleep(0.05)
        if self.process.poll() is None:
            sys.exit(f"not within {limit} s: {what}; {self.last()}")
        return False


def run(options, folder):
    site = Site(folder, f"bgf{os.getpid() % 10000}")
    fleet = cluster = None
    subprocess.run([options.fleet, "certificates", str(folder / "tls")], check=True)
    try:
        cluster = Cluster(site)
        site.postgres()
        tls = folder / "tls"
        consumer = site.start("consumer", [
            *site.inside, sys.executable, str(HERE.parent.parent / "examples/consumer/consumer.py"), "--broker", "broker:8883",
            "--ca", str(tls / "ca.crt"), "--cert", str(tls / "cloud.crt"), "--key", str(tls / "cloud.key"), "--mqtt", "3.1.1",
            "--database", "host=127.0.0.1 port=5433 user=blockgate dbname=postgres", "--tenant", "fleet", "--client-id", "consumer",
            "--ask-after", "10", "--stats", "5"], stdout=open(folder / "consumer.json", "wb"))
        fleet = Fleet(site, options.fleet, options.gateways, options.seconds)
        limit = 300 + options.seconds + 3 * options.gateways
        faults = []
        bills = options.gateways * 40
        fleet.until(lambda now: now["bills"] >= bills // 10, limit, "a tenth of the bills is issued")

        def fault(what, order, mend=None, hold=0.0):
            before = fleet.last()
            began = time.monotonic()
            cluster.tell(order)
            lost = 0
            # From the fault until every gateway is connected again, by what the gateways themselves say.
            end = began + 240
            dipped = False
            while time.monotonic() < end and fleet.process.poll() is None:
                now = fleet.last()
                lost = max(lost, options.gateways - now["connected"])
                dipped = dipped or now["connects"] > before["connects"] or now["connected"] < options.gateways
                if dipped and now["connected"] == options.gateways and now["at"] > began + hold:
                    break
                if not dipped and time.monotonic() > began + 30:
                    break
                if mend and time.monotonic() > began + 60:
                    cluster.tell(mend)
                    mend = None
                time.sleep(0.05)
            recovered = time.monotonic() - began
            if mend:
                cluster.tell(mend)
            faults.append({"what": what, "disconnected_at_most": lost, "all_connected_after_s": round(recovered, 1)})

        if options.faults == "all":
            fleet.until(lambda now: now["connected"] == options.gateways, limit, "all are connected")
            fault("the consumer's node killed (SIGKILL), started again", "kill 1", "start 1")
            fleet.until(lambda now: now["connected"] == options.gateways, limit, "all are connected again")
            fault("a node cut off from all others, healed", "cut 3", "heal 3")
        fleet.process.wait(limit)
        fleet.reader.join(10)
        if fleet.process.returncode:
            sys.exit(f"the fleet ended with {fleet.process.returncode}, see {folder}/fleet.log")
        expected = set((folder / "expected.tsv").read_text().splitlines())
        end = time.monotonic() + 60
        while int(site.ask("SELECT count(*) FROM event")) < len(expected) and time.monotonic() < end:
            time.sleep(0.5)
        site.stop(consumer)
        got = site.ask("SELECT gateway || E'\\t' || seq || E'\\t' || id || E'\\t' || encode(hash, 'hex') FROM event").splitlines()
        counts = json.loads((folder / "consumer.json").read_text().splitlines()[-1])
        start = next(line for line in fleet.lines if line.get("phase") == "bill run")["ms"]
        done = next(line for line in fleet.lines if line.get("waiting") == 0 and line["bills"] >= bills)
        seconds = (done["ms"] - start) / 1000
        messages = counts["messages"] - counts["unreadable"]
        result = {
            "gateways": options.gateways, "events": len(expected), "bills": bills,
            "lost": len(expected - set(got)), "doubled": len(got) - len(set(got)), "unknown": len(set(got) - expected),
            "altered": int(site.ask("SELECT count(*) FROM altered")),
            "through_whole": int(site.ask("SELECT count(*) FROM gateway WHERE through = highest")),
            "bill_run_s": round(seconds, 1), "events_per_s": round(len(expected) / (done["ms"] / 1000)),
            "whole_run_s": round(done["ms"] / 1000, 1), "deliveries": messages, "repeated": messages - len(expected),
            "resends": counts["resends"], "connects": done["connects"], "rss_mib": max(l.get("rss_mib", 0) for l in fleet.lines),
            "faults": faults, "load": os.getloadavg()[0],
        }
        print(json.dumps(result), flush=True)
        good = not any(result[key] for key in ("lost", "doubled", "unknown", "altered"))
        return 0 if good and result["through_whole"] == options.gateways else 1
    finally:
        for process in reversed(site.running):
            if not cluster or process is not cluster.process:
                site.stop(process)
        if cluster:
            cluster.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fleet", required=True, metavar="PROGRAM")
    parser.add_argument("--gateways", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=25, help="over which the gateways close their month")
    parser.add_argument("--check", action="store_true", help="only says whether this machine can run it")
    parser.add_argument("--folder")
    parser.add_argument("--faults", choices=("none", "all"), default="all")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    if reason := cannot():
        print(f"skipped: {reason}", file=sys.stderr)
        return 77
    if options.check:
        return 0
    folder = pathlib.Path(options.folder or tempfile.mkdtemp(prefix="fleet-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        return run(options, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
