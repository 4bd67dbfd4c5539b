"""Finds the readings in a message of blockgate, for the judge of the comparison's outage and kill phases."""

import json


def parse(topic, payload):
    """Yields (number of the port, unit, sequence number) of each reading that the message carries."""
    if not topic.endswith("/evt/reading"):
        return
    for reading in json.loads(payload)["data"]["readings"]:
        _, port, unit = reading["meter"].split("-")
        # The kit's ports begin at a full hundred.
        yield int(port) % 100, int(unit), int(reading["value"])
