"""Inbound IPsec drop reasons by real frames: exactly the counter that should move moves, by as much."""

from lib import drop_case, packets
from lib.coverage import fires
from lib.drop_case import DELETED, PLAIN6, UDP4
from lib.testbed import INSIDE, OUTSIDE


class InboundDrops(drop_case.EspDropCase):
    @fires("IN_V4_PKT_HIT_INVALID_SA")
    def test_1(self):
        self.expect("IN_V4_PKT_HIT_INVALID_SA", "outside", self.outer(self.esp(), source="192.0.2.77"))

    @fires("IN_V6_PKT_HIT_INVALID_SA")
    def test_9(self):
        self.expect("IN_V6_PKT_HIT_INVALID_SA", "outside", self.outer(self.esp(PLAIN6), 6, source="2001:db8:f::77"))

    @fires("IN_US_V4_PKT_FOUND_IPSEC_NOT_ENABLED")
    def test_3(self):
        packet = self.outer(self.esp(), source=INSIDE.host[4], destination=INSIDE.gateway[4])
        self.expect("IN_US_V4_PKT_FOUND_IPSEC_NOT_ENABLED", "inside", packet)

    @fires("IN_US_V6_PKT_FOUND_IPSEC_NOT_ENABLED")
    def test_11(self):
        packet = self.outer(self.esp(), 6, source=INSIDE.host[6], destination=INSIDE.gateway[6])
        self.expect("IN_US_V6_PKT_FOUND_IPSEC_NOT_ENABLED", "inside", packet)

    @fires("IN_US_V4_PKT_SA_NOT_FOUND_SPI")
    def test_4(self):
        unknown = self.esp(spi=0xDEADBEEF)
        self.expect("IN_US_V4_PKT_SA_NOT_FOUND_SPI", "outside", self.outer(unknown), self.outer(unknown, udp=True))

    @fires("IN_US_V6_PKT_SA_NOT_FOUND_SPI")
    def test_12(self):
        self.expect("IN_US_V6_PKT_SA_NOT_FOUND_SPI", "outside", self.outer(self.esp(spi=0xDEADBEEF), 6))

    @fires("IN_TRANS_V4_IPSEC_PKT_NOT_FOUND_SPI")
    def test_7(self):
        self.expect("IN_TRANS_V4_IPSEC_PKT_NOT_FOUND_SPI", "outside",
                    self.outer(self.esp(spi=0xDEADBEEF), destination="192.0.2.99"))

    @fires("IN_TRANS_V6_IPSEC_PKT_NOT_FOUND_SPI")
    def test_207(self):
        self.expect("IN_TRANS_V6_IPSEC_PKT_NOT_FOUND_SPI", "outside",
                    self.outer(self.esp(spi=0xDEADBEEF), 6, destination="2001:db8:f::99"))

    @fires("IN_SPI_RESERVED")
    def test_200(self):
        # SPI 0 stands only outside UDP: inside, four zero bytes mark IKE.
        self.expect("IN_SPI_RESERVED", "outside", self.outer(self.esp(spi=0)), self.outer(self.esp(spi=255)),
                    self.outer(self.esp(spi=1), udp=True), self.outer(self.esp(spi=5), 6))

    @fires("IN_SA_LARVAL")
    def test_201(self):
        self.gateway.ask("sa", "reserve", "0x3001")
        self.expect("IN_SA_LARVAL", "outside", self.outer(self.esp(spi=0x3001)))

    @fires("IN_SA_RETIRED")
    def test_202(self):
        self.gateway.ask("sa", "delete", f"{0x1000 + DELETED:#x}")
        self.expect("IN_SA_RETIRED", "outside", self.outer(self.esp(DELETED)))

    @fires("IN_SA_ENCAP_MISMATCH")
    def test_203(self):
        self.expect("IN_SA_ENCAP_MISMATCH", "outside", self.outer(self.esp(UDP4)), self.outer(self.esp(), udp=True))

    @fires("IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL")
    def test_19(self):
        packet = self.outer(self.esp())
        self.testbed.send("outside", packet)
        self.expect("IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL", "outside", packet, packet)

    def test_19_within_one_burst(self):
        """The same packet many times at once: exactly one opens."""
        packet = self.outer(self.esp())
        before = self.settled()
        self.testbed.send("outside", *[packet] * 32)
        self.assertEqual(self.settled().since(before).drops, {"IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL": 31})

    @fires("CD_IN_PKT_OUT_OF_WINDOW")
    def test_116(self):
        old = self.sequence + 1
        for sequence in (old, old + 10_000):
            self.testbed.send("outside", self.outer(self.esp(sequence=sequence)))
        type(self).sequence += 10_000
        self.expect("CD_IN_PKT_OUT_OF_WINDOW", "outside", self.outer(self.esp(sequence=old + 1)))

    @fires("IN_CD_SW_IPSEC_MAC_EXCEPTION")
    def test_62(self):
        esp = self.esp()
        self.expect("IN_CD_SW_IPSEC_MAC_EXCEPTION", "outside", self.outer(esp[:-1] + bytes((esp[-1] ^ 1,))))

    def test_62_leaves_the_window_alone(self):
        """A forged packet far ahead must not shut out honest ones."""
        forged = bytearray(self.esp(sequence=self.sequence + 1_000_000))
        forged[-1] ^= 1
        self.expect("IN_CD_SW_IPSEC_MAC_EXCEPTION", "outside", self.outer(bytes(forged)))
        before = self.settled()
        self.testbed.send("outside", self.outer(self.esp()))
        self.assertEqual(self.settled().since(before).drops, {})

    @fires("IN_ESP_RUNT")
    def test_204(self):
        self.expect("IN_ESP_RUNT", "outside", self.outer(self.esp()[:33]), self.outer(self.esp()[:12]),
                    self.outer(self.esp(UDP4)[:20], udp=True))

    @fires("IN_ESP_LENGTH_MISALIGNED")
    def test_205(self):
        self.expect("IN_ESP_LENGTH_MISALIGNED", "outside", *(self.outer(self.esp() + bytes(n)) for n in (1, 2, 3)))

    @fires("IN_PKT_HEADPAD_LEN_ERR")
    def test_23(self):
        self.expect("IN_PKT_HEADPAD_LEN_ERR", "outside", self.outer(self.esp(pad_length=255)),
                    self.outer(self.esp(pad=b"\x07" * (-(len(self.inner()) + 2) % 4 or 4))))

    @fires("IN_CD_SW_IPSEC_NH_MISMATCH")
    def test_65(self):
        self.expect("IN_CD_SW_IPSEC_NH_MISMATCH", "outside", self.outer(self.esp(next_header=packets.TCP)))

    @fires("IN_PKT_IPVER_INVALID")
    def test_89(self):
        self.expect("IN_PKT_IPVER_INVALID", "outside", self.outer(self.esp(next_header=packets.IPV6)),
                    self.outer(self.esp(payload=self.inner(version=6))))

    @fires("IN_INNER_HEADER_INVALID")
    def test_210(self):
        too_long, short_header = bytearray(self.inner()), bytearray(self.inner())
        too_long[2:4] = (1000).to_bytes(2, "big")
        short_header[0] = 0x44
        self.expect("IN_INNER_HEADER_INVALID", "outside", self.outer(self.esp(payload=bytes(too_long))),
                    self.outer(self.esp(payload=bytes(short_header))), self.outer(self.esp(payload=b"\x45")))

    @fires("IN_V6_PKT_FRAG_ERR")
    def test_208(self):
        """A first fragment whose length no other can follow."""
        fragment = bytes((packets.ESP, 0, 0, 1, 0, 0, 0, 1)) + self.esp(PLAIN6)[:-1]
        self.expect("IN_V6_PKT_FRAG_ERR", "outside",
                    packets.ipv6(OUTSIDE.host[6], OUTSIDE.gateway[6], packets.FRAGMENT, fragment))

    @fires("IN_NATT_LENGTH_MISMATCH")
    def test_209(self):
        esp = self.esp(UDP4)
        wrong = [packets.udp(OUTSIDE.host[4], OUTSIDE.gateway[4], 4500, 4500, esp, length=8 + len(esp) + delta,
                             with_checksum=False) for delta in (-4, 4)]
        self.expect("IN_NATT_LENGTH_MISMATCH", "outside", *(
            packets.ipv4(OUTSIDE.host[4], OUTSIDE.gateway[4], packets.UDP, datagram) for datagram in wrong))

    @fires("IN_CONGESTED_NOT_ECT")
    def test_214(self):
        self.expect("IN_CONGESTED_NOT_ECT", "outside", self.outer(self.esp(), tos=3),
                    self.outer(self.esp(PLAIN6, self.inner(PLAIN6)), 6, traffic_class=3))

    def test_congestion_reaches_the_inner_packet(self):
        self.testbed.send("outside", self.outer(self.esp(payload=self.inner(tos=2)), tos=3))
        frame = self.testbed.inside.expect(packets.is_ip(destination=INSIDE.host[4]))
        self.assertEqual(frame[15] & 3, 3)

    @fires("IN_V4_POST_INPUT_POLICY_FAIL")
    def test_30(self):
        self.expect("IN_V4_POST_INPUT_POLICY_FAIL", "outside",
                    self.outer(self.esp(payload=self.inner(source="10.99.0.1"))),
                    self.outer(self.esp(payload=self.inner(destination="10.99.0.1"))))

    @fires("IN_V6_POST_INPUT_POLICY_FAIL")
    def test_31(self):
        payload = self.inner(version=6, source="2001:db8:99::1")
        self.expect("IN_V6_POST_INPUT_POLICY_FAIL", "outside",
                    self.outer(self.esp(payload=payload, next_header=packets.IPV6)))

    @fires("IN_TRANS_CL_V4_PKT_FAILED_POLICY")
    def test_6(self):
        self.expect("IN_TRANS_CL_V4_PKT_FAILED_POLICY", "outside", self.inner())

    @fires("IN_TRANS_CL_V6_PKT_FAILED_POLICY")
    def test_14(self):
        self.expect("IN_TRANS_CL_V6_PKT_FAILED_POLICY", "outside", self.inner(version=6))

    @fires("IN_US_CL_V4_PKT_FAILED_POLICY")
    def test_8(self):
        self.expect("IN_US_CL_V4_PKT_FAILED_POLICY", "outside", self.inner(destination=INSIDE.gateway[4]))

    @fires("IN_US_CL_V6_PKT_FAILED_POLICY")
    def test_15(self):
        self.expect("IN_US_CL_V6_PKT_FAILED_POLICY", "outside",
                    self.inner(version=6, destination=INSIDE.gateway[6]))

    def test_consumed_quietly(self):
        """NAT keepalives and ESP dummy packets are no drops (RFC 3948 2.3, RFC 4303 2.6)."""
        keepalive = packets.udp_packet(OUTSIDE.host[4], OUTSIDE.gateway[4], 4500, 4500, b"\xff")
        dummy = self.outer(self.esp(payload=b"anything", next_header=packets.NO_NEXT_HEADER))
        before = self.settled()
        self.testbed.send("outside", keepalive, dummy)
        moved = self.settled().since(before)
        self.assertEqual((moved.drops, moved.outcomes["consumed"]), ({}, 2))

    def test_flow_confidentiality_bytes_are_ignored(self):
        """Bytes behind the inner packet do not come out (RFC 4303 2.7)."""
        inner = self.inner()
        self.testbed.send("outside", self.outer(self.esp(payload=inner, tfc=bytes(40))))
        frame = self.testbed.inside.expect(packets.is_ip(destination=INSIDE.host[4]))
        self.assertEqual(packets.ip_of(frame).payload, packets.parse_ip(inner).payload)
        self.assertEqual(len(frame), 14 + len(inner))
