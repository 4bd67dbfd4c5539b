#!/usr/bin/env python3
"""A cloud written from docs/cloud.md and docs/contract alone, with paho-mqtt. Knows no line of blockgate.

  cloud_client.py BROKER_PORT CA CERT KEY CONTRACT TENANT GATEWAY

Obeys lines on standard input, each answered by one line of JSON:

  collect N                 waits until N events are whole; checks each by its schema; gives counts
  confirm                   sends a receipt for what is whole
  refuse SEQ                says that this event will never be taken
  again SEQ                 waits until this event comes once more, byte for byte
  command NAME ARGS [WHEN]  orders; gives its id and the words of its answers until the last one
  repeat ID                 sends the very same command again
  retained NAME ARGS        sends a retained command
  foreign NAME ARGS         sends it with a response topic outside the gateway's tree
  forget                    forgets everything and asks for all of it again by `resend`
"""

import json
import pathlib
import queue
import sys
import time
import uuid
from datetime import datetime, timedelta, timezone

import jsonschema
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

ENDS = {"done", "failed", "expired", "duplicate", "refused", "unknown"}


class Cloud:
    def __init__(self, port, ca, cert, key, contract, tenant, gateway):
        self.prefix = f"blockgate/v1/{tenant}/{gateway}/"
        self.schemas = {
            path.name.removesuffix(".v1.json"): jsonschema.Draft202012Validator(json.loads(path.read_text()))
            for path in pathlib.Path(contract, "schemas").glob("*.json")
        }
        self.events, self.ids, self.state = {}, {}, None
        self.duplicates = self.altered = 0
        self.repeated = {}
        self.answers, self.sent, self.elsewhere = {}, {}, []
        self.inbox = queue.Queue()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"cloud-{uuid.uuid4()}", protocol=mqtt.MQTTv5)
        self.client.tls_set(ca, cert, key)
        self.client.on_connect = lambda client, *_: client.subscribe(
            [(self.prefix + "evt/+", 1), (self.prefix + "state", 1), (self.prefix + "rsp/#", 1), ("elsewhere/#", 1)]
        )
        self.client.on_message = lambda _c, _d, message: self.inbox.put(message)
        self.client.connect("localhost", int(port), keepalive=15)
        self.client.loop_start()

    def listen(self, seconds):
        """Takes messages until none came for so long, or a caller's condition holds (see `until`)."""
        try:
            message = self.inbox.get(timeout=seconds)
        except queue.Empty:
            return False
        document = json.loads(message.payload)
        kind = message.topic.removeprefix(self.prefix)
        if kind.startswith("evt/"):
            self.schemas[kind.removeprefix("evt/")].validate(document)
            self.event(document, bytes(message.payload))
        elif kind == "state":
            self.schemas["state"].validate(document)
            self.state = document
        elif kind.startswith("rsp/"):
            self.schemas["response"].validate(document)
            correlation = getattr(message.properties, "CorrelationData", b"").decode()
            self.answers.setdefault(document["id"], []).append((document["status"], document["code"], correlation, kind))
        else:
            self.elsewhere.append(message.topic)
        return True

    def event(self, document, payload):
        """Once by its epoch and id; the same id with other bytes is never taken."""
        seq, identity = document["seq"], (document.get("epoch"), document["id"])
        if identity in self.ids:
            if self.ids[identity] == payload:
                self.duplicates += 1
                self.repeated[seq] = self.repeated.get(seq, 0) + 1
            else:
                self.altered += 1
            return
        self.ids[identity] = payload
        self.events[seq] = document

    def until(self, holds, limit=60):
        end = time.monotonic() + limit
        while not holds() and time.monotonic() < end:
            self.listen(0.2)
        return holds()

    def whole(self):
        through = 0
        while through + 1 in self.events:
            through += 1
        return through

    def counts(self):
        kinds = {}
        for document in self.events.values():
            kind = document["type"].split(".")[1]
            kinds[kind] = kinds.get(kind, 0) + 1
        return {"whole": self.whole(), "highest": max(self.events, default=0), "kinds": kinds,
                "duplicates": self.duplicates, "altered": self.altered, "state": self.state}

    def publish(self, topic, payload, properties=None, retain=False):
        self.client.publish(self.prefix + topic, payload, qos=1, retain=retain, properties=properties).wait_for_publish(10)

    def document(self, arguments, when):
        now = datetime.now(timezone.utc)
        issued, expires = {"late": (-120, -60), "early": (3600, 7200), "": (0, 60)}[when]
        stamp = lambda seconds: (now + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"id": f"c-{uuid.uuid4()}", "issued_at": stamp(issued), "expires_at": stamp(expires),
                "actor": "cloud/ops", "args": arguments}

    def order(self, name, document, response=None, retain=False, limit=30):
        if document["args"] is not None and f"cmd-{name}" in self.schemas and not retain:
            self.schemas[f"cmd-{name}"].validate(document)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = response or f"{self.prefix}rsp/{name}/mine"
        properties.CorrelationData = document["id"].encode()
        before = len(self.answers.get(document["id"], []))
        payload = json.dumps(document)
        self.sent[document["id"]] = (name, payload)
        news = lambda: self.answers.get(document["id"], [])[before:]
        # The gateway may just not be there: the same document again, its id makes that safe.
        for _ in range(max(1, limit // 5)):
            self.publish(f"cmd/{name}", payload, None if retain else properties, retain)
            if self.until(lambda: news(), 5):
                break
        self.until(lambda: any(word in ENDS for word, *_ in news()), limit)
        return {"id": document["id"], "words": [word for word, *_ in news()], "codes": [code for _, code, *_ in news()],
                "correlated": all(c == document["id"] for _, _, c, _ in news()), "topics": sorted({t for *_, t in news()})}

    def obey(self, word, rest):
        if word == "collect":
            self.until(lambda: self.whole() >= int(rest[0]))
            return self.counts()
        if word == "confirm":
            # What is here by now, not until nothing comes: a meter that is read often never lets that be.
            while not self.inbox.empty():
                self.listen(0)
            self.publish("receipt", json.dumps({"through": self.whole()}))
            return {"through": self.whole()}
        if word == "refuse":
            refused = [{"id": self.events[int(rest[0])]["id"], "code": "unknown-meter", "reason": "not sold to us"}]
            self.publish("receipt", json.dumps({"refused": refused}))
            return {"refused": refused}
        if word == "again":
            self.until(lambda: self.repeated.get(int(rest[0])))
            return {"times": self.repeated.get(int(rest[0]), 0), "altered": self.altered}
        if word == "command":
            return self.order(rest[0], self.document(json.loads(rest[1]), rest[2] if len(rest) > 2 else ""))
        if word == "repeat":
            name, payload = self.sent[rest[0]]
            return self.order(name, json.loads(payload))
        if word == "retained":
            said = self.order(rest[0], self.document(json.loads(rest[1]), ""), retain=True)
            self.publish(f"cmd/{rest[0]}", b"", retain=True)
            return said
        if word == "foreign":
            said = self.order(rest[0], self.document(json.loads(rest[1]), ""), response="elsewhere/answers")
            return {**said, "elsewhere": self.elsewhere}
        if word == "forget":
            through = self.whole()
            self.events, self.ids = {}, {}
            said = self.order("resend", self.document({"from": 1, "to": through}, ""))
            self.until(lambda: self.whole() >= through)
            return {**said, **self.counts(), "wanted": through}
        raise SystemExit(__doc__)


def main():
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    cloud = Cloud(*sys.argv[1:])
    for line in sys.stdin:
        word, *rest = line.split()
        print(json.dumps(cloud.obey(word, rest)), flush=True)
    cloud.client.disconnect()


main()
