#!/usr/bin/env python3
"""Prints one table out of the log of bench.sh: what was measured, the bar, and whether it is reached.

  table.py LOG
"""

import json
import re
import statistics
import sys


def sections(log):
    """The log's lines by phase."""
    found, lines = {}, []
    for line in log:
        if line.startswith("== "):
            lines = found.setdefault(line[3:].strip(), [])
        lines.append(line.rstrip("\n"))
    return found


def results(lines):
    """The JSON lines, each with the line before it."""
    for before, line in zip(lines, lines[1:]):
        if line.startswith("{"):
            yield before, json.loads(line)


def compared(lines):
    """The rows of compare.py's table: peer -> (x rate, x CPU, % of a core, RSS in MB)."""
    rows = {}
    for line in lines:
        found = re.match(r"(rustmin|bare|product)(\*?) +[\d.]+ +[\d.]+ +([\d.]+) +([\d.]+) +[\d.]+ +[\d.]+ +([\d.]+) +([\d.]+) +\d+$", line)
        if found:
            rate, cpu, percent, rss = (float(found[n]) for n in range(3, 7))
            rows[found[1]] = (rate, cpu, percent, rss, found[2])
    return rows


def rows(found):
    for phase, placement in (("one", "one"), ("free", "free")):
        table = compared(found.get(phase, []))
        if "product" in table:
            rate, _, _, rss, mark = table["product"]
            note = " NOT ALL DELIVERED" if mark else ""
            product, rust = (float(line.split()[4]) for peer in ("product", "rustmin") for line in found[phase] if re.match(peer + r"\*? +\d+ +\d+ +\d", line))
            yield f"reads/s beside bare Rust, flat out, `{placement}`{note}", f"{rate:.2f} x", ">= 0.60 x", rate >= 0.6
            yield f"CPU per 10,000 reads beside bare Rust, `{placement}`", f"{product / rust:.2f} x", "<= 2 x", product / rust <= 2
            yield f"resident, 200 meters flat out, `{placement}`", f"{rss:.1f} MiB", "<= 24 MiB", rss <= 24
    table = compared(found.get("hz1", []))
    if "product" in table:
        _, _, percent, rss, _ = table["product"]
        ratio = percent / table["rustmin"][2]
        yield "CPU beside bare Rust, 200 meters at 1 Hz", f"{ratio:.2f} x ({percent:.1f} % of a core)", "<= 2.5 x", ratio <= 2.5
        yield "resident, 200 meters at 1 Hz", f"{rss:.1f} MiB", "<= 24 MiB", rss <= 24
    for _, one in results(found.get("memory", [])):
        steady, peak = one["rss_steady_mb"], one["rss_peak_mb"]
        yield f"resident, 1,000 meters at 1 Hz (peak {peak:.1f})", f"{steady:.1f} MiB", "<= 32 MiB", steady <= 32
    starts = list(results(found.get("start", [])))
    for which, what, bar in (("new", "a new state folder", 0.3), ("year", "a year of journal", 1.0)):
        times = [one["first_read_s"] for before, one in starts if before == f"start {which}"]
        if times:
            took = statistics.median(times)
            yield f"first reading after exec, {what}", f"{took:.3f} s", f"<= {bar} s", took <= bar
    for line in found.get("journal", []):
        parts = line.split()
        if len(parts) == 6 and parts[0].isdigit():
            share, gathered = float(parts[3]), float(parts[5])
            yield f"journal appends/s beside bare fdatasync, batch {parts[0]}", f"{share:.2f} x", ">= 0.80 x", share >= 0.8
            yield "  the same beside one write a batch of as many bytes", f"{gathered:.2f} x", "-", True
    for line in found.get("close", []):
        if line.startswith("durable in "):
            took = int(line.split()[2])
            yield "1,000 households with 8 lines each, closed durably", f"{took} ms", "<= 250 ms", took <= 250
    for phase in ("outage", "kill"):
        for _, one in results(found.get(phase, [])):
            lost = {k: v for k, v in one.items() if k.endswith("_lost")}
            yield f"{phase}: readings lost", " ".join(f"{k[:-5]} {v}" for k, v in lost.items()), "0", not any(lost.values())
            yield f"{phase}: out of order", str(one["out_of_order"]), "0", one["out_of_order"] == 0
            took = one["backlog_drained_s"]
            yield f"{phase}: backlog drained", f"{took} s", "< 2 s", took is not None and took < 2


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1]) as log:
        table = list(rows(sections(log)))
    width = max((len(what) for what, *_ in table), default=0)
    print(f"{'what':{width}}  {'measured':>24}  {'bar':>10}")
    for what, measured, bar, reached in table:
        print(f"{what:{width}}  {measured:>24}  {bar:>10}  {'reached' if reached else 'MISSED'}")


main()
