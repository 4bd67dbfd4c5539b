"""Readers by libosdp on one serial port. Each is given as ADDRESS=KEY, the key in hexadecimal or `plain`.
Whoever asks gets the commands that they get printed, with the address before them.

With --script FILE they do what its lines say as they come: `101 card 26 5A123440`, `101 keys 7531#`,
`101 state TAMPER POWER`, `101 inputs 1 0 0 0`. Without, the first shows a card after two seconds."""

import os
import sys
import time
import tty

from osdp import (
    Capability,
    CardFormat,
    Channel,
    Event,
    LogLevel,
    PDCapabilities,
    PDInfo,
    PeripheralDevice,
    StatusReportType,
)


class Wire:
    """One port whose bytes every reader hears."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        tty.setraw(self.fd)
        self.ends = []

    def end(self):
        end = End(self)
        self.ends.append(end)
        return end

    def hear(self):
        try:
            data = os.read(self.fd, 4096)
        except BlockingIOError:
            return
        for end in self.ends:
            end.heard += data


class End(Channel):
    def __init__(self, wire):
        self.wire = wire
        self.heard = bytearray()

    def read(self, size):
        self.wire.hear()
        data = bytes(self.heard[:size])
        del self.heard[:size]
        return data

    def write(self, data):
        return os.write(self.wire.fd, data)

    def flush(self):
        pass


def card(bits, data):
    return {
        "event": Event.CardRead,
        "reader_no": 1,
        "direction": 0,
        "format": CardFormat.Unspecified,
        "length": bits,
        "data": data,
    }


def event(words):
    what, rest = words[0], words[1:]
    if what == "card":
        return card(int(rest[0]), bytes.fromhex(rest[1]))
    if what == "keys":
        keys = rest[0].replace("#", "\r").replace("*", "\x7f")
        return {"event": Event.KeyPress, "reader_no": 0, "data": keys.encode()}
    kind = StatusReportType.Local if what == "state" else StatusReportType.Input
    report = bytes(int(word) for word in rest)
    return {"event": Event.Status, "type": kind, "nr_entries": len(report), "report": report}


arguments = sys.argv[1:]
script = None
if "--script" in arguments:
    place = arguments.index("--script")
    script = open(arguments[place + 1])
    del arguments[place : place + 2]
wire = Wire(arguments[0])
readers = {}
for argument in arguments[1:]:
    address, key = argument.split("=")
    key = None if key == "plain" else bytes.fromhex(key)
    capabilities = PDCapabilities(
        [
            (Capability.OutputControl, 1, 1),
            (Capability.ContactStatusMonitoring, 1, 4),
            (Capability.LEDControl, 2, 1),
            (Capability.AudibleControl, 1, 1),
        ]
    )
    info = PDInfo(int(address), wire.end(), scbk=key, flags=[])
    reader = PeripheralDevice(info, capabilities, log_level=LogLevel.Error)
    reader.start()
    readers[int(address)] = reader
shown = time.monotonic() + 2
while True:
    if script is None and shown is not None and time.monotonic() > shown:
        next(iter(readers.values())).submit_event(card(26, bytes.fromhex("5A123440")))
        shown = None
    if script is not None:
        line = script.readline().split()
        if line:
            readers[int(line[0])].submit_event(event(line[1:]))
    for address, reader in readers.items():
        command = reader.get_command(timeout=0.02)
        if command:
            print(address, "output", command, flush=True)
