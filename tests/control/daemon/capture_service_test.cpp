#include "control/daemon/capture_service.hpp"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <catch2/catch.hpp>
#include <sstream>

#include "control/daemon/readers.hpp"
#include "tests/control/daemon/stream_client.hpp"

namespace espgate::test {
namespace {

using What = worker::CaptureRequest::What;

struct Client : daemon::test::StreamClient {
  // The lines that have come.
  std::vector<cli::Message> messages() {
    std::stringstream lines(arrived());
    std::vector<cli::Message> result;
    for (std::string line; std::getline(lines, line);) result.push_back(cli::parse_message(line).value());
    return result;
  }
};

struct Capturing {
  Capturing() {
    shared.tsc_hz = rte_get_tsc_hz();
    shared.readers = readers.rcu();
    shared.rings.capture = rte_ring_create("t_capture", 128, SOCKET_ID_ANY, RING_F_SC_DEQ);
    shared.ports[0] = &port;
    port.name = "outside";
    buffers = rte_pktmbuf_pool_create("t_captured", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    REQUIRE(buffers != nullptr);
  }
  ~Capturing() {
    rte_ring_free(shared.rings.capture);
    rte_mempool_free(buffers);
  }
  // As a worker that still works on a burst does.
  void worker_captures(std::uint8_t content) {
    auto* packet = rte_pktmbuf_alloc(buffers);
    *rte_pktmbuf_mtod(packet, std::uint8_t*) = content;
    packet->pkt_len = packet->data_len = 1;
    worker::Capture capture(shared.capture, shared.rings.capture, buffers);
    capture.copy(&packet, 1, 0, worker::Direction::dropped);
    rte_pktmbuf_free(packet);
  }

  daemon::Readers readers{1};
  worker::Shared shared;
  port::Port port;
  rte_mempool* buffers = nullptr;
  daemon::CaptureService service{shared};
};

TEST_CASE("A capture begins empty, whatever an earlier one left") {
  Capturing c;
  Client first;
  REQUIRE(c.service.start_drop(Verdict::NO_ROUTE_V4, 1, first.stream()));
  c.worker_captures(1);
  c.worker_captures(2);
  c.service.poll();
  CHECK(first.messages().size() == 2);  // the frame and the end: one was wanted
  c.worker_captures(3);                 // a worker was about to send it

  Client second;
  REQUIRE(c.service.start_drop(Verdict::NO_ROUTE_V6, 0, second.stream()));
  CHECK(rte_mempool_avail_count(c.buffers) == 255);
  c.service.poll();
  CHECK(second.messages().empty());
  c.worker_captures(4);
  c.service.poll();
  const auto messages = second.messages();
  REQUIRE(messages.size() == 1);
  CHECK(messages[0].body["verdict"] == "NO_ROUTE_V6");
  second.leave();
  CHECK(c.shared.capture.what == What::nothing);
}

TEST_CASE("Reasons that only the control core has are refused, and say why") {
  Capturing c;
  for (const auto verdict : {Verdict::HOST_TAP_FULL, Verdict::HOST_INJECT_FULL}) {
    Client client;
    const auto started = c.service.start_drop(verdict, 1, client.stream());
    REQUIRE(!started);
    CHECK_THAT(started.error().what, Catch::Contains(std::string(row(verdict).name)) &&
                                         Catch::Contains("cannot be captured") &&
                                         Catch::Contains("control core"));
    CHECK_THAT(started.error().remedy, Catch::Contains("tcpdump"));
    CHECK(c.shared.capture.what == What::nothing);
  }
  Client client;
  CHECK(c.service.start_drop(Verdict::HOST_RING_FULL, 1, client.stream()));  // workers have that one
}

TEST_CASE("One capture at a time; the next may begin when its client has gone") {
  Capturing c;
  Client first, second;
  REQUIRE(c.service.start_port(0, 0, first.stream()));
  CHECK_FALSE(c.service.start_port(0, 0, second.stream()));
  first.leave();
  CHECK(c.shared.capture.what == What::nothing);
  CHECK(c.service.start_port(0, 0, second.stream()));
}

}  // namespace
}  // namespace espgate::test
