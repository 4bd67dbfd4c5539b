#!/usr/bin/env python3
"""The second ledger: recomputes every bill from the readings that a consumer saw, without any code of blockgate.

  recompute.py EVENTS.jsonl CONFIG-FOLDER      prints one JSON document; exit code 1 when anything differs

EVENTS.jsonl has one received event a line (CloudEvents JSON, as published; repeated deliveries are welcome).
CONFIG-FOLDER has blockgate.toml and rules.d/*.toml: who is charged for what, and the prices.

What it holds against the gateway:
  delivery   sequence numbers from 1 without a hole; one id, one content
  readings   each used quantity is the difference of two values that were sent, each chain is unbroken
  bills      opening and closing reading as the rule says, quantity, tiers, windows, area, every line and total to the
             fen; consecutive bills meet at one reading; each charge of a closed period has its bill or its reason
It knows the kinds flat, graduated (by month), tou and per_area; a tariff of another kind is an error, not a pass.
"""

import collections
import datetime
import hashlib
import json
import sys
import tomllib
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

TAKEN = ("opened", "accepted", "rollover", "exchanged", "rebased")


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def fen(yuan):
    """Yuan to fen, half away from zero."""
    return int((Decimal(yuan) * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


class Ledger:
    def __init__(self, events, folder):
        config = tomllib.loads((folder / "blockgate.toml").read_text())
        self.zone = ZoneInfo(config["gateway"]["zone"])
        self.grace = self.span(config["billing"]["close_grace"])
        self.multiplier = {m["id"]: Decimal(m.get("multiplier", "1")) for m in config.get("meter", [])}
        self.accounts = {a["id"]: a for a in config.get("account", [])}
        self.tariffs, self.parking = {}, {}
        for file in sorted((folder / "rules.d").glob("*.toml")):
            rules = tomllib.loads(file.read_text())
            for tariff in rules.get("tariff", []):
                self.tariffs[tariff["id"]] = tariff
            for tariff in rules.get("parking", []):
                self.parking[tariff["id"]] = tariff["revision"][-1]
        self.errors, self.duplicates = [], 0
        self.events = self.deliver(events)
        self.readings = collections.defaultdict(list)  # (meter, register) -> [(at, id, value, verdict, used)]
        self.by_id = {}
        self.bills, self.closed = [], []

    @staticmethod
    def span(text):
        return datetime.timedelta(seconds=int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]])

    def wrong(self, what):
        self.errors.append(what)

    def deliver(self, lines):
        """The events by sequence number, each id once."""
        content, by_seq = {}, {}
        for line in lines:
            event = json.loads(line)
            digest = hashlib.sha256(line.strip().encode()).hexdigest()
            if event["id"] in content:
                self.duplicates += 1
                if content[event["id"]] != digest:
                    self.wrong(f"id {event['id']} came with two contents")
                continue
            content[event["id"]] = digest
            if event["seq"] in by_seq:
                self.wrong(f"seq {event['seq']} was given to two events")
            kind = event["data"]["kind"]
            if event["specversion"] != "1.0" or event["type"] != f"blockgate.{kind}.v1":
                self.wrong(f"seq {event['seq']}: the envelope does not fit its data")
            by_seq[event["seq"]] = event
        for seq in range(1, max(by_seq, default=0) + 1):
            if seq not in by_seq:
                self.wrong(f"seq {seq} never came")
        return [by_seq[seq] for seq in sorted(by_seq)]

    # -- readings

    def take_readings(self):
        last = {}
        for event in self.events:
            data = event["data"]
            if data["kind"] == "bill":
                self.bills.append(data)
            elif data["kind"] == "ledger":
                self.closed.append(data)
            if data["kind"] != "reading":
                continue
            for index, reading in enumerate(data["readings"]):
                name = f"{event['seq']}.{index}"
                key, value = (reading["meter"], reading["register"]), Decimal(reading["value"])
                verdict, before = reading["verdict"], last.get(key)
                used = Decimal(reading.get("used", "0"))
                self.by_id[name] = (key, instant(reading["at"]), value)
                if verdict != "opened" and (before is None or reading["from"] != before[0]):
                    self.wrong(f"reading {name} does not follow the reading before it")
                if verdict == "accepted" and before and used != value - before[1]:
                    self.wrong(f"reading {name}: used {used}, but the values differ by {value - before[1]}")
                if verdict == "accepted" and used < 0:
                    self.wrong(f"reading {name}: a negative use")
                if verdict == "opened" and before is not None:
                    self.wrong(f"reading {name}: a new baseline without a word")
                if verdict in TAKEN:
                    last[key] = (name, value)
                    self.readings[key].append((instant(reading["at"]), name, value, used))

    def midnight(self, day):
        return datetime.datetime.combine(datetime.date.fromisoformat(day), datetime.time(), self.zone)

    def closing(self, key, edge):
        """The first reading at or after the edge within the grace, else the last before it."""
        for at, name, _, _ in self.readings[key]:
            if edge <= at <= edge + self.grace:
                return name
        earlier = [name for at, name, _, _ in self.readings[key] if at < edge]
        return earlier[-1] if earlier else None

    # -- prices

    def revision(self, tariff, day):
        found = [r for r in tariff["revision"] if r["from"] <= day]
        return max(found, key=lambda r: r["from"])

    def windows(self, revision, key, opening, closing):
        """The quantity in each window, time split evenly inside an interval that crosses an edge."""
        spans = []
        for window in revision["windows"]:
            for span in window["spans"]:
                a, b = (int(t[:2]) * 60 + int(t[3:]) for t in span.split("-"))
                spans += [(a, b, window["name"])] if a < b else [(a, 1440, window["name"]), (0, b, window["name"])]

        def name_at(at):
            local = at.astimezone(self.zone)
            minute = local.hour * 60 + local.minute
            return next(name for a, b, name in spans if a <= minute < b)

        edges = sorted({a for a, _, _ in spans})
        total = collections.defaultdict(Fraction)
        inside, before = False, None
        for at, name, _, used in self.readings[key]:
            if inside:
                parts, start = [], before
                while start < at:
                    local = start.astimezone(self.zone)
                    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
                    later = [day + datetime.timedelta(minutes=m) for m in edges + [1440 + edges[0]]]
                    end = min([e for e in later if e > start] + [at], key=lambda e: e)
                    end = min(end, at)
                    parts.append((name_at(start), end - start))
                    start = end
                whole = at - before
                for window, part in parts:
                    total[window] += Fraction(used) * Fraction(part / datetime.timedelta(milliseconds=1)) / Fraction(
                        whole / datetime.timedelta(milliseconds=1)
                    )
            if name == opening:
                inside = True
            before = at
            if name == closing:
                break
        return total

    @staticmethod
    def tier_lines(tiers, quantity):
        lower, lines = Decimal(0), []
        for tier in tiers:
            upper = Decimal(tier["up_to"]) if "up_to" in tier else None
            part = (min(quantity, upper) if upper is not None else quantity) - lower
            if part > 0:
                lines.append((part, Decimal(tier["price"])))
            if upper is None or quantity <= upper:
                break
            lower = upper
        return lines

    # -- bills

    def check_stay(self, bill):
        """A stay's bill: its minutes counted here, one by one, in blocks of the day-long tariff."""
        name = f"bill of stay {bill['stay']['stay']}"
        if sum(x["amount_fen"] for x in bill["lines"]) != bill["total_fen"]:
            self.wrong(f"{name}: the lines do not sum to the total")
        rule = self.parking[bill["tariff"]]
        minutes = int((instant(bill["stay"]["until"]) - instant(bill["stay"]["entered"])).total_seconds()) // 60
        free, steps, cap = rule["free"], rule["steps"], Decimal(rule["caps"][0])
        assert "windows" not in rule and free["mode"] == "whole_stay" and free["renews"] == "stay"
        assert rule["cycle"] == "24h_from_entry" and rule["rounding"] == "up" and len(rule["caps"]) == 1
        whole = Decimal(0)
        for day in range(0, 0 if minutes <= free["minutes"] else minutes, 1440):
            left, blocks, due = min(1440, minutes - day), 0, Decimal(0)
            while left > 0:
                nth = blocks
                for step in steps:
                    if "times" not in step or nth < step["times"]:
                        break
                    nth -= step["times"]
                due += Decimal(step["price"])
                left, blocks = left - step["minutes"], blocks + 1
            whole += min(due, cap)
        paid = [x for x in bill["lines"] if x["label"]["en"] == "Paid already"]
        if any("New-energy" in x["label"]["en"] for x in bill["lines"]):
            whole = whole * Decimal(rule["new_energy_percent"]) / 100
        if fen(whole) != bill["total_fen"] - sum(x["amount_fen"] for x in paid):
            self.wrong(f"{name}: {minutes} min cost {whole}, billed {bill['total_fen']} fen")

    def check_bill(self, bill, opening_of):
        name = f"bill {bill['account']} {bill['item']} {bill['period']['from']}"
        account = self.accounts[bill["account"]]
        charge = next(c for c in account["charges"] if c["item"] == bill["item"])
        revision = self.revision(self.tariffs[charge["tariff"]], bill["period"]["from"])
        lines = [(Decimal(x["quantity"]), Decimal(x["unit_price"]), x["amount_fen"]) for x in bill["lines"]]
        if sum(x[2] for x in lines) != bill["total_fen"]:
            self.wrong(f"{name}: the lines do not sum to the total")
        if revision["kind"] == "per_area":
            want = [(Decimal(account["area_m2"]), Decimal(revision["price"]))]
        else:
            want = self.metered(name, bill, charge, revision, opening_of)
        if revision["kind"] == "tou":
            self.check_windows(name, lines, want)
            return
        want = [(q, p, fen(q * p)) for q, p in want]
        if lines != want:
            self.wrong(f"{name}: lines {lines} instead of {want}")

    def metered(self, name, bill, charge, revision, opening_of):
        register = charge.get("register", "energy_import")
        key = (charge["meter"], register)
        if len(bill["evidence"]) != 1:
            self.wrong(f"{name}: {len(bill['evidence'])} pieces of evidence")
            return []
        evidence = bill["evidence"][0]
        opening, closing = evidence["from"], evidence["to"]
        for end in (opening, closing):
            if self.by_id.get(end["reading"]) != (key, instant(end["at"]), Decimal(end["value"])):
                self.wrong(f"{name}: reading {end['reading']} was not sent like that")
        first = self.readings[key][0][1] if self.readings[key] else None
        expected = opening_of.get((bill["account"], bill["item"]), first)
        if opening["reading"] != expected:
            self.wrong(f"{name}: opens with {opening['reading']} instead of {expected}")
        edge = self.midnight(bill["period"]["to"])
        if closing["reading"] != self.closing(key, edge):
            self.wrong(f"{name}: closes with {closing['reading']} instead of {self.closing(key, edge)}")
        opening_of[(bill["account"], bill["item"])] = closing["reading"]
        names = [r[1] for r in self.readings[key]]
        low, high = names.index(opening["reading"]), names.index(closing["reading"])
        used = sum((r[3] for r in self.readings[key][low + 1 : high + 1]), Decimal(0)) * self.multiplier[key[0]]
        if used != Decimal(evidence["used"]):
            self.wrong(f"{name}: used {evidence['used']} instead of {used}")
        if revision["kind"] == "flat":
            return [(used, Decimal(revision["price"]))]
        if revision["kind"] == "graduated" and revision.get("tier_period") == "month":
            return self.tier_lines(revision["tiers"], used)
        if revision["kind"] == "tou":
            parts = self.windows(revision, key, opening["reading"], closing["reading"])
            return [
                (parts[w["name"]] * Fraction(self.multiplier[key[0]]), Decimal(revision["prices"][w["name"]]))
                for w in revision["windows"]
            ]
        self.wrong(f"{name}: this program does not know kind {revision['kind']}")
        return []

    def check_windows(self, name, lines, want):
        """Window quantities may be cut to the digits that a bill prints; the sum may not."""
        want = [(q, p) for q, p in want if q != 0]
        if sum((Fraction(x[0]) for x in lines), Fraction(0)) != sum((q for q, _ in want), Fraction(0)):
            self.wrong(f"{name}: the windows do not sum to the quantity")
        if len(lines) != len(want):
            self.wrong(f"{name}: {len(lines)} lines instead of {len(want)}")
        for (quantity, price, amount), (exact, exact_price) in zip(lines, want):
            if price != exact_price or abs(Fraction(quantity) - exact) > Fraction(1, 1000):
                self.wrong(f"{name}: window of {quantity} at {price} instead of {float(exact)} at {exact_price}")
            if amount != fen(quantity * price):
                self.wrong(f"{name}: {amount} fen for {quantity} at {price}")

    def check(self):
        self.take_readings()
        opening_of = {}
        seen = collections.Counter()
        for bill in self.bills:
            if "stay" in bill:
                self.check_stay(bill)
                continue
            self.check_bill(bill, opening_of)
            seen[(bill["account"], bill["item"], bill["period"]["to"])] += 1
        for key, count in seen.items():
            if count != 1:
                self.wrong(f"{key} was billed {count} times")
        for closed in self.closed:
            to = closed["period"]["to"]
            unbilled = {(u["account"], u["item"]) for u in closed.get("unbilled", [])}
            of_period = [b for b in self.bills if b["period"]["to"] == to and "stay" not in b]
            for account in self.accounts.values():
                for charge in account.get("charges", []):
                    key = (account["id"], charge["item"])
                    if (key in unbilled) == bool(seen[(*key, to)]):
                        self.wrong(f"{key} of the period to {to} has neither one bill nor one reason")
            if closed["bills"] != len(of_period) or closed["total_fen"] != sum(b["total_fen"] for b in of_period):
                self.wrong(f"the close of {to} does not sum to its bills")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1]) as lines:
        ledger = Ledger(lines, Path(sys.argv[2]))
    ledger.check()
    print(
        json.dumps(
            {
                "events": len(ledger.events),
                "duplicates": ledger.duplicates,
                "readings": sum(len(r) for r in ledger.readings.values()),
                "bills": len(ledger.bills),
                "stays": sum("stay" in b for b in ledger.bills),
                "periods": len(ledger.closed),
                "total_fen": sum(b["total_fen"] for b in ledger.bills),
                "errors": ledger.errors[:20],
                "error_count": len(ledger.errors),
            }
        )
    )
    sys.exit(1 if ledger.errors else 0)


if __name__ == "__main__":
    main()
