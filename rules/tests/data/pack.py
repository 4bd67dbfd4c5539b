#!/usr/bin/env python3
"""pack.py readings.csv daiad-water.bin: columns household, local_time, register_litres."""
import collections
import csv
import datetime
import sys


def varint(n):
    n = (-n << 1) - 1 if n < 0 else n << 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def main(source, target):
    houses = collections.OrderedDict()
    with open(source, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            at = datetime.datetime.fromisoformat(row["local_time"])
            minute = int(at.replace(tzinfo=datetime.timezone.utc).timestamp()) // 60
            houses.setdefault(row["household"], []).append((minute, int(row["register_litres"])))
    out = bytearray(b"BGWR0001")
    out.append(len(houses))
    for name, readings in houses.items():
        out += name.encode("ascii") + varint(len(readings))
        minute, litres = -60, 0
        for at, value in readings:
            out += varint(at - minute - 60) + varint(value - litres)
            minute, litres = at, value
    with open(target, "wb") as file:
        file.write(out)


main(*sys.argv[1:])
