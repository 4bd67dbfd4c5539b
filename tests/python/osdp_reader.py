"""A reader by libosdp on a serial port: shows one card as soon as a control panel is there, and prints
each command that it gets."""

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
)


class Port(Channel):
    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
        tty.setraw(self.fd)

    def read(self, size):
        try:
            return os.read(self.fd, size)
        except BlockingIOError:
            return b""

    def write(self, data):
        return os.write(self.fd, data)

    def flush(self):
        pass


path, how = sys.argv[1], sys.argv[2]
key = bytes(range(16)) if how == "secure" else None
capabilities = PDCapabilities(
    [
        (Capability.OutputControl, 1, 1),
        (Capability.LEDControl, 2, 1),
        (Capability.AudibleControl, 1, 1),
    ]
)
reader = PeripheralDevice(
    PDInfo(101, Port(path), scbk=key, flags=[]), capabilities, log_level=LogLevel.Error
)
reader.start()
shown = time.monotonic() + 2
while True:
    if shown is not None and time.monotonic() > shown:
        reader.submit_event(
            {
                "event": Event.CardRead,
                "reader_no": 1,
                "direction": 0,
                "format": CardFormat.Unspecified,
                "length": 26,
                "data": bytes([0x5A, 0x12, 0x34, 0x40]),
            }
        )
        shown = None
    command = reader.get_command(timeout=1)
    if command:
        print("output", command, flush=True)
