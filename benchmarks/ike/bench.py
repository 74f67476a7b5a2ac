#!/usr/bin/python3
"""IKE set-ups a second, memory, and what the control loop is like meanwhile: espgated as it is, and strongSwan's
charon, each under `ike_load`. benchmarks/README.md says how to read it.

Usage: bench.py --build FOLDER [--quick | --full | --ike-sas N] [--cpu N] [--json FILE]
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/interop"))

from lib import authority, cleanup, configuration, netns  # noqa: E402
from lib.gateway import Gateway  # noqa: E402
from lib.loop_times import Reading  # noqa: E402
from lib.strongswan import Charon, version as strongswan_version  # noqa: E402

RESPONDER, ROUTER = "192.0.2.1", "192.0.2.254"
INITIATORS = "10.128.0.0/15"
BEHIND = "10.160.0.0/15"
INSIDE = "10.1.0.0/16"
PSK = "a key that all initiators have"
NAME = "gateway.example.org"
PEERS = "load.example.org"
FULL_SAS = 20_000
MOST_SAS = 131_072  # addresses of INITIATORS


def lives_of(child_rekey_s):
    """Settings by which an IKE SA is rekeyed with every third rekey of its child."""
    return {"child_rekey_after": child_rekey_s, "child_expires_after": 3 * child_rekey_s,
            "rekey_after": 3 * child_rekey_s, "expires_after": 6 * child_rekey_s}


def initiator(number):
    return f"10.{128 + number // 65536}.{number // 256 % 256}.{number % 256}"


def behind(number):
    return f"10.{160 + number // 65536}.{number // 256 % 256}.{number % 256}"


class Net:
    def __init__(self):
        netns.sweep()
        self.gateway, self.load, self.host = (netns.Namespace(role) for role in ("gateway", "load", "host"))
        netns.cable(self.gateway, "veth-out", self.load, "wan")
        netns.cable(self.gateway, "veth-in", self.host, "lan")
        self.load.ip("address", "add", f"{ROUTER}/24", "dev", "wan")
        self.load.ip("route", "add", "local", INITIATORS, "dev", "lo")


class Load:
    """ike_load, and the lines that it writes."""

    def __init__(self, net, build, cpu, count, *options):
        self._process = net.load.popen(
            "taskset", "-c", cpu, build / "benchmarks/ike_load", "--responder", RESPONDER, "--first", initiator(0),
            "--first-inner", behind(0),
            "--network", INSIDE, "--count", count, *options, stdout=subprocess.PIPE, text=True)
        cleanup.later(self._end)

    def line(self):
        text = self._process.stdout.readline()
        if not text:
            raise RuntimeError(f"ike_load ended with {self._process.wait(10)}")
        return json.loads(text)

    def end(self):
        """Its last line."""
        self._process.send_signal(signal.SIGTERM)
        line = self.line()
        self._process.wait(10)
        return line

    def _end(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Cpu:
    """Processor time of a process's threads since the last look, in seconds: of the first one, and of those for public
    keys, which have a name of their own in espgated and the first one's elsewhere (those of DPDK have others)."""

    def __init__(self, pid):
        self._pid = pid
        self._before = (0.0, 0.0)
        self.look()

    def look(self):
        control = keys = 0.0
        own = pathlib.Path(f"/proc/{self._pid}/comm").read_text()
        for task in pathlib.Path(f"/proc/{self._pid}/task").iterdir():
            used_s = int((task / "schedstat").read_text().split()[0]) / 1e9
            if task.name == str(self._pid):
                control = used_s
            elif (task / "comm").read_text() in (own, "IKE keys\n"):
                keys += used_s
        now, before = (control, keys), self._before
        self._before = now
        return now[0] - before[0], now[1] - before[1]


def memory_bytes(pid, shared_mb=None):
    """Resident memory, without DPDK's own area when its size is given."""
    total = size_kb = 0
    heap = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        field, _, rest = line.partition(":")
        if field == "Size":
            size_kb = int(rest.split()[0])
        elif field == "Rss" and (heap or shared_mb is None or size_kb < shared_mb * 1024 * 9 // 10):
            total += int(rest.split()[0]) * 1024
        elif "-" in line.split(" ")[0]:
            heap = line.endswith("[heap]")
    return total


def blocks(load, cpu, count):
    """Rates of each block of set-ups, until all are up."""
    before, rows, setups = {"seconds": 0.0, "own_cpu_s": 0.0}, [], []
    up = 0
    while up < count:
        line = load.line()
        control_s, keys_s = cpu.look()
        if line["failed"]:
            raise RuntimeError(f"{line['failed']} set-ups failed")
        done, up = line["up"] - up, line["up"]
        rows.append({"per_cpu_s": done / (control_s + keys_s), "per_s": done / (line["seconds"] - before["seconds"]),
                     "control_us": control_s / done * 1e6, "keys_us": keys_s / done * 1e6,
                     "initiator_us": (line["own_cpu_s"] - before["own_cpu_s"]) / done * 1e6})
        setups.append(line["setup_ms"])
        before = line
    result = {key: {"median": statistics.median(row[key] for row in rows), "min": min(row[key] for row in rows),
                    "max": max(row[key] for row in rows)} for key in rows[0]}
    result["setup_ms"] = {"median": statistics.median(one["median"] for one in setups),
                          "p99": max(one["p99"] for one in setups)}
    return result


class Bench:
    def __init__(self, arguments):
        self.build = arguments.build.resolve()
        self.cpu = arguments.cpu
        self.other_cpu = next((cpu for cpu in sorted(os.sched_getaffinity(0)) if cpu != self.cpu), self.cpu)
        self.full = arguments.full
        self.quick = arguments.quick
        self.ike_sas = arguments.ike_sas
        os.environ["ESPGATE_BUILD"] = str(self.build)
        self.workdir = None

    def fresh(self):
        """A folder for what comes next, which cleanup.now takes away."""
        self.workdir = pathlib.Path(tempfile.mkdtemp(prefix="espgate-bench-"))
        cleanup.later(shutil.rmtree, self.workdir, True)

    def gateway(self, net, count, ike):
        connections = [{"name": f"c{number}", "local": RESPONDER, "remote": initiator(number),
                        "local_networks": [INSIDE], "remote_networks": [f"{behind(number)}/32"],
                        "ike": {"start": "passive", "suites": ["aes128-gcm16"], "key_exchanges": ["x25519"],
                                "child_suites": ["aes128-gcm16"], "pfs": ["x25519"], **ike}}
                       for number in range(count)]
        room = max(1000, 2 * count)
        limits = {"inbound_sas": room, "outbound_sas": room, "policies": room, "ike_sas": room, "tombstones": room,
                  "punt_ike_pps": 1_000_000, "punt_ring": 8192, "ike_half_open": 5000, "ike_cookies_from": 5000}
        ports = [{"name": "outside", "device": "net_af_packet0,iface=veth-out,framecnt=2048,blocksz=4096,framesz=2048",
                  "ipsec": True, "addresses": [f"{RESPONDER}/24"]},
                 {"name": "inside", "device": "net_af_packet1,iface=veth-in,framecnt=2048,blocksz=4096,framesz=2048",
                  "mtu": 1400, "addresses": ["10.1.0.1/16"]}]
        netns.silence(net.gateway, "veth-out", "veth-in")
        settings = configuration.gateway(
            ports, connections=connections, routes=[{"to": INITIATORS, "via": ROUTER}], hugepages=False, limits=limits,
            control_cpu=self.cpu, worker_cpus=[self.other_cpu], log_level="info")
        return Gateway(net.gateway, self.workdir, settings).start(timeout_s=120)

    def espgated(self, case, count, ike, load_options, hold_s=0):
        net = Net()
        gateway = self.gateway(net, count, ike)
        block = max(100, count // 10)
        memory_mb = dpdk_mb(gateway.pid)
        before = memory_bytes(gateway.pid, memory_mb), memory_bytes(gateway.pid)
        start = Reading(gateway)
        cpu = Cpu(gateway.pid)
        load = Load(net, self.build, self.other_cpu, count, "--block", block, *load_options)
        row = {"bench": "ike", "case": case, "connections": count, **blocks(load, cpu, count)}
        all_up = Reading(gateway)
        row["loop"] = all_up.since(start)
        row["bytes_an_sa"] = (memory_bytes(gateway.pid, memory_mb) - before[0]) / count
        row["resident_bytes_an_sa"] = (memory_bytes(gateway.pid) - before[1]) / count
        rows = [row]
        if hold_s:
            cpu.look()
            time.sleep(hold_s)
            control_s, keys_s = cpu.look()
            held = Reading(gateway)
            last = load.end()
            rows.append({"bench": "ike", "case": f"{case}, kept up", "connections": count, "seconds": hold_s,
                         "child_rekeys_per_s": last["rekeyed"] / hold_s, "lost": last["lost"],
                         "control_share": control_s / hold_s, "keys_share": keys_s / hold_s,
                         "loop": held.since(all_up),
                         "bytes_an_sa": (memory_bytes(gateway.pid, memory_mb) - before[0]) / count})
        gateway.stop()
        cleanup.now()
        return rows

    def charon(self, count):
        net = Net()
        net.gateway.ip("address", "add", f"{RESPONDER}/24", "dev", "veth-out")
        net.gateway.ip("route", "add", INITIATORS, "via", ROUTER)
        net.gateway.ip("address", "add", "10.1.0.1/16", "dev", "lo")  # in local_ts, or it installs no policy
        charon = Charon(net.gateway, {
            "connections": {"load": {
                "version": 2, "local_addrs": RESPONDER, "proposals": "aes128gcm16-prfsha256-x25519", "encap": True,
                "mobike": False, "rekey_time": 0, "reauth_time": 0, "local": {"auth": "psk", "id": RESPONDER},
                "remote": {"auth": "psk", "id": "%any"},
                "children": {"load": {"local_ts": INSIDE, "remote_ts": BEHIND, "esp_proposals": "aes128gcm16",
                                      "rekey_time": 0}}}},
            "secrets": {"ike-all": {"secret": f'"{PSK}"'}}},
            {"threads": 16, "ikesa_table_size": 16384, "ikesa_table_segments": 16, "init_limit_half_open": 0,
             "half_open_timeout": 60, "cookie_threshold": 0, "block_threshold": 0, "install_routes": False,
             "filelog": {"test": {"path": "/dev/null", "default": -1}}}).start()
        subprocess.run(["taskset", "-a", "-p", "-c", str(self.cpu), str(charon.pid)], check=True,
                       stdout=subprocess.DEVNULL)
        before = memory_bytes(charon.pid)
        cpu = ProcessCpu(charon.pid)
        block = max(100, count // 10)
        load = Load(net, self.build, self.other_cpu, count, "--block", block, "--psk", PSK, "--encapsulate")
        row = {"bench": "ike", "case": f"strongSwan {strongswan_version()}, PSK", "connections": count,
               **blocks(load, cpu, count)}
        row["bytes_an_sa"] = row["resident_bytes_an_sa"] = (memory_bytes(charon.pid) - before) / count
        load.end()
        cleanup.now()
        return [row]

    def certificates(self, kind, count):
        root = authority.Certificate("CA", kind, authority=True)
        files = {"ca": root.pem()}
        for name in (NAME, PEERS):
            certificate = root.issue(name, kind)
            files.update({f"{name}.pem": certificate.pem(), f"{name}.key": certificate.key_pem()})
        folder = self.workdir / "pki"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o600)
        ike = {"certificate": str(folder / f"{NAME}.pem"), "private_key": str(folder / f"{NAME}.key"),
               "ca": str(folder / "ca"), "local_id": NAME, "remote_id": PEERS}
        return self.espgated(kind, count, ike, [
            "--certificate", folder / f"{PEERS}.pem", "--private-key", folder / f"{PEERS}.key", "--ca", folder / "ca",
            "--identity", PEERS])

    def shared_key(self, count, lives, hold_s, theirs):
        """`lives`: our side's settings; `theirs`: when the initiators rekey children and IKE SAs, in seconds."""
        self.fresh()
        yield from self.espgated("PSK", count, {"psk": PSK, **lives}, [
            "--psk", PSK, "--child-rekey-after", theirs[0], "--rekey-after", theirs[1]], hold_s)

    def run(self):
        """The rows, each as soon as it is there."""
        if self.ike_sas:
            # Children replaced at the rate of --full, and each of them about once.
            child_s = max(60, self.ike_sas * 60 // FULL_SAS)
            yield from self.shared_key(self.ike_sas, lives_of(child_s), child_s * 4 // 3, (child_s, 3 * child_s))
            return
        if self.full:
            yield from self.shared_key(FULL_SAS, lives_of(60), 240, (60, 180))
        else:
            yield from self.shared_key(2_000, {}, *((5, (2, 4)) if self.quick else (20, (10, 15))))
        for kind in ("rsa2048", "ecdsa256"):
            self.fresh()
            yield from self.certificates(kind, 500 if self.quick else 2_000)
        yield from self.charon(500 if self.quick else 2_000)


class ProcessCpu(Cpu):
    """All of a process's threads together."""

    def look(self):
        used_s = sum(int((task / "schedstat").read_text().split()[0]) / 1e9
                     for task in pathlib.Path(f"/proc/{self._pid}/task").iterdir())
        before, self._before = self._before, (used_s, 0.0)
        return used_s - before[0], 0.0


def dpdk_mb(pid):
    """What espgated was given by -m: the largest area of its memory that is not the heap and has pages."""
    sizes, size_kb, heap = [0], 0, False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        field, _, rest = line.partition(":")
        if field == "Size":
            size_kb = int(rest.split()[0])
        elif field == "Rss" and int(rest.split()[0]) and not heap:
            sizes.append(size_kb)
        elif "-" in line.split(" ")[0]:
            heap = line.endswith("[heap]")
    return max(sizes) // 1024


HEADS = (f"{'IKE':34}{'SAs':>7}{'/CPU s (min, max)':>24}{'/s':>8}{'control':>9}{'keys':>7}{'initiator':>11}"
         f"{'B an SA':>9}{'loop p50, p99, max us':>24}")


def long_tasks(loop):
    return "".join(f"; {count} long rounds in {task}" for task, count in loop["long_tasks"].items())


def text(row):
    loop = row.get("loop")
    times = f"{loop['median_us']}, {loop['p99_us']}, {loop['max_us']}" if loop else ""
    if "per_cpu_s" not in row:
        return (f"{row['case']:34}{row['connections']:7,}  {row['child_rekeys_per_s']:.0f} child rekeys a second for "
                f"{row['seconds']} s, {row['lost']} lost, control {row['control_share']:.0%}, keys {row['keys_share']:.0%}; "
                f"loop {times}, {loop['over_1_ms']} of {loop['rounds']} rounds over 1 ms ({loop['work']['over_1_ms']} by the "
                f"thread's CPU time, {loop['work']['max_us']} us the most){long_tasks(loop)}")
    rate = row["per_cpu_s"]
    spread = f"{rate['median']:,.0f} ({rate['min']:,.0f}, {rate['max']:,.0f})"
    return (f"{row['case']:34}{row['connections']:7,}{spread:>24}{row['per_s']['median']:8,.0f}"
            f"{row['control_us']['median']:9.0f}{row['keys_us']['median']:7.0f}{row['initiator_us']['median']:11.0f}"
            f"{row['bytes_an_sa']:9,.0f}{times:>24}{long_tasks(loop) if loop else ''}")


def main():
    parser = argparse.ArgumentParser(description="IKE set-ups a second, memory and control loop")
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--ike-sas", type=int, metavar="N")
    parser.add_argument("--cpu", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.ike_sas is not None and not 1 <= arguments.ike_sas <= MOST_SAS:
        parser.error(f"--ike-sas takes 1 to {MOST_SAS}")
    print(HEADS)
    rows = []
    for row in Bench(arguments).run():
        rows.append(row)
        print(text(row), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows))


main()
