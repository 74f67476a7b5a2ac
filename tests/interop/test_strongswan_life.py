"""What happens in the life of a tunnel with strongSwan: new keys under traffic, silence, crashes, floods."""

import os
import signal
import socket
import time
import unittest

from lib import rekeys
from lib.swan_case import GATEWAY, ROUTER_RIGHT, SwanCase, inner, ours, outer, theirs


class Rekeys(SwanCase):
    """New keys under traffic; by itself it is a long test."""

    @classmethod
    def connections(cls):
        return {"rekeyed": (1, ours("rekeyed", 1), theirs("rekeyed", 1))}

    def test_new_keys_under_traffic_lose_nothing(self):
        self.gateway_begins("rekeyed")
        self.assert_passes("rekeyed")
        number = self.numbers["rekeyed"]
        ends = (self.net.host, inner(1, number)), (self.net.peer, inner(2, number))
        rekeys.check(self, lambda: self.ike_sas("rekeyed"), ends, {
            "child, by us": (lambda: self.gateway.ask("rekey", "rekeyed"), False),
            "child, by the peer": (lambda: self.charon.rekey_child("rekeyed"), False),
            "IKE, by us": (lambda: self.gateway.ask("rekey", "rekeyed", "--ike"), True),
            "IKE, by the peer": (lambda: self.charon.rekey("rekeyed"), True)})


class Life(SwanCase):
    LIMITS = {"ike_cookies_from": 0}
    CHARON = {"retransmit_tries": 2, "retransmit_timeout": 0.5, "cookie_threshold": 5, "block_threshold": 0,
              "half_open_timeout": 5}

    @classmethod
    def connections(cls):
        table = {}
        for number, (name, ike, swan) in enumerate([
                ("plain", {}, {}),
                ("kept-up", {"start": "always", "liveness": 1, "tries": 2}, {}),
                ("watched", {}, {"dpd_delay": "1s"}),
                ("crowded", {}, {"remote_addrs": f"{GATEWAY}, {ROUTER_RIGHT}"})], 1):
            table[name] = number, ours(name, number, ike), theirs(name, number, **swan)
        return table

    def test_2_child_deleted_by_the_peer(self):
        self.gateway_begins("plain")
        self.charon.terminate_child("plain")
        self.until(lambda: not self.ike_sa("plain"), what="the child's end")
        self.assertEqual(self.charon.initiate("plain"), {}, self.logs())
        self.wait_up("plain")
        self.assert_passes("plain")

    def test_3_a_peer_that_is_killed_comes_back(self):
        self.wait_up("kept-up")
        self.assert_passes("kept-up")
        self.charon.kill()
        self.until(lambda: all(sa["state"] != "up" for sa in self.ike_sas("kept-up")), what="the peer missed")
        self.charon.start()
        self.wait_up("kept-up")
        self.assert_passes("kept-up")

    def test_4_a_peer_that_comes_back_at_once(self):
        """Its INITIAL_CONTACT ends what we still believe to have."""
        self.peer_begins("plain")
        self.assert_passes("plain")
        self.charon.kill()
        self.charon.start()
        self.peer_begins("plain")
        self.assert_passes("plain")
        self.assertEqual(len([sa for sa in self.ike_sas("plain") if sa["state"] == "up"]), 1)

    def test_5_a_cookie_is_shown_to_a_crowded_peer(self):
        greeting = self.greeting_of("crowded")
        said = len(self.charon.said())
        with self.net.router.socket(socket.AF_INET, socket.SOCK_DGRAM) as crowd:
            for _ in range(8):
                crowd.sendto(os.urandom(8) + greeting[8:], (outer(self.numbers["crowded"]), 500))
            time.sleep(0.3)
            self.gateway.ask("initiate", "crowded")
            self.wait_up("crowded")
        self.assertIn("N(COOKIE)", self.charon.said()[said:])
        self.assert_passes("crowded")

    def greeting_of(self, name):
        """An IKE_SA_INIT of ours, as the router sees it."""
        with self.net.router.entered():
            tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        with tap:
            tap.bind(("left", 0x0800))
            tap.settimeout(5)
            self.gateway.ask("initiate", name)
            self.wait_up(name)
            while True:
                packet = tap.recv(65535)
                if packet[9] == 17 and packet[12:16] == socket.inet_aton(GATEWAY) and packet[46] == 34:
                    break
        self.gateway.ask("terminate", name)
        self.wait_down(name)
        return packet[28:]

    def test_5_a_cookie_is_asked_of_the_peer(self):
        said = len(self.charon.said())
        self.peer_begins("crowded")
        since = self.charon.said()[said:]
        self.assertIn("parsed IKE_SA_INIT response 0 [ N(COOKIE) ]", since)
        self.gateway.ask("terminate", "crowded")
        self.wait_down("crowded")

    def test_6_the_peer_watches_us(self):
        self.peer_begins("watched")
        said = len(self.charon.said())
        time.sleep(2.5)
        self.assertIn("sending DPD request", self.charon.said()[said:])
        self.assertTrue(self.charon.is_up("watched"))

    def test_9_we_come_back_after_a_crash(self):
        self.wait_up("kept-up")
        self.gateway.send_signal(signal.SIGKILL)
        self.until(lambda: not self.gateway.alive())
        self.gateway.start()
        self.wait_up("kept-up")
        self.assert_passes("kept-up")


if __name__ == "__main__":
    unittest.main()
