#!/usr/bin/env python3
"""tests/package/wire.py SOCKET: one meter on the virtual machine's serial port. Listens on a unix
socket and answers Modbus RTU requests of unit 1, function 4, as an Eastron SDM120 would: register 72
(total active energy, kWh, float) counts up slowly, every other one is 230.0. Python, no libraries."""
import socket
import struct
import sys
import time


def crc(data):
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def registers(first, count, since):
    words = b""
    for register in range(first, first + count):
        energy = 1234.5 + (time.monotonic() - since) / 100
        value = struct.pack(">f", energy if register // 2 * 2 in (72, 342) else 230.0)
        words += value[:2] if register % 2 == 0 else value[2:]
    return words


def serve(connection, since):
    pending = b""
    while True:
        more = connection.recv(256)
        if not more:
            return
        pending += more
        while len(pending) >= 8:
            frame = pending[:8]
            if crc(frame[:6]) != frame[6:]:
                pending = pending[1:]
                continue
            pending = pending[8:]
            unit, function, first, count = struct.unpack(">BBHH", frame[:6])
            if unit == 1 and function == 4 and 1 <= count <= 125:
                body = struct.pack(">BBB", unit, function, 2 * count) + registers(first, count, since)
                connection.sendall(body + crc(body))


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(1)
    since = time.monotonic()
    while True:
        connection, _ = listener.accept()
        try:
            serve(connection, since)
        except OSError:
            pass


main()
