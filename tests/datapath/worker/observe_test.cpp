// What an operator sees of single packets: captures and traces.
#include <catch2/catch.hpp>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/fragments.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

TEST_CASE("a capture of drops holds the frames as they came, however far they got") {
  Rig rig;
  rig.shared.capture.drop = Verdict::IN_V4_POST_INPUT_POLICY_FAIL;
  rig.shared.capture.what = worker::CaptureRequest::What::drop;
  Bytes foreign = rig.inner(net::Family::v4, 20, true);
  foreign[13] = 77;  // 10.77.0.9 is not behind this peer
  mend_checksum(foreign);
  const auto dropped = rig.esp_frame(1, foreign, 4);
  const std::vector<Bytes> burst{rig.esp_frame(2, rig.inner(net::Family::v4, 20, true), 4), dropped};
  rig.run(Rig::outside, burst);
  CHECK(rig.captured() == std::vector<Bytes>{dropped});
  CHECK(rte_mempool_in_use_count(rig.shared.capture_buffers) == 0);
  rig.shared.capture.what = worker::CaptureRequest::What::nothing;
  rig.run(Rig::outside, rig.esp_frame(3, foreign, 4));
  CHECK(rig.captured().empty());
  CHECK(rig.conserved());
}

TEST_CASE("a capture of drops holds the pieces that were dropped, as what they were before encryption") {
  Rig rig({.outer_fields = {.df = sa::DfPolicy::clear}});
  rig.sas->outbound(rig.outbound).path_mtu = 600;
  rig.shared.capture.drop = Verdict::PORT_DOWN;
  rig.shared.capture.what = worker::CaptureRequest::What::drop;
  rig.shared.ports[Rig::outside]->up = false;
  rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 1000, false)));
  CHECK(rig.verdicts() == "FRAGMENTED=1 PORT_DOWN=2");
  const auto captured = rig.captured();
  REQUIRE(captured.size() == 2);
  for (const auto& frame : captured) {
    CHECK(net::load_be16(frame, 12) == net::ethertype_ipv4);
    CHECK(frame[14] == 0x45);
    CHECK(net::load_be16(frame, 14 + net::ipv4::total_length) == frame.size() - 14);
  }
  CHECK(joined(captured).size() == 28 + 1000);
  CHECK(rte_mempool_in_use_count(rig.shared.capture_buffers) == 0);
  CHECK(rig.conserved());
}

TEST_CASE("a capture without buffers loses frames, says so, and harms nothing") {
  Rig rig;
  rig.shared.capture.drop = Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION;
  rig.shared.capture.what = worker::CaptureRequest::What::drop;
  auto bad = rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4);
  bad.back() ^= 1;
  rig.run(Rig::outside, std::vector<Bytes>(64, bad));  // the rig has 63 capture buffers
  CHECK(rig.shared.capture.lost == 1);
  CHECK(rig.captured().size() == 63);
  CHECK(rig.conserved());
}

TEST_CASE("a trace tells each stage of a packet's way, in both directions") {
  Rig rig;
  rig.shared.trace.remaining = 2;
  rig.run(Rig::outside, rig.esp_frame(1, rig.inner(net::Family::v4, 20, true), 4));
  CHECK(rig.traced() ==
        std::vector<std::string>{"1 parse", "1 lookup", "1 prepare", "1 accept", "1 forward", "1 FORWARDED"});
  rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 20, false)));
  CHECK(rig.traced() == std::vector<std::string>{"2 parse", "2 policy", "2 encapsulate", "2 encrypt",
                                                 "2 forward", "2 FORWARDED"});
  rig.run(Rig::inside, rig.frame_to(Rig::inside, rig.inner(net::Family::v4, 20, false)));
  CHECK(rig.traced().empty());
}
