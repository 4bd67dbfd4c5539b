#!/usr/bin/env python3
"""The baseline of the month's close: ten items per household in Python Decimal, stored in SQLite.

Each household is one durable transaction (synchronous=full), as whoever must not lose a bill would do
it without a journal of their own. Prints the seconds of the whole run.

    naive_sqlite.py HOUSEHOLDS FOLDER
"""

import json
import os
import sqlite3
import sys
import time
from decimal import ROUND_HALF_UP, Decimal as D

count, folder = int(sys.argv[1]), sys.argv[2]
CENT = D("0.01")
TIERS = {
    "electricity": [(D(240), D("0.4883")), (D(400), D("0.5383")), (None, D("0.7883"))],
    "electricity-2": [(D(2880), D("0.4883")), (D(4800), D("0.5383")), (None, D("0.7883"))],
    "electricity-3": [(None, D("0.5583"))],
    "electricity-4": [(D(240), D("0.4883")), (D(400), D("0.5383")), (None, D("0.7883"))],
    "water": [(D(15), D("3.45")), (D(25), D("4.83")), (None, D("9.63"))],
    "gas": [(D(30), D("2.61")), (D(50), D("3.13")), (None, D("3.92"))],
}
FIXED = {"property": D("188.013"), "garbage": D("7.5"), "parking": D("150"), "security": D("12.34")}


def graduated(usage, tiers):
    lines, low = [], D(0)
    for high, price in tiers:
        part = usage - low if high is None or usage <= high else high - low
        lines.append((part, price, (part * price).quantize(CENT, ROUND_HALF_UP)))
        if high is None or usage <= high:
            return lines
        low = high


path = os.path.join(folder, "bills.db")
if os.path.exists(path):
    os.remove(path)
db = sqlite3.connect(path, isolation_level=None)
db.execute("pragma journal_mode=wal")
db.execute("pragma synchronous=full")
db.execute("create table bill(household int, item text, lines text, total text, primary key(household, item))")
start = time.perf_counter()
for household in range(count):
    usage = D(27528 + household % 90000) / 100
    rows = []
    for item, tiers in TIERS.items():
        lines = graduated(usage, tiers)
        total = sum(amount for _, _, amount in lines)
        text = json.dumps([[str(quantity), str(price), str(amount)] for quantity, price, amount in lines])
        rows.append((household, item, text, str(total)))
    for item, price in FIXED.items():
        amount = price.quantize(CENT, ROUND_HALF_UP)
        rows.append((household, item, json.dumps([["1", str(price), str(amount)]]), str(amount)))
    db.execute("begin")
    db.executemany("insert into bill values(?,?,?,?)", rows)
    db.execute("commit")
print(round(time.perf_counter() - start, 4))
