#!/usr/bin/env python3
"""A consumer of blockgate events for PostgreSQL: small, complete, to be copied.

  consumer.py --broker HOST:PORT --ca FILE [--cert FILE --key FILE] [--user U --password-file F]
              --database CONNINFO [--tenant T] [--client-id ID] [--mqtt 5|3.1.1]
              [--ask-after SECONDS] [--stats SECONDS]

What it does, in the order in which it matters (docs/cloud.md explains why):

1. Takes every event of every gateway of the tenant; keeps it once, by its id and sequence number, in
   one transaction for many events. A repetition changes nothing. A gateway that was restored from a backup
   counts some numbers again, under another `epoch`: such a history is kept beside the first one, as
   `tenant/gateway#epoch`, and is complete by itself from where its first event says.
2. Only after the commit it confirms: `{"through": n}` for what is whole, `{"ids": […]}` for what lies
   behind a gap. A gateway forgets an event when, and only when, this has reached it.
3. A gap that stays for a while is asked for by the command `resend`.
4. The same id or number with other bytes is never taken; it is kept aside and said aloud.

A receipt that gets lost needs no care: the gateway sends the event again, and it is confirmed again.
"""

import argparse
import contextlib
import hashlib
import json
import queue
import signal
import socket
import sys
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

import paho.mqtt.client as mqtt
import psycopg

BATCH = 2000          # events in one transaction at most
LINGER = 0.05         # seconds that a small batch waits for more
IDS_MAX = 1000        # ids in one receipt
RESEND_MAX = 1000     # sequence numbers in one resend


class Client(mqtt.Client):
    """Paho begins with a name's first address each time; a node of a cluster may accept connections and
    no clients, so each attempt begins with the next one."""

    turn = 0

    def _create_socket_connection(self):
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(place[4][:2] for place in found))
        self.turn += 1
        for number in range(len(addresses)):
            try:
                return socket.create_connection(addresses[(self.turn + number) % len(addresses)], 5)
            except OSError as error:
                last = error
        raise last


class Store:
    """PostgreSQL, one connection; made anew when it has failed."""

    def __init__(self, conninfo):
        self.conninfo, self.connection = conninfo, None
        with self.cursor() as cursor:
            cursor.execute((Path(__file__).parent / "schema.sql").read_text())

    @contextlib.contextmanager
    def cursor(self):
        """A cursor in a transaction that is committed at the end."""
        if self.connection is None or self.connection.closed:
            self.connection = psycopg.connect(self.conninfo, autocommit=True)
        try:
            with self.connection.transaction(), self.connection.cursor() as cursor:
                yield cursor
        except psycopg.OperationalError:
            self.connection.close()
            raise

    def take(self, events):
        """Keeps a batch; gives for each gateway (through, highest, ids behind a gap), and what is altered."""
        with self.cursor() as cursor:
            return self._take(cursor, events)

    def _take(self, cursor, events):
        cursor.execute(
            "CREATE TEMP TABLE IF NOT EXISTS arrived (gateway text, seq bigint, id text, kind text,"
            " time timestamptz, hash bytea, body jsonb) ON COMMIT DELETE ROWS"
        )
        with cursor.copy("COPY arrived FROM STDIN") as copy:
            for event in events:
                copy.write_row(event)
        cursor.execute(
            "INSERT INTO event (gateway, seq, id, kind, time, hash, body)"
            " SELECT DISTINCT ON (gateway, seq) * FROM arrived ORDER BY gateway, seq ON CONFLICT DO NOTHING"
        )
        # What came and is not what is kept: other bytes under a known name.
        cursor.execute(
            "INSERT INTO altered (gateway, seq, id, hash)"
            " SELECT a.gateway, a.seq, a.id, a.hash FROM arrived a WHERE NOT EXISTS (SELECT FROM event e"
            " WHERE e.gateway = a.gateway AND e.seq = a.seq AND e.id = a.id AND e.hash = a.hash)"
            " ON CONFLICT DO NOTHING RETURNING gateway, seq"
        )
        altered = set(cursor.fetchall())
        gateways = sorted({event[0] for event in events})
        # Where the history of a restored gateway begins is known when its first event is here.
        cursor.executemany(
            "INSERT INTO gateway (gateway, through) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [(g, None if "#" in g else 0) for g in gateways],
        )
        cursor.execute(
            "UPDATE gateway g SET through = (a.body #>> '{data,after}')::bigint FROM arrived a WHERE g.gateway = a.gateway"
            " AND g.through IS NULL AND a.body #>> '{data,what}' = 'restored'"
        )
        # The longest run without a gap from where it stood: rows whose number is `through` plus their rank.
        cursor.execute(
            "UPDATE gateway g SET through = g.through + coalesce((SELECT count(*) FROM (SELECT seq,"
            "   row_number() OVER (ORDER BY seq) AS rank FROM event e WHERE e.gateway = g.gateway AND e.seq > g.through) s"
            "   WHERE s.seq = g.through + s.rank), 0),"
            " highest = greatest(g.highest, (SELECT max(seq) FROM arrived a WHERE a.gateway = g.gateway))"
            " WHERE g.gateway = ANY(%s) RETURNING gateway, through, highest",
            (gateways,),
        )
        stand = {gateway: (through, highest, []) for gateway, through, highest in cursor.fetchall()}
        for gateway, seq, identity, *_ in events:
            through, _, ids = stand[gateway]
            if seq > (through or 0) and (gateway, seq) not in altered:
                ids.append(identity)
        return stand, altered

    def gaps(self, waited):
        """Sequence numbers that are missing for longer than `waited` seconds, as ranges by gateway."""
        with self.cursor() as cursor:
            cursor.execute(
                "UPDATE gateway SET asked_at = clock_timestamp() WHERE highest > through"
                " AND (asked_at IS NULL OR asked_at < clock_timestamp() - make_interval(secs => %s))"
                " RETURNING gateway, through, (SELECT min(seq) FROM event e WHERE e.gateway = gateway.gateway"
                " AND e.seq > gateway.through)",
                (waited,),
            )
            return [(g, through + 1, first - 1) for g, through, first in cursor.fetchall() if first]

    def state(self, gateway, state):
        with self.cursor() as cursor:
            cursor.execute(
                "INSERT INTO gateway (gateway, state) VALUES (%s, %s)"
                " ON CONFLICT (gateway) DO UPDATE SET state = excluded.state",
                (gateway, json.dumps(state)),
            )
            cursor.execute(
                "SELECT gateway, through FROM gateway WHERE split_part(gateway, '#', 1) = %s", (gateway,)
            )
            return cursor.fetchall()


def event_of(topic, payload):
    """The row of a message, or None when it is no event of the contract."""
    try:
        envelope = json.loads(payload)
        _, _, tenant, gateway, _, kind = topic.split("/")
        history = f"#{envelope['epoch']}" if "epoch" in envelope else ""
        row = (f"{tenant}/{gateway}{history}", envelope["seq"], envelope["id"], kind, envelope["time"],
               hashlib.sha256(payload).digest(), payload.decode())
    except (ValueError, KeyError, TypeError):
        return None
    good = isinstance(row[1], int) and row[1] > 0 and isinstance(row[2], str) and envelope["type"] == f"blockgate.{kind}.v1"
    return row if good and envelope["source"] == f"/blockgate/{tenant}/{gateway}" else None


class Consumer:
    def __init__(self, options):
        self.options, self.store = options, Store(options.database)
        self.arrived = queue.Queue(maxsize=50_000)
        self.counts = {"messages": 0, "unreadable": 0, "altered": 0, "resends": 0}
        self.stopping = threading.Event()
        self.gap_since = {}
        version = mqtt.MQTTv5 if options.mqtt == "5" else mqtt.MQTTv311
        # What the broker remembers of us is not needed: the gateways remember.
        keep = {} if options.mqtt == "5" else {"clean_session": True}
        self.client = Client(mqtt.CallbackAPIVersion.VERSION2, options.client_id, protocol=version, **keep)
        self.client.max_queued_messages_set(0)
        self.client.reconnect_delay_set(1, 3)
        if options.ca:
            self.client.tls_set(options.ca, options.cert, options.key)
        if options.user:
            self.client.username_pw_set(options.user, Path(options.password_file).read_text().strip())
        self.client.on_connect = self.on_connect
        self.client.on_message = self.on_message

    def on_connect(self, client, _data, _flags, reason, _properties):
        if reason.is_failure:
            print(f"the broker refuses: {reason}", file=sys.stderr, flush=True)
            return
        prefix = f"blockgate/v1/{self.options.tenant}/+/"
        client.subscribe([(prefix + "evt/+", 1), (prefix + "state", 1)])

    def on_message(self, _client, _data, message):
        # Blocks when the database is behind: the broker then holds the rest back.
        self.arrived.put((message.topic, message.payload))

    def publish(self, gateway, what, document):
        place, _, _ = gateway.partition("#")
        self.client.publish(f"blockgate/v1/{place}/{what}", json.dumps(document), qos=1)

    def confirm(self, gateway, through, ids):
        _, _, epoch = gateway.partition("#")
        history = {"epoch": epoch} if epoch else {}
        if through:
            self.publish(gateway, "receipt", {"through": through, **history})
        for first in range(0, len(ids), IDS_MAX):
            self.publish(gateway, "receipt", {"ids": ids[first:first + IDS_MAX], **history})

    def resend(self, gateway, first, last):
        now = datetime.now(timezone.utc)
        self.counts["resends"] += 1
        self.publish(gateway, "cmd/resend", {
            "id": f"resend-{uuid.uuid4()}", "issued_at": now.isoformat().replace("+00:00", "Z"),
            "expires_at": (now + timedelta(minutes=5)).isoformat().replace("+00:00", "Z"),
            "actor": "consumer/gaps", "args": {"from": first, "to": min(last, first + RESEND_MAX - 1)},
        })

    def batch(self):
        """The next messages, at least one, or none when nothing comes for a second."""
        try:
            messages = [self.arrived.get(timeout=1.0)]
        except queue.Empty:
            return []
        until = time.monotonic() + LINGER
        while len(messages) < BATCH:
            try:
                messages.append(self.arrived.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return messages

    def work(self, messages):
        events, states = [], {}
        for topic, payload in messages:
            if topic.endswith("/state"):
                states[topic] = payload
            elif row := event_of(topic, payload):
                events.append(row)
            else:
                self.counts["unreadable"] += 1
        if events:
            stand, altered = self.store.take(events)
            self.counts["altered"] += len(altered)
            for gateway, seq in altered:
                print(f"ALTERED: {gateway} sent event {seq} with other bytes", file=sys.stderr, flush=True)
            for gateway, (through, _highest, ids) in stand.items():
                self.confirm(gateway, through, ids)
        for topic, payload in states.items():
            _, _, tenant, gateway, _ = topic.split("/")
            try:
                state = json.loads(payload)
            except ValueError:
                continue
            histories = self.store.state(f"{tenant}/{gateway}", state)
            # It is there again and may not have heard the last receipt.
            if state.get("online"):
                for history, through in histories:
                    self.confirm(history, through, [])

    def ask_for_gaps(self):
        for gateway, first, last in self.store.gaps(self.options.ask_after):
            # Not at the first look: what is on its way needs no asking.
            if self.gap_since.get(gateway) == first:
                self.resend(gateway, first, last)
            self.gap_since[gateway] = first

    def run(self):
        options = self.options
        host, port = options.broker.rsplit(":", 1)
        while not self.stopping.is_set():
            try:
                self.client.connect(host, int(port), keepalive=15)
                break
            except OSError as error:
                print(f"no broker yet: {error}", file=sys.stderr, flush=True)
                self.stopping.wait(1)
        self.client.loop_start()
        asked = told = time.monotonic()
        messages = []
        while not self.stopping.is_set():
            if not messages:
                messages = self.batch()
                self.counts["messages"] += len(messages)
            try:
                if messages:
                    self.work(messages)
                    messages = []
                if time.monotonic() - asked > options.ask_after / 2:
                    asked = time.monotonic()
                    self.ask_for_gaps()
            except psycopg.OperationalError as error:
                # Nothing of this batch was confirmed; the same once more, when the database is back.
                print(f"the database: {error}", file=sys.stderr, flush=True)
                self.stopping.wait(1)
            now = time.monotonic()
            if options.stats and now - told > options.stats:
                told = now
                print(json.dumps(self.counts), flush=True)
        self.client.loop_stop()
        self.client.disconnect()
        print(json.dumps(self.counts), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", required=True, metavar="HOST:PORT")
    parser.add_argument("--ca", metavar="FILE")
    parser.add_argument("--cert", metavar="FILE")
    parser.add_argument("--key", metavar="FILE")
    parser.add_argument("--user")
    parser.add_argument("--password-file", metavar="FILE")
    parser.add_argument("--database", required=True, metavar="CONNINFO")
    parser.add_argument("--tenant", default="+")
    parser.add_argument("--client-id", default="blockgate-consumer")
    parser.add_argument("--mqtt", choices=("5", "3.1.1"), default="5")
    parser.add_argument("--ask-after", type=float, default=10, help="seconds that a gap may last before it is asked for")
    parser.add_argument("--stats", type=float, default=0)
    consumer = Consumer(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: consumer.stopping.set())
    signal.signal(signal.SIGINT, lambda *_: consumer.stopping.set())
    consumer.run()


if __name__ == "__main__":
    main()
