#!/usr/bin/env python3
"""The baseline of the month's close: ten items per household in Python Decimal, stored in SQLite.

The same households, items, prices and readings as in the example `month_close`, so the same bills and lines.
Each household is one durable transaction (synchronous=full), as whoever must not lose a bill would do it without
a journal of their own. `JOURNAL` is SQLite's: `delete`, which it takes by itself, or `wal`. `WHAT` is stored of a
bill: `lines` (quantity, price, amount) or the `whole` of what blockgate's bill says. Prints the seconds of
the whole run, and those on a processor.

    naive_sqlite.py HOUSEHOLDS FOLDER JOURNAL WHAT
"""

import hashlib
import json
import os
import sqlite3
import sys
import time
from decimal import ROUND_HALF_UP, Decimal as D

count, folder, journal, what = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
CENT = D("0.01")
OPENED, CLOSED = D("1000.00"), D("1275.28")
WINDOWS = {"peak": D("183.52"), "valley": D("91.76")}
MONTH = [(D(240), D("0.4883")), (D(400), D("0.5383")), (None, D("0.7883"))]
YEAR = [(D(2760), D("0.538")), (D(4800), D("0.588")), (None, D("0.838"))]
PEAK = {"peak": D("0.617"), "valley": D("0.307")}
TIERED_PEAK = [
    (D(3120), PEAK),
    (D(4800), {"peak": D("0.677"), "valley": D("0.337")}),
    (None, {"peak": D("0.977"), "valley": D("0.487")}),
]
TARIFFS = {
    "electricity-tiered": ("居民阶梯电价", "Residential electricity, tiered"),
    "electricity-tiered-year": ("居民阶梯电价(年度)", "Residential electricity, tiers by the year"),
    "electricity-tou": ("分时电价", "Electricity by time of use"),
    "electricity-tiered-tou": ("居民峰谷阶梯电价", "Residential electricity, tiers and time of use"),
    "property-fee": ("物业费", "Property fee"),
    "garbage-fee": ("生活垃圾处理费", "Household waste"),
}
ITEMS = {
    "electricity": "electricity-tiered",
    "electricity-2": "electricity-tiered-year",
    "electricity-3": "electricity-tou",
    "electricity-4": "electricity-tiered-tou",
    "water": "electricity-tiered",
    "gas": "electricity-tiered-year",
    "property": "property-fee",
    "garbage": "garbage-fee",
    "parking": "garbage-fee",
    "security": "property-fee",
}


def graduated(usage, tiers):
    """Tier, quantity and price."""
    lines, low = [], D(0)
    for tier, (high, price) in enumerate(tiers, 1):
        part = usage - low if high is None or usage <= high else high - low
        lines.append((tier, part, price))
        if high is None or usage <= high:
            return lines
        low = high


def priced(tariff, usage, area):
    """Tier, window, quantity, unit and price of each line."""
    if tariff == "electricity-tiered":
        return [(tier, None, part, "kWh", price) for tier, part, price in graduated(usage, MONTH)]
    if tariff == "electricity-tiered-year":
        return [(tier, None, part, "kWh", price) for tier, part, price in graduated(usage, YEAR)]
    if tariff == "electricity-tou":
        return [(None, window, used, "kWh", PEAK[window]) for window, used in WINDOWS.items()]
    if tariff == "electricity-tiered-tou":
        return [
            (tier, window, part * used / usage, "kWh", prices[window])
            for tier, part, prices in graduated(usage, TIERED_PEAK)
            for window, used in WINDOWS.items()
        ]
    if tariff == "property-fee":
        return [(None, None, area, "m2", D("2.10"))]
    return [(None, None, D(1), "1", D("6.00"))]


def stored(household, item, tariff, lines, total, metered):
    if what == "lines":
        return json.dumps([[str(quantity), str(price), str(amount)] for _, _, quantity, _, price, _, amount in lines])
    zh, en = TARIFFS[tariff]
    bill = {
        "bill": "bill-" + hashlib.sha256(f"a-{household:04}|{item}|2026-03-01|{tariff}".encode()).hexdigest()[:40],
        "account": f"a-{household:04}",
        "item": item,
        "period": {"from": "2026-03-01", "to": "2026-04-01", "zone": "Asia/Shanghai"},
        "tariff": tariff,
        "tariff_revision": "2020-01-01/3fa94c0d11e27b65",
        "revision": 0,
        "currency": "CNY",
        "lines": [
            {
                "label": {
                    "zh": zh + (f" {window}" if window else "") + (f" 第{tier}档" if tier else ""),
                    "en": en + (f", {window}" if window else "") + (f", tier {tier}" if tier else ""),
                },
                "quantity": str(quantity),
                "unit": unit,
                "unit_price": str(price),
                "exact": str(exact),
                "amount_fen": int(amount * 100),
                "tier": tier,
                "window": window,
            }
            for tier, window, quantity, unit, price, exact, amount in lines
        ],
        "total_fen": int(total * 100),
        "issued_at": "2026-03-31T16:00:00Z",
    }
    if metered:
        bill["evidence"] = [
            {
                "meter": f"m-{household:04}",
                "register": "energy_import",
                "from": {"reading": "1.0", "at": "2026-02-28T16:00:00Z", "value": str(OPENED)},
                "to": {"reading": "7441.0", "at": "2026-03-31T16:00:00Z", "value": str(CLOSED)},
                "multiplier": "1",
                "used": str(CLOSED - OPENED),
                "unit": "kWh",
            }
        ]
    return json.dumps(bill, ensure_ascii=False)


path = os.path.join(folder, "bills.db")
for old in [path, path + "-wal", path + "-shm", path + "-journal"]:
    if os.path.exists(old):
        os.remove(old)
db = sqlite3.connect(path, isolation_level=None)
assert db.execute(f"pragma journal_mode={journal}").fetchone()[0] == journal
db.execute("pragma synchronous=full")
db.execute("create table bill(household int, item text, lines text, total text, primary key(household, item))")
start, worked = time.perf_counter(), time.process_time()
for household in range(count):
    usage, area = CLOSED - OPENED, D("89.53")
    rows = []
    for item, tariff in ITEMS.items():
        lines, total = [], D(0)
        for tier, window, quantity, unit, price in priced(tariff, usage, area):
            exact = quantity * price
            amount = exact.quantize(CENT, ROUND_HALF_UP)
            total += amount
            lines.append((tier, window, quantity, unit, price, exact, amount))
        text = stored(household, item, tariff, lines, total, tariff.startswith("electricity"))
        rows.append((household, item, text, str(total)))
    db.execute("begin")
    db.executemany("insert into bill values(?,?,?,?)", rows)
    db.execute("commit")
print(round(time.perf_counter() - start, 4), round(time.process_time() - worked, 4))
