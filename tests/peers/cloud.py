#!/usr/bin/env python3
"""The cloud of a comparison: confirms what it has received, so that the gateway's outbox empties.

  cloud.py BROKER_PORT

Counts sequence numbers without a hole from the first one that comes and publishes a receipt ten times a second when there
is something new. Standard library and mosquitto's own clients only; it keeps nothing, because the comparison's consumer
keeps the readings. A broker that goes away is waited for.
"""

import json
import re
import subprocess
import sys
import threading
import time

PREFIX = "blockgate/v1/bench/bench/"
SEQUENCE = re.compile(rb'"seq":(\d+)')


class Confirmed:
    """What came without a hole."""

    def __init__(self):
        self.through, self.above, self.lock = None, set(), threading.Lock()

    def add(self, number):
        with self.lock:
            if self.through is None:
                self.through = number - 1
            if number > self.through:
                self.above.add(number)
            while self.through + 1 in self.above:
                self.through += 1
                self.above.discard(self.through)


def confirm(argv, confirmed):
    """Publishes receipts as lines of one mosquitto_pub; ends with it."""
    publisher, said = None, None
    while True:
        time.sleep(0.1)
        if publisher is None or publisher.poll() is not None:
            publisher = subprocess.Popen(
                ["mosquitto_pub", *argv, "-t", PREFIX + "receipt", "-l"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            said = None
        with confirmed.lock:
            through = confirmed.through
        if through in (None, said):
            continue
        try:
            publisher.stdin.write(json.dumps({"through": through}).encode() + b"\n")
            publisher.stdin.flush()
            said = through
        except OSError:
            publisher.wait()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    argv = ["-h", "127.0.0.1", "-p", sys.argv[1], "-q", "1"]
    confirmed = Confirmed()
    threading.Thread(target=confirm, args=(argv, confirmed), daemon=True).start()
    while True:
        subscriber = subprocess.Popen(
            ["mosquitto_sub", *argv, "-t", PREFIX + "evt/#"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for line in subscriber.stdout:
            # The envelope's own number stands before `data`; a bill's text cannot come first.
            if found := SEQUENCE.search(line):
                confirmed.add(int(found[1]))
        subscriber.wait()
        time.sleep(0.2)


main()
