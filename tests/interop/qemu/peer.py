"""The guest as an IPsec peer with static keys: addresses, routes and the kernel's own `ip xfrm`."""

import dataclasses
import pathlib

from lib.shell import run
from lib.suites import SUITES
from .guest import Guest
from .image import Contents

_LOADED = ("virtio_net", "af_packet", "xfrm_user", "esp4", "esp6", "gcm", "ctr", "ghash_generic",
           "aesni_intel", "seqiv", "echainiv")
_ON_DEMAND = ("xfrm_algo", "authenc", "authencesn", "ccm", "cbc", "hmac", "sha1_generic", "sha256_generic",
              "sha512_generic", "chacha_generic", "poly1305_generic", "aes_generic", "cryptomgr",
              "crypto_null", "drbg", "jitterentropy_rng", "chacha20poly1305", "tun", "xfrm_interface", "ip_gre",
              "ip6_gre")


@dataclasses.dataclass(frozen=True)
class Keys:
    """One direction of an SA as both ends know it."""

    spi: int
    keymat: bytes
    suite: object = SUITES["aes128-gcm16"]


def boot(namespace, tap, workdir, mac, files=None):
    """A guest whose eth0 comes out at a TAP device of the namespace. files: more of image.Contents."""
    # Without checksum and segmentation features every frame on the TAP is a finished one.
    features = ",".join(f"{name}=off" for name in (
        "csum", "guest_csum", "gso", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo", "host_tso4",
        "host_tso6", "host_ecn", "host_ufo", "mrg_rxbuf"))
    encap = pathlib.Path(workdir) / "encap"
    run("gcc", "-o", encap, pathlib.Path(__file__).with_name("encap.c"))
    return Guest(namespace, workdir, Contents(_LOADED + _ON_DEMAND, _LOADED, {"/sbin/encap": encap, **(files or {})}), (
        "-netdev", f"tap,id=wire,ifname={tap},script=no,downscript=no",
        "-device", f"virtio-net-pci,netdev=wire,mac={mac},romfile=,{features}"))


def add_addresses(guest, addresses, inner_addresses):
    """Outer addresses (with prefix lengths) on the card, inner ones on the loopback device."""
    guest.run("ip link set eth0 up")
    for address in addresses:
        guest.run(f"ip addr add {address} dev eth0 {'nodad' if ':' in address else ''}")
    for address in inner_addresses:
        guest.run(f"ip addr add {address} dev lo {'nodad' if ':' in address else ''}")


def add_route(guest, to, via, source, *, mtu=1400):
    """Inner packets need room for the outer headers: the route says so."""
    guest.run(f"ip route add {to} via {via} dev eth0 src {source} mtu {mtu}")


def add_neighbour(guest, address, mac):
    guest.run(f"ip neigh replace {address} lladdr {mac} dev eth0 nud permanent")


def add_tunnel(guest, local, remote, inbound, outbound, networks, *, esn=False, window_packets=64, number=0,
               mode="tunnel", encap=""):
    """States and policies of one tunnel, or of transport mode between the two.

    inbound, outbound: Keys as the guest sees them. networks: (local, remote) pairs of inner networks.
    Both inner families share one pair of SAs: the states match any family inside (af-unspec).
    number: of several tunnels to one peer, which is told apart from the others by it. encap: "encap espinudp ...".
    """
    reqid = f"reqid {number}" if number else ""
    commands = []
    for source, destination, keys in ((remote, local, inbound), (local, remote, outbound)):
        flags = " ".join((["af-unspec"] if mode == "tunnel" else []) + (["esn"] if esn else []))
        commands.append(f"ip xfrm state add src {source} dst {destination} proto esp spi {keys.spi:#x} {reqid} mode {mode} "
                        f"replay-window {window_packets} {flags and 'flag ' + flags} {encap} {keys.suite.xfrm(keys.keymat)}")
    for inside, beyond in networks:
        for direction, source, destination, outer_source, outer_destination in (
                ("out", inside, beyond, local, remote),
                ("in", beyond, inside, remote, local)):
            commands.append(f"ip xfrm policy add src {source} dst {destination} dir {direction} tmpl src {outer_source} "
                            f"dst {outer_destination} proto esp {reqid} mode {mode}")
    guest.run(" && ".join(commands))


def take_udp_encapsulated(guest, address):
    """ESP in UDP that comes to port 4500 of the address is ESP from now on."""
    guest.run(f"encap {address} 4500 >/dev/null 2>&1 &")


def remove_tunnels(guest):
    guest.run("ip xfrm state flush; ip xfrm policy flush")


def errors(guest):
    """The kernel's IPsec error counters that are not zero, as {name: count}."""
    lines = guest.run("cat /proc/net/xfrm_stat").split("\n")
    pairs = (line.split() for line in lines if line.strip())
    return {name: int(count) for name, count in pairs if int(count)}
