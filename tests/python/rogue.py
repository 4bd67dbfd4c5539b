#!/usr/bin/env python3
"""A broker in wrong hands: speaks MQTT 5 over TLS well enough to be accepted, then sends whatever a
gateway must survive.

  rogue.py PORT CA CERT KEY PREFIX ROUNDS SEED

PREFIX is `blockgate/v1/{tenant}/{gateway}/`. Sends ROUNDS publishes of every kind of nonsense on every
kind of topic, some packets that are no packets at all, and at the end one good command. Prints one JSON
document: every topic on which the gateway published that lies outside PREFIX, how many of its answers
had which status, how often it connected, and what became of the good command.
"""

import json
import random
import socket
import ssl
import struct
import sys
import time
from datetime import datetime, timedelta, timezone

ORDERS = [
    "resend", "read-now", "decide-held", "exchange-meter", "correct", "record-payment", "settle-payment",
    "request-refund", "approve-refund", "refund-paid", "open-barrier", "close-barrier", "open-door", "grant",
    "revoke", "relay", "valve", "apply-rules", "correct-reading", "refund", "shell", "update", "..", "x" * 64,
]


def varint(number):
    out = b""
    while True:
        byte, number = number % 128, number // 128
        out += bytes([byte | (0x80 if number else 0)])
        if not number:
            return out


def packet(first, body):
    return bytes([first]) + varint(len(body)) + body


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">H", len(value)) + value


def publish(topic, payload, properties=b"", retain=False, qos=1, packet_id=1):
    head = text(topic) + (struct.pack(">H", packet_id) if qos else b"")
    return packet(0x30 | qos << 1 | retain, head + varint(len(properties)) + properties + payload)


def stamp(seconds):
    at = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Nonsense:
    """Commands and receipts of which none may be carried out."""

    def __init__(self, seed, prefix):
        self.random, self.prefix, self.count = random.Random(seed), prefix, 0

    def topic(self):
        r, p = self.random, self.prefix
        if r.random() < 0.6:
            return f"{p}cmd/{r.choice(ORDERS)}"
        return r.choice([
            p + "receipt", p + "state", p + "evt/bill", p + "rsp/read-now", p + "cmd/", p + "cmd/a/b", p + "cmd/../receipt",
            p + "cmd/Read-Now", p + "cmd/%2e", p[:-1], p.replace("/v1/", "/v2/") + "cmd/resend", "x/" + p + "cmd/resend",
            p.replace("gw", "gv") + "cmd/read-now", "$SYS/broker/x", "/", "a" * 65000, p + "cmd/\u202eread-now", p + "cmd/\ufeff",
            p + "cmd/" + "y" * 2000, p + "receipt/", p + "RECEIPT",
        ])

    def arguments(self):
        r = self.random
        return r.choice([
            {}, [], None, "x", 7, -1, 1.5, True, {"from": -1, "to": 5}, {"from": 1.5, "to": 2}, {"from": "1", "to": "2"},
            {"from": 9, "to": 1}, {"from": 2**64, "to": 2**65}, {"from": 1, "to": 10**18}, {"meter": "../../etc/passwd"},
            {"meter": "m-9"}, {"meter": "m-1", "extra": 1}, {"meter": ["m-1"]}, {"meter": None}, {"meter": "M-1"},
            {"lane": "lane-1"}, {"lane": "lane-1", "reason": "test"}, {"door": "door-1"}, {"plate": "粤B12345"},
            {"account": "a-1", "amount_fen": -5, "channel": "cash", "toward": {"to": "prepaid"}},
            {"account": "a-1", "amount_fen": 1e9, "channel": "cash", "toward": {"to": "prepaid"}},
            {"account": "a-1", "amount_fen": 5.5, "channel": "cash"}, {"refund": "c-1"}, {"document": "x" * 2000},
            {"a": {"b": {"c": [[[[[]]]]]}}}, {"from": float("1e400") if r.random() < 0.5 else 0},
        ])

    def command(self):
        r = self.random
        self.count += 1
        document = {
            "id": f"fuzz-{self.count}", "issued_at": stamp(-1), "expires_at": stamp(60), "actor": "rogue/broker",
            "args": self.arguments(),
        }
        way = r.randrange(12)
        if way == 0:
            document.pop(r.choice(list(document)))
        elif way == 1:
            document[r.choice(list(document))] = r.choice([None, [], {}, 0, -1, 1e308, "", "\u0000", "x" * 5000, True])
            document["args"] = {"nothing": 1}
        elif way == 2:
            document["more"] = r.random()
        elif way == 3:
            document.update(issued_at=stamp(-120), expires_at=stamp(-60))
        elif way == 4:
            document.update(issued_at=stamp(3600), expires_at=stamp(7200))
            document["args"] = {"meter": "m-9"}
        elif way == 5:
            document.update(expires_at="9999-12-31T23:59:59Z")
        elif way == 6:
            document["actor"] = r.choice(["", "a\nb", "x" * 200, "clerk/../chief"])
            document["args"] = {"meter": "m-9"}
        elif way == 7:
            document = {"signed": json.dumps(document), "signature": r.choice(["", "00", "zz", "ab" * 64])}
        return json.dumps(document).encode()

    def payload(self):
        r = self.random
        way = r.randrange(20)
        if way < 11:
            return self.command()
        if way < 14:
            good = bytearray(self.command())
            for _ in range(r.randrange(1, 9)):
                good[r.randrange(len(good))] = r.randrange(256)
            return bytes(good)
        return r.choice([
            b"", b"null", b"[]", b"{}", b'""', b"NaN", b"-", b"\xff\xfe\x00", b"\xef\xbb\xbf{}", "äöü".encode("utf-16"),
            b"[" * 60_000, b'{"a":' * 10_000, b'{"id":' + b"[" * 5000, b"9" * 40_000, b'{"through":-1}', b'{"through":1e9}',
            b'{"through":18446744073709551615}', b'{"through":99999999}', b'{"ids":[' + b'"x",' * 9000 + b'"x"]}',
            b'{"ids":[{}]}', b'{"refused":[{"id":"nobody","code":"x"}]}', b'{"refused":"all"}', bytes(r.randrange(256) for _ in range(200)),
            b'{"id":"a","id":"b","args":{}}', b"x" * 200_000, b'{"ids":["' + b"y" * 100_000 + b'"]}',
        ])

    def properties(self):
        r, p = self.random, self.prefix
        out = b""
        if r.random() < 0.6:
            out += b"\x08" + text(r.choice([
                "somewhere/else", p + "evt/bill", p + "state", p + "rsp/../evt/bill", p + "rsp/x", "blockgate/v1/other/gw/rsp/x",
                "$SYS/x", p + "rsp/" + "z" * 500, p + "receipt", p + "cmd/resend", "a" * 60_000, p + "rsp",
            ]))
        if r.random() < 0.4:
            out += b"\x09" + struct.pack(">H", size := r.choice([0, 1, 1000, 1025, 60_000])) + b"c" * size
        if r.random() < 0.2:
            out += b"\x03" + text("application/" + "x" * r.randrange(100))
        for _ in range(r.choice([0, 0, 0, 3, 200])):
            out += b"\x26" + text("key") + text("value")
        return out


BROKEN = [
    b"\xff" * 64, b"\x30\xff\xff\xff\xff\xff", b"\x32\x02\x00\x50", packet(0x32, b""), packet(0x32, text("a" * 10) + b"\0\1\xff\xff\xff\xff"),
    packet(0x30, text(b"\xff\xfe") + b"\0x"), packet(0x20, b"\0\0\0"), packet(0x90, b"\0\1\0\x01\x01"), packet(0x40, b"\x7f\xff"),
    packet(0x50, b"\0\1"), packet(0x62, b"\0\1"), packet(0xF0, b"\x18\0"), packet(0xE0, b"\x9d\0"), packet(0xE0, b"\x8e\0"),
    packet(0x10, text("MQTT") + b"\5\2\0\0\0\0\0"), packet(0x82, b"\0\1\0" + text("#") + b"\1"),
    publish("x", b"", properties=b"\x23\0\0"), publish("", b"", properties=b"\x23\0\7"), publish("x", b"", properties=b"\x7f\1\2\3"),
    packet(0x36, text("x") + b"\0\1\0y"),
]


class Rogue:
    def __init__(self, port, ca, cert, key, prefix, seed):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.settimeout(60)
        self.context, self.prefix = context, prefix
        self.nonsense = Nonsense(seed, prefix)
        self.connects, self.outside, self.statuses, self.answers = 0, [], {}, {}
        self.stream, self.buffer = None, b""

    def accept(self):
        while True:
            raw, _ = self.listener.accept()
            raw.settimeout(20)
            try:
                self.stream, self.buffer = self.context.wrap_socket(raw, server_side=True), b""
                first, body = self.read()
                if first >> 4 != 1:
                    continue
                self.connects += 1
                self.stream.sendall(packet(0x20, b"\0\0\0"))
                while True:
                    first, body = self.read()
                    if first >> 4 == 8:
                        self.stream.sendall(packet(0x90, body[:2] + b"\0\1\1"))
                        return
            except (OSError, EOFError):
                continue

    def read(self):
        """The next packet; EOFError when the gateway hung up."""
        while True:
            length, used = 0, 1
            while used < len(self.buffer) and used <= 4:
                length |= (self.buffer[used] & 0x7F) << 7 * (used - 1)
                used += 1
                if not self.buffer[used - 1] & 0x80:
                    break
            else:
                used = 0
            if used and len(self.buffer) >= used + length:
                first, body = self.buffer[0], self.buffer[used:used + length]
                self.buffer = self.buffer[used + length:]
                return first, body
            more = self.stream.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more

    def hear(self, seconds):
        """Takes what comes for so long; acknowledges and notes publishes."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return
            self.stream.settimeout(left)
            try:
                first, body = self.read()
            except (TimeoutError, ssl.SSLWantReadError):
                return
            finally:
                self.stream.settimeout(20)
            if first >> 4 == 3:
                self.published(first, body)
            elif first >> 4 == 12:
                self.stream.sendall(b"\xd0\0")

    def published(self, first, body):
        size = struct.unpack(">H", body[:2])[0]
        topic, rest = body[2:2 + size].decode(), body[2 + size:]
        if first & 6:
            self.stream.sendall(packet(0x40, rest[:2]))
            rest = rest[2:]
        skip, place = rest[0] & 0x7F, 1
        if rest[0] & 0x80:
            skip, place = skip | (rest[1] & 0x7F) << 7, 2
        payload = rest[place + skip:]
        allowed = topic == self.prefix + "state" or any(topic.startswith(self.prefix + w) for w in ("evt/", "tel/", "rsp/"))
        if not allowed:
            self.outside.append(topic)
        if topic.startswith(self.prefix + "rsp/"):
            answer = json.loads(payload)
            self.statuses[answer["status"]] = self.statuses.get(answer["status"], 0) + 1
            self.answers.setdefault(answer["id"], []).append(answer["status"])

    def send(self, data):
        """Sends; a new connection when the gateway hung up."""
        for _ in range(3):
            try:
                self.stream.sendall(data)
                return
            except OSError:
                self.accept()

    def rounds(self, count):
        self.accept()
        broken_at = {count * (n + 1) // (len(BROKEN) + 1): what for n, what in enumerate(BROKEN)}
        for number in range(count):
            n = self.nonsense
            data = publish(n.topic(), n.payload(), n.properties(), retain=n.random.random() < 0.2,
                           qos=n.random.choice([0, 1, 1]), packet_id=number % 60_000 + 1)
            self.send(broken_at.get(number, b"") or data)
            try:
                self.hear(0.002 if number not in broken_at else 0.3)
            except (EOFError, OSError):
                self.accept()
        try:
            self.hear(2)
        except (EOFError, OSError):
            self.accept()

    def good(self):
        document = json.dumps({"id": "good-1", "issued_at": stamp(-1), "expires_at": stamp(60), "actor": "cloud/ops",
                               "args": {"meter": "m-1"}}).encode()
        for _ in range(20):
            self.send(publish(self.prefix + "cmd/read-now", document))
            try:
                self.hear(1)
            except (EOFError, OSError):
                self.accept()
            said = self.answers.get("good-1", [])
            if any(word in ("done", "failed") for word in said):
                break
        return self.answers.get("good-1", [])


def main():
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    port, ca, cert, key, prefix, rounds, seed = sys.argv[1:]
    rogue = Rogue(int(port), ca, cert, key, prefix, int(seed))
    print("listening", flush=True)
    rogue.rounds(int(rounds))
    statuses = dict(rogue.statuses)
    good = rogue.good()
    done = sorted(i for i, words in rogue.answers.items() if i != "good-1" and "done" in words)
    print(json.dumps({"connects": rogue.connects, "outside": rogue.outside, "statuses": statuses, "good": good,
                      "commands": rogue.nonsense.count, "carried_out": done}), flush=True)


main()
