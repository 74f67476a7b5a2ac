"""Mistakes that people make: each is answered with what is wrong, what to do, and an exit code not 0."""

import json
import os
import pathlib
import shutil
import socket
import tempfile
import unittest

from lib import cleanup, configuration
from lib.gateway import hugepages_free, program
from lib.shell import run
from lib.testbed import INSIDE, OUTSIDE, Testbed, port, standard_ports

KEY = bytes(range(20))


def settings(ports=None, **changes):
    """A good file, whose ports exist everywhere, and what is to be wrong with it."""
    quiet = [{"name": "outside", "device": "net_null0", "ipsec": True, "addresses": OUTSIDE.addresses()},
             {"name": "inside", "device": "net_null1", "addresses": INSIDE.addresses()}]
    complete = configuration.gateway(quiet if ports is None else ports, hugepages=False,
                                     connections=[_connection("a", 0x1001, 0x2001)])
    complete.update(changes)
    return complete


def _connection(name, inbound_spi, outbound_spi, key=KEY, number=2, **more):
    return configuration.connection(
        name, OUTSIDE.gateway[4], OUTSIDE.host[4], ["10.1.0.0/24"], [f"10.{number}.0.0/24"],
        inbound=(inbound_spi, key), outbound=(outbound_spi, key[::-1]), **more)


# (name, settings or text of the file, words that the answer must hold); found by --check and at start alike
FILE_ERRORS = [
    ("key_too_short", settings(connections=[_connection("a", 0x1001, 0x2001, key=KEY[:16])]),
     ["espgate.conf:", "connections[0]", "16", "20"]),
    ("key_of_another_suite", settings(connections=[_connection("a", 0x1001, 0x2001, suite="aes256-gcm16")]),
     ["espgate.conf:", "20", "36"]),
    ("two_inbound_sas_with_one_spi", settings(connections=[
        _connection("a", 0x1001, 0x2001), _connection("b", 0x1001, 0x2002, number=3)]),
     ["espgate.conf:", "1001", "line"]),
    ("reserved_spi", settings(connections=[_connection("a", 0x10, 0x2001)]), ["espgate.conf:", "0 to 255", "0x100"]),
    ("unknown_key", settings(worker_cpu=[1]), ["espgate.conf:", "worker-cpu", "worker-cpus"]),
    ("wrong_type", settings(idle_sleep_us="often"), ["espgate.conf:", "idle-sleep-us"]),
    ("out_of_range", settings(idle_sleep_us=-1), ["espgate.conf:", "idle-sleep-us", "-1"]),
    ("port_twice", settings(ports=[port("outside", "veth-out", OUTSIDE, ipsec=True),
                                   port("inside", "veth-out", INSIDE)]),
     ["espgate.conf:", "veth-out"]),
    ("no_ports", settings(ports=[]), ["ports"]),
    ("unknown_suite", settings(connections=[_connection("a", 0x1001, 0x2001, suite="rot13")]),
     ["espgate.conf:", "rot13", "aes128-gcm16"]),
    ("not_an_address", settings(routes=[{"to": "10.9.0.0/16", "via": "10.1.0.254.7"}]),
     ["espgate.conf:", "10.1.0.254.7"]),
    ("local_port", settings(connections=[_connection("a", 0x1001, 0x2001, encapsulation="udp", local_port=4501)]),
     ["espgate.conf:", "4501", "port 4500 only"]),
    ("cpus_that_do_not_exist", settings(worker_cpus=[1, 1000, 1001]), ["worker-cpus", "1000-1001"]),
    ("not_enough_hugepages", settings(hugepages=True, memory_mb=1_000_000),
     ["1000000 MB", "huge pages", "vm.nr_hugepages=500001"]),
    ("misspelt_driver", settings(ports=[port("outside", "lo", OUTSIDE, ipsec=True) | {"device": "net_nul0"}]),
     ["espgate.conf:", "net_nul0", "net_null,"]),
    ("argument_misspelt", settings(ports=[port("outside", "lo", OUTSIDE, ipsec=True) | {"device": "net_af_packet1,ifce=lo"}]),
     ["espgate.conf:", "net_af_packet1,ifce=lo", 'no argument "ifce"', "iface"]),
    ("argument_missing", settings(ports=[port("outside", "lo", OUTSIDE, ipsec=True) | {"device": "net_af_packet1"}]),
     ["espgate.conf:", "needs the argument iface="]),
    ("no_such_pcap_file", settings(ports=[port("outside", "lo", OUTSIDE, ipsec=True) | {"device": "net_pcap1,rx_pcap=/nonexist.pcap"}]),
     ["espgate.conf:", "/nonexist.pcap of rx_pcap cannot be read"]),
    ("mtu_of_af_packet", settings(ports=[port("outside", "lo", OUTSIDE, ipsec=True, mtu=1556)]),
     ["espgate.conf:", "1556", "largest is 1500"]),
    ("not_libconfig", "ports = ( { name = ;\n", ["espgate.conf:1"]),
]


class FileErrors(unittest.TestCase):
    """Found without touching a port."""

    def setUp(self):
        self.workdir = tempfile.mkdtemp(prefix="espgate-test-")
        self.addCleanup(shutil.rmtree, self.workdir)

    def write(self, content):
        path = os.path.join(self.workdir, "espgate.conf")
        if not isinstance(content, str):
            content = configuration.text(dict(content, socket=f"{self.workdir}/espgate.sock"))
        with open(path, "w", encoding="ascii") as file:
            file.write(content)
        os.chmod(path, 0o600)
        return path

    def expect(self, words, *command):
        code, out, err = run(*command, check=False)
        said = out + err
        self.assertNotEqual(code, 0, said)
        self.assertGreater(code, 0, "ended by a signal")
        for word in words:
            self.assertIn(word, said)
        self.assertNotIn(KEY.hex(), said, "key material must never be printed")
        return said

    def test_check_accepts_a_good_file(self):
        code, out, err = run(program("espgated"), "--check", self.write(settings()), check=False)
        self.assertEqual(code, 0, out + err)

    def test_check_reports_every_error_at_once(self):
        bad = settings(idle_sleep_us=-1, worker_cpu=[1], routes=[{"to": "nowhere", "via": "10.1.0.254"}])
        self.expect(["idle-sleep-us", "worker-cpu", "nowhere"], program("espgated"), "--check", self.write(bad))

    def test_one_mistake_many_times_is_told_in_few_lines(self):
        bad = settings(routes=[{"to": f"10.{9 + number}.0.0/16", "via": "nowhere"} for number in range(200)])
        said = self.expect(["routes[0]", "error: and 150 more"], program("espgated"), "--check", self.write(bad))
        self.assertEqual(said.count("routes["), 50)

    def test_the_machine_is_checked_although_the_file_has_errors(self):
        bad = settings(idle_sleep_us=-1, worker_cpus=[1000],
                       ports=[{"name": "outside", "device": "net_null1,bogus=1", "ipsec": True}])
        self.expect(["idle-sleep-us", "no CPU 1000", 'no argument "bogus"'], program("espgated"), "--check", self.write(bad))

    def test_no_huge(self):
        """The option overrides the file, says what it costs, and leads to a start where the file alone does not."""
        path = self.write(settings(hugepages=True, memory_mb=1_000_000))
        self.expect(["huge pages are needed"], program("espgated"), "--check", path)
        code, out, err = run(program("espgated"), "--no-huge", "--check", path, check=False)
        self.assertEqual(code, 0, out + err)
        self.assertIn("--no-huge: espgate runs without huge pages", err)

    def test_socket_in_a_missing_folder(self):
        path = self.write(settings())
        with open(path, "r+", encoding="ascii") as file:
            text = file.read().replace(f"{self.workdir}/espgate.sock", f"{self.workdir}/a/b/c.sock")
            file.seek(0)
            file.write(text)
            file.truncate()
        for option in ("--check", "--config"):
            self.expect(["espgate.conf:", f"folder {self.workdir}/a/b is not there", "mkdir -p"],
                        program("espgated"), option, path)

    def test_a_remedy_for_mtus_that_the_device_can_carry_out(self):
        """af_packet takes no more than 1500: raising the outside MTU is no way out."""
        quiet = settings(ports=[
            {"name": "outside", "device": "net_af_packet0,iface=lo", "ipsec": True, "addresses": OUTSIDE.addresses()},
            {"name": "inside", "device": "net_null1", "addresses": INSIDE.addresses()}])
        _, _, err = run(program("espgated"), "--check", self.write(quiet))
        self.assertIn("mtu = 1446", err)
        self.assertNotIn("raise the mtu", err)

    def test_cpus_that_others_have(self):
        """What taskset or a container leaves to the process counts."""
        self.expect(["may use CPU 0", "not CPU 1", "taskset"], "taskset", "-c", "0", program("espgated"), "--check",
                    self.write(settings(worker_cpus=[1])))

    def test_inside_mtu_is_warned_of(self):
        _, _, err = run(program("espgated"), "--check", self.write(settings()))
        self.assertIn("ports[1].mtu", err)
        self.assertIn("mtu = 1446", err)

    def test_out_of_memory_is_one_line(self):
        """What no part deals with ends in one line and code 1, not in a core."""
        path = self.write("# " + "x" * 40_000_000 + "\n" + configuration.text(settings()))
        for option in ("--check", "--config"):
            code, out, err = run("prlimit", "--data=30000000", program("espgated"), option, path, check=False)
            self.assertEqual(code, 1, out + err)
            self.assertIn("out of memory", err)

    def test_no_such_file(self):
        self.expect(["/nonexistent/espgate.conf"], program("espgated"), "--check", "/nonexistent/espgate.conf")

    def test_unknown_option(self):
        self.expect(["--chekc"], program("espgated"), "--chekc", "x")

    def test_not_root(self):
        """A start without root says so; --check needs no root."""
        daemon, path = os.path.join(self.workdir, "espgated"), self.write(settings())
        shutil.copy(program("espgated"), daemon)
        os.chmod(self.workdir, 0o755)
        os.chmod(path, 0o644)
        unprivileged = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        self.expect(["root"], *unprivileged, daemon, "--config", path)

    def test_cli_without_daemon(self):
        absent = f"{self.workdir}/absent.sock"
        self.expect([absent, "espgated"], program("espgatectl"), "--socket", absent, "show", "drops")
        code, out, _ = run(program("espgatectl"), "--socket", absent, "--json", "show", "drops", check=False)
        self.assertNotEqual(code, 0)
        self.assertIn("error", json.loads(out))


def _file_error(content, words):
    def check(self):
        path = self.write(content)
        checked = self.expect(words, program("espgated"), "--check", path)
        started = self.expect(words, program("espgated"), "--config", path)
        first = next(line for line in checked.splitlines() if words[-1] in line)
        self.assertIn(first.split(": ", 1)[-1], started, "--check and the start must say the same")

    return check


for _name, _content, _words in FILE_ERRORS:
    setattr(FileErrors, f"test_{_name}", _file_error(_content, _words))


class StartErrors(unittest.TestCase):
    """Found when a start meets the machine."""

    @classmethod
    def setUpClass(cls):
        cls.testbed = Testbed(settings(standard_ports(), hugepages=hugepages_free() >= 512))
        cls.addClassCleanup(cleanup.now)
        cls.testbed.gateway.start()

    def start(self, words, content):
        """A second daemon beside the running one, with a file of its own, must end with these words."""
        workdir = tempfile.mkdtemp(prefix="espgate-test-")
        self.addCleanup(shutil.rmtree, workdir)
        content = dict(content)
        content.setdefault("socket", f"{workdir}/espgate.sock")
        path = os.path.join(workdir, "espgate.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(configuration.text(content))
        os.chmod(path, 0o600)
        code, out, err = self.testbed.namespace.exec(program("espgated"), "--config", path, check=False)
        self.assertGreater(code, 0, out + err)
        for word in words:
            self.assertIn(word, out + err)

    def ports(self, device):
        return [{"name": "second", "device": device, "ipsec": True, "addresses": OUTSIDE.addresses()}]

    def test_a_file_can_be_checked_beside_the_daemon_that_holds_the_huge_pages(self):
        gateway = self.testbed.gateway
        reserved = int(pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages").read_text()) * 2
        if not gateway.settings["hugepages"] or hugepages_free() * 2 >= reserved:
            self.skipTest("the daemon holds no huge pages here")
        path = pathlib.Path(gateway.workdir) / "other.conf"
        for socket_path, code in ((gateway.socket, 0), (f"{gateway.workdir}/other.sock", 1)):
            path.write_text(configuration.text(dict(gateway.settings, socket=str(socket_path), memory_mb=reserved)))
            path.chmod(0o600)
            done, out, err = self.testbed.namespace.exec(program("espgated"), "--check", path, check=False)
            self.assertEqual(done, code, out + err)

    def test_second_instance(self):
        # The same file again: the first one keeps the socket and goes on working.
        code, out, err = self.testbed.namespace.exec(
            program("espgated"), "--config", self.testbed.gateway.file, check=False)
        self.assertGreater(code, 0)
        self.assertIn(str(self.testbed.gateway.socket), out + err)
        self.assertEqual(self.testbed.gateway.ctl("show", "ports")[0], 0)

    def test_socket_in_use_by_another_program(self):
        folder = tempfile.mkdtemp(prefix="espgate-test-")
        self.addCleanup(shutil.rmtree, folder)
        stranger = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(stranger.close)
        stranger.bind(f"{folder}/taken.sock")
        stranger.listen(1)
        self.start([f"{folder}/taken.sock"], settings(socket=f"{folder}/taken.sock", hugepages=False))

    def test_socket_path_is_a_file(self):
        with tempfile.NamedTemporaryFile(prefix="espgate-test-") as file:
            file.write(b"precious")
            file.flush()
            self.start([file.name], settings(socket=file.name, hugepages=False))
            with open(file.name, "rb") as again:
                self.assertEqual(again.read(), b"precious", "it must not be overwritten")

    def test_interface_not_found(self):
        self.start(["nosuch0"], settings(ports=self.ports("net_af_packet9,iface=nosuch0"), hugepages=False))

    def test_no_such_driver(self):
        self.start(["no driver", "net_nosuch0", "net_af_packet0"],
                   settings(ports=self.ports("net_nosuch0,iface=veth-out"), hugepages=False))

    def test_what_only_a_start_finds_names_line_and_value(self):
        """The driver's own refusal of a value."""
        device = "net_af_packet9,iface=veth-out,framesz=abc"
        self.start(["espgate.conf:", f'ports[0].device "{device}"', "the driver refused it"],
                   settings(ports=self.ports(device), hugepages=False))

    def test_pci_device_not_found(self):
        self.start(["0000:ff:1f.7"], settings(ports=self.ports("0000:ff:1f.7"), hugepages=False))

    def test_not_enough_hugepages(self):
        pages_mb = hugepages_free() * 2
        self.start(["huge pages", "nr_hugepages"], settings(hugepages=True, memory_mb=pages_mb + 4096))


class KernelBoundPort(unittest.TestCase):
    """A device that still belongs to its kernel driver. --check looks, but touches no device."""

    def test_port_bound_to_the_kernel(self):
        drivers = {path.parent.name: path.resolve().name for path in
                   pathlib.Path("/sys/bus/pci/devices").glob("*/driver")}
        bound = next((address for address, driver in sorted(drivers.items())
                      if driver not in ("vfio-pci", "uio_pci_generic", "mlx5_core", "mlx4_core")), None)
        if bound is None:
            self.skipTest("no PCI device with a kernel driver here; the unit tests of drivers/port cover it")
        with tempfile.TemporaryDirectory(prefix="espgate-test-") as workdir:
            ports = [{"name": "outside", "device": bound, "ipsec": True, "addresses": OUTSIDE.addresses()}]
            file = pathlib.Path(workdir) / "espgate.conf"
            file.write_text(configuration.text(settings(ports)), encoding="ascii")
            code, out, err = run(program("espgated"), "--check", file, check=False)
            self.assertGreater(code, 0)
            for word in (bound, drivers[bound], "dpdk-devbind.py"):
                self.assertIn(word, out + err)
