#!/usr/bin/env python3
"""Three nodes of Debian's RabbitMQ with its MQTT plugin, each in a network namespace of its own.

  rabbit.py FOLDER NAME [NODES]

Needs root, iproute2 and rabbitmq-server. FOLDER must hold server.crt, server.key and ca.crt for the
name `broker`. Makes the namespaces NAME0 (bridge, clients) and NAME1 … NAME3 (nodes), prints `ready`
and then obeys lines on standard input, each answered by `done`: `kill N`, `start N`, `cut N` (the
node's link goes down), `heal N`, `status`. At the end of input everything is ended and removed.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

PROGRAM = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
COOKIE = "blockgate-tests"
PREFIX = "10.77.0."


def run(*argv, check=True):
    return subprocess.run(argv, check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


class Cluster:
    def __init__(self, folder, name, nodes):
        self.folder, self.name, self.nodes = pathlib.Path(folder).resolve(), name, nodes
        self.running = {}

    def space(self, node):
        return f"{self.name}{node}"

    def address(self, node):
        return f"{PREFIX}{10 + node}" if node else f"{PREFIX}1"

    def network(self):
        hosts = "127.0.0.1 localhost\n" + "".join(f"{self.address(n)} broker\n" for n in range(1, self.nodes + 1))
        hub = self.space(0)
        for node in range(self.nodes + 1):
            space = self.space(node)
            run("ip", "netns", "add", space)
            folder = pathlib.Path("/etc/netns") / space
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "hosts").write_text(hosts)
            run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "-n", hub, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", hub, "link", "set", "br0", "up")
        run("ip", "-n", hub, "addr", "add", f"{self.address(0)}/24", "dev", "br0")
        for node in range(1, self.nodes + 1):
            space = self.space(node)
            run("ip", "-n", hub, "link", "add", f"v{node}", "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "-n", hub, "link", "set", f"v{node}", "master", "br0", "up")
            run("ip", "-n", space, "addr", "add", f"{self.address(node)}/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")

    def environment(self, node):
        home = self.folder / f"n{node}"
        home.mkdir(exist_ok=True)
        names = "".join(
            f"cluster_formation.classic_config.nodes.{n} = rabbit@{self.address(n)}\n" for n in range(1, self.nodes + 1)
        )
        (home / "rabbitmq.conf").write_text(
            "listeners.tcp = none\nmqtt.listeners.tcp = none\nmqtt.listeners.ssl.default = 8883\n"
            f"ssl_options.cacertfile = {self.folder}/ca.crt\nssl_options.certfile = {self.folder}/server.crt\n"
            f"ssl_options.keyfile = {self.folder}/server.key\nssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = true\nmqtt.allow_anonymous = true\nloopback_users = none\n"
            "mqtt.prefetch = 200\nmqtt.tcp_listen_options.backlog = 4096\nmqtt.subscription_ttl = 3600000\n"
            "cluster_formation.peer_discovery_backend = classic_config\n" + names
            + "cluster_partition_handling = pause_minority\nnet_ticktime = 10\nvm_memory_high_watermark.absolute = 2GB\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        (home / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        return {
            **os.environ,
            "HOME": str(home),
            "RABBITMQ_CONF_ENV_FILE": str(home / "none"),
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_NODENAME": f"rabbit@{self.address(node)}",
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-setcookie {COOKIE} -kernel net_ticktime 10 +S 2:2",
            "RABBITMQ_CTL_ERL_ARGS": f"-setcookie {COOKIE}",
            "LANG": "C.UTF-8",
        }

    def start(self, node):
        log = open(self.folder / f"n{node}.log", "ab")
        self.running[node] = subprocess.Popen(
            ["ip", "netns", "exec", self.space(node), str(PROGRAM)],
            env=self.environment(node), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )

    def kill(self, node):
        process = self.running.pop(node, None)
        if process:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        # epmd and helpers of this namespace alone.
        for pid in run("ip", "netns", "pids", self.space(node)).split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def link(self, node, state):
        run("ip", "-n", self.space(0), "link", "set", f"v{node}", state)

    def listens(self, node):
        probe = f"import socket; socket.create_connection(('{self.address(node)}', 8883), 1).close()"
        done = subprocess.run(["ip", "netns", "exec", self.space(0), sys.executable, "-c", probe],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return done.returncode == 0

    def wait(self, nodes, limit=180):
        end = time.monotonic() + limit
        for node in nodes:
            while not self.listens(node):
                if self.running[node].poll() is not None or time.monotonic() > end:
                    sys.exit(f"node {node} does not come up, see {self.folder}/n{node}.log")
                time.sleep(0.3)

    def policy(self):
        """Subscriptions survive the node that they were made on: without this a client whose node is gone
        cannot subscribe anywhere else until that node is back (RabbitMQ 3.10, classic queues)."""
        said = run("ip", "netns", "exec", self.space(1), "env", f"HOME={self.folder}/n1", "/usr/lib/rabbitmq/bin/rabbitmqctl",
                   "--longnames", "-n", f"rabbit@{self.address(1)}", "--erlang-cookie", COOKIE, "set_policy", "mqtt",
                   "^mqtt-subscription-", '{"ha-mode":"all","ha-sync-mode":"automatic"}', "--apply-to", "queues", check=False)
        if "Setting policy" not in said:
            sys.exit(f"no policy: {said}")

    def status(self):
        return run("ip", "netns", "exec", self.space(1), "/usr/lib/rabbitmq/bin/rabbitmqctl", "--longnames",
                   "-n", f"rabbit@{self.address(1)}", "cluster_status", check=False)

    def remove(self):
        for node in list(self.running):
            self.kill(node)
        for node in range(self.nodes + 1):
            for pid in run("ip", "netns", "pids", self.space(node), check=False).split():
                if pid.isdigit() and int(pid) != os.getpid():
                    try:
                        os.kill(int(pid), signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            run("ip", "netns", "del", self.space(node), check=False)
            shutil.rmtree(pathlib.Path("/etc/netns") / self.space(node), ignore_errors=True)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    cluster = Cluster(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 3)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        cluster.network()
        for node in range(1, cluster.nodes + 1):
            cluster.start(node)
            cluster.wait([node])
        cluster.policy()
        print("ready", flush=True)
        for line in sys.stdin:
            word, *rest = line.split() or [""]
            node = int(rest[0]) if rest else 0
            if word == "kill":
                cluster.kill(node)
            elif word == "start":
                cluster.start(node)
            elif word == "cut":
                cluster.link(node, "down")
            elif word == "heal":
                cluster.link(node, "up")
            elif word == "status":
                print(cluster.status())
            print("done", flush=True)
    finally:
        cluster.remove()


main()
