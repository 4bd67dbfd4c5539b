#!/usr/bin/env python3
"""Judges the mappers from outside, on a real broker: a Sparkplug host with Google's protobuf, a Home
Assistant that believes what discovery says, and the platform's side of Alibaba's thing model.

  mappers.py BROKER_PORT CA CERT KEY

Prints `listening`, then obeys lines on standard input, each answered by one line of JSON:

  collect          waits until each of the three has said what it must; gives what was understood
  rebirth          orders a Sparkplug rebirth; gives the sequence numbers that follow
  service ID ARGS  calls a service of the thing model; gives its reply
  deny             answers the thing model's next post with an error, those after it with 200
  deaths SECONDS   listens for so long; gives NDEATH and availability as they came
"""

import json
import queue
import sys
import time
import uuid
from datetime import datetime, timedelta, timezone

import paho.mqtt.client as mqtt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def sparkplug_payload():
    """The class of a Sparkplug B payload, from its definition (Eclipse Tahu, sparkplug_b.proto)."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug.proto", package="t", syntax="proto2")

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, key, kind, label, of in fields:
            made.field.add(name=key, number=number, type=kind, label=label, type_name=of or None)

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    message("PropertyValue", (1, "type", field.TYPE_UINT32, one, ""), (8, "string_value", field.TYPE_STRING, one, ""))
    message("PropertySet", (1, "keys", field.TYPE_STRING, many, ""), (2, "values", field.TYPE_MESSAGE, many, ".t.PropertyValue"))
    message("Metric", (1, "name", field.TYPE_STRING, one, ""), (3, "timestamp", field.TYPE_UINT64, one, ""),
            (4, "datatype", field.TYPE_UINT32, one, ""), (5, "is_historical", field.TYPE_BOOL, one, ""), (7, "is_null", field.TYPE_BOOL, one, ""),
            (9, "properties", field.TYPE_MESSAGE, one, ".t.PropertySet"), (11, "long_value", field.TYPE_UINT64, one, ""),
            (13, "double_value", field.TYPE_DOUBLE, one, ""), (14, "boolean_value", field.TYPE_BOOL, one, ""),
            (15, "string_value", field.TYPE_STRING, one, ""))
    message("Payload", (1, "timestamp", field.TYPE_UINT64, one, ""), (2, "metrics", field.TYPE_MESSAGE, many, ".t.Metric"),
            (3, "seq", field.TYPE_UINT64, one, ""))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Payload"))


Payload = sparkplug_payload()


def stamp(seconds):
    at = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Judge:
    def __init__(self, port, ca, cert, key):
        self.sparkplug, self.retained, self.posts, self.replies, self.deny = [], {}, [], {}, 0
        self.inbox = queue.Queue()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"judge-{uuid.uuid4()}", protocol=mqtt.MQTTv5)
        self.client.tls_set(ca, cert, key)
        ready = queue.Queue()
        self.client.on_connect = lambda client, *_: client.subscribe(
            [("spBv1.0/#", 1), ("homeassistant/#", 1), ("blockgate/ha/#", 1), ("/sys/#", 1)])
        self.client.on_subscribe = lambda *_: ready.put(1)
        self.client.on_message = lambda _c, _d, message: self.inbox.put(message)
        self.client.connect("localhost", int(port), keepalive=15)
        self.client.loop_start()
        ready.get(timeout=20)

    def listen(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.inbox.get(timeout=min(left, 0.2))
            except queue.Empty:
                continue
            self.take(message.topic, bytes(message.payload), message.qos, message.retain)
            return True
        return False

    def until(self, holds, limit=60):
        end = time.monotonic() + limit
        while not holds() and time.monotonic() < end:
            self.listen(0.5)
        return holds()

    def take(self, topic, payload, qos, retain):
        if topic.startswith("spBv1.0/"):
            if "/NCMD/" in topic:
                return
            parsed = Payload.FromString(payload)
            assert parsed.SerializeToString() == payload or len(parsed.SerializeToString()) == len(payload), topic
            self.sparkplug.append((topic.split("/", 2)[2], parsed, qos, retain))
        elif topic.startswith("/sys/"):
            self.alink(topic, payload)
        else:
            self.retained[topic] = payload.decode()

    def alink(self, topic, payload):
        document = json.loads(payload)
        if topic.endswith("_reply") and "/service/" in topic:
            self.replies[document["id"]] = document
        elif topic.endswith("/post"):
            assert document["version"] == "1.0" and document["sys"] == {"ack": 1}, document
            assert document["id"].isdigit() and 0 <= int(document["id"]) < 2**32, document["id"]
            assert document["method"] == "thing." + topic.split("/thing/")[1].replace("/", "."), document["method"]
            self.posts.append((topic, document))
            code = 6813 if self.deny else 200
            self.deny = max(0, self.deny - 1)
            self.client.publish(topic + "_reply", json.dumps({"id": document["id"], "code": code, "data": {}}), qos=1)

    def metrics(self, kind):
        return [(topic, payload, qos, retain) for topic, payload, qos, retain in self.sparkplug if topic.startswith(kind)]

    def collect(self):
        packs = lambda: [d for t, d in self.posts if t.endswith("property/pack/post")]
        self.until(lambda: len(self.metrics("DDATA")) >= 2 and len(packs()) >= 2 and
                   any(t.startswith("blockgate/ha/") and t.count("/") == 4 for t in self.retained))
        births, data = self.metrics("NBIRTH"), self.metrics("DDATA")
        first = births[-1][1] if births else Payload()
        value = data[-1][1].metrics[0] if data else None
        devices = packs()[-1]["params"]["subDevices"] if packs() else []
        configs = {t: json.loads(v) for t, v in self.retained.items() if t.endswith("/config") and v}
        sensors = [c for t, c in configs.items() if "/sensor/" in t]
        return {
            "births": [t for t, *_ in births], "birth_seq": first.seq, "birth_metrics": [m.name for m in first.metrics],
            "device_births": [t for t, *_ in self.metrics("DBIRTH")],
            "seqs": [p.seq for t, p, *_ in self.sparkplug if not t.startswith("NDEATH")],
            "qos": sorted({q for t, _, q, _ in self.sparkplug if not t.startswith("NDEATH")}),
            "retained_sparkplug": any(r for *_, r in self.sparkplug),
            "value": value and {"name": value.name, "type": value.datatype, "double": value.double_value,
                                "properties": dict(zip(value.properties.keys, (v.string_value for v in value.properties.values)))},
            "sensors": sensors,
            "states": {t: v for t, v in self.retained.items() if t.startswith("blockgate/ha/")},
            "packs": len(packs()), "devices": devices, "events": sorted({t.split("/thing/")[1] for t, _ in self.posts}),
        }

    def rebirth(self):
        before = len(self.sparkplug)
        metric = Payload(timestamp=1)
        metric.metrics.add(name="Node Control/Rebirth", timestamp=1, datatype=11, boolean_value=True)
        topic = next(t for t, *_ in self.metrics("NBIRTH"))
        self.client.publish("spBv1.0/site/" + topic.replace("NBIRTH", "NCMD"), metric.SerializeToString(), qos=1)
        self.until(lambda: any(t.startswith("NBIRTH") for t, *_ in self.sparkplug[before:]), 20)
        self.until(lambda: any(t.startswith("DDATA") for t, *_ in self.sparkplug[before + 1:]), 20)
        place = next(i for i, (t, *_) in enumerate(self.sparkplug) if i >= before and t.startswith("NBIRTH"))
        return {"after": [(t.split("/")[0], p.seq) for t, p, *_ in self.sparkplug[place:]]}

    def service(self, identifier, arguments):
        base = next(t.split("/thing/")[0] for t, _ in self.posts)
        number = str(int(time.time() * 1000) % 2**31)
        params = {"id": f"c-{uuid.uuid4()}", "issued_at": stamp(0), "expires_at": stamp(60), "actor": "aliyun/console", "args": arguments}
        self.client.publish(f"{base}/thing/service/{identifier}", json.dumps({"id": number, "version": "1.0", "params": params}), qos=1)
        self.until(lambda: number in self.replies, 30)
        return self.replies.get(number)

    def deaths(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.listen(0.2)
        births = [next(m.long_value for m in p.metrics if m.name == "bdSeq") for _, p, *_ in self.metrics("NBIRTH")]
        deaths = [next(m.long_value for m in p.metrics if m.name == "bdSeq") for _, p, *_ in self.metrics("NDEATH")]
        availability = [v for t, v in self.retained.items() if t.endswith("/availability")]
        historical = [m.is_historical for _, p, *_ in self.metrics("DDATA") for m in p.metrics]
        return {"births": births, "deaths": deaths, "availability": availability, "historical": sum(historical)}


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    judge = Judge(*sys.argv[1:])
    print('"listening"', flush=True)
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "collect":
            said = judge.collect()
        elif word == "rebirth":
            said = judge.rebirth()
        elif word == "service":
            said = judge.service(rest[0], json.loads(rest[1]))
        elif word == "deny":
            judge.deny, said = 1, True
        elif word == "deaths":
            said = judge.deaths(float(rest[0]))
        else:
            sys.exit(__doc__)
        print(json.dumps(said), flush=True)
    judge.client.disconnect()


main()
