#!/usr/bin/env python3
"""A consumer that is not ours: paho-mqtt over mutual TLS.

  collect.py PORT CERTIFICATES PREFIX EVENTS.jsonl

Appends each event of PREFIXevt/# as one line, synced to the disk, and only then confirms on PREFIXreceipt what it has
without a hole. CERTIFICATES has ca.crt, cloud.crt and cloud.key. Reconnects by itself; keeps no session at the broker.
"""

import json
import os
import ssl
import sys
import threading

import paho.mqtt.client as mqtt


def main():
    port, certificates, prefix, path = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    have, through, lock = set(), 0, threading.Lock()
    file = open(path, "ab")

    def on_connect(client, _data, _flags, reason, _properties):
        print("connected:", reason, flush=True)
        client.subscribe(prefix + "evt/#", qos=1)

    def on_message(client, _data, message):
        nonlocal through
        with lock:
            file.write(message.payload + b"\n")
            file.flush()
            os.fsync(file.fileno())
            have.add(json.loads(message.payload)["seq"])
            while through + 1 in have:
                through += 1
                have.discard(through)
            client.publish(prefix + "receipt", json.dumps({"through": through}), qos=1)

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="collector", protocol=mqtt.MQTTv5)
    client.tls_set(
        ca_certs=f"{certificates}/ca.crt",
        certfile=f"{certificates}/cloud.crt",
        keyfile=f"{certificates}/cloud.key",
        tls_version=ssl.PROTOCOL_TLS_CLIENT,
    )
    client.on_connect, client.on_message = on_connect, on_message
    client.reconnect_delay_set(1, 1)
    client.connect_async("localhost", port, keepalive=10)
    client.loop_forever(retry_first_connection=True)


main()
