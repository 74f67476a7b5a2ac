#include "control/daemon/ike_history.hpp"

#include <catch2/catch.hpp>

#include "control/ike/write.hpp"

using namespace espgate;
using namespace std::chrono_literals;
using daemon::IkeHistory;
using ike::ExchangeType;

namespace ike_history_test {
namespace {

struct Rig {
  std::vector<std::uint8_t> datagram(ExchangeType exchange, std::uint32_t id, bool response) const {
    ike::Header header;
    header.initiator_spi = ike_spi;
    header.exchange = exchange;
    header.message_id = id;
    header.flags = response ? ike::flag_response : std::uint8_t{0};
    return ike::write_message(header, {});
  }
  void from_peer(ExchangeType exchange, std::uint32_t id, bool response = false) {
    history.note(ike::Event{ike::DatagramReceived{{peer}, {}, datagram(exchange, id, response)}}, now);
  }
  void to_peer(ExchangeType exchange, std::uint32_t id, bool response = false) {
    history.note(ike::Action{ike::SendDatagram{{}, {peer}, datagram(exchange, id, response)}}, now);
  }
  void made(std::uint32_t inbound, std::uint32_t outbound) {
    ike::ChildSaParameters sa;
    sa.remote = {peer};
    sa.spi = inbound;
    history.note(ike::Action{ike::InstallInbound{std::move(sa)}}, now);
    ike::ChildSaParameters other;
    other.remote = {peer};
    other.spi = outbound;
    history.note(ike::Action{ike::InstallOutbound{std::move(other), inbound}}, now);
  }
  std::string told() const {
    std::string text;
    for (const auto& line : history.of(peer)) text += line.event + ": " + line.detail + "\n";
    return text;
  }

  net::Address peer = net::parse_address("192.0.2.2").value();
  std::uint64_t ike_spi = 0x1122334455667788;
  bool is_configured = true;
  IkeHistory history{[this](const net::Address& address) { return is_configured && address == peer; }, 8};
  Moment now{1h, {}};
};

}  // namespace

TEST_CASE("Exchanges are told with who began them, how many were answered, and what came again") {
  Rig rig;
  rig.to_peer(ExchangeType::ike_sa_init, 0);
  rig.to_peer(ExchangeType::ike_sa_init, 0);
  rig.from_peer(ExchangeType::ike_sa_init, 0, true);  // wants a COOKIE
  rig.to_peer(ExchangeType::ike_sa_init, 0);
  rig.from_peer(ExchangeType::ike_sa_init, 0, true);
  rig.to_peer(ExchangeType::ike_auth, 1);
  rig.from_peer(ExchangeType::ike_auth, 1, true);
  rig.made(0x1001, 0x2001);
  rig.from_peer(ExchangeType::create_child_sa, 0);
  rig.history.note(ike::Action{ike::RetireInbound{0x1001, true}}, rig.now);
  CHECK(rig.told() ==
        "exchange: IKE_SA_INIT begun by us: 2 begun, 2 answered, 1 repeated\n"
        "exchange: IKE_AUTH begun by us: 1 begun, 1 answered, 0 repeated\n"
        "SA made: SPIs 0x00001001 in, 0x00002001 out\n"
        "exchange: CREATE_CHILD_SA begun by the peer: 1 begun, 0 answered, 0 repeated\n"
        "SA replaced: SPI 0x00001001 in, by a rekey\n");
}

TEST_CASE("An answer that goes once the SA is made is of what was asked before") {
  Rig rig;
  rig.from_peer(ExchangeType::ike_auth, 1);
  rig.made(0x1001, 0x2001);
  rig.to_peer(ExchangeType::ike_auth, 1, true);
  rig.from_peer(ExchangeType::ike_auth, 1);  // the answer was lost
  rig.to_peer(ExchangeType::ike_auth, 1, true);
  rig.from_peer(ExchangeType::create_child_sa, 2);
  rig.made(0x1002, 0x2002);
  rig.to_peer(ExchangeType::create_child_sa, 2, true);
  rig.from_peer(ExchangeType::create_child_sa, 3);
  CHECK(rig.told() ==
        "exchange: IKE_AUTH begun by the peer: 1 begun, 1 answered, 1 repeated\n"
        "SA made: SPIs 0x00001001 in, 0x00002001 out\n"
        "exchange: CREATE_CHILD_SA begun by the peer: 1 begun, 1 answered, 0 repeated\n"
        "SA made: SPIs 0x00001002 in, 0x00002002 out\n"
        "exchange: CREATE_CHILD_SA begun by the peer: 1 begun, 0 answered, 0 repeated\n");
}

TEST_CASE("Hours of liveness checks are one line, and push nothing out") {
  Rig rig;
  rig.made(0x1001, 0x2001);
  for (std::uint32_t id = 0; id < 10'000; ++id) {
    rig.now.wall += 1s;
    rig.to_peer(ExchangeType::informational, id);
    rig.from_peer(ExchangeType::informational, id, true);
    rig.from_peer(ExchangeType::informational, id);
    rig.to_peer(ExchangeType::informational, id, true);
  }
  const auto lines = rig.history.of(rig.peer);
  REQUIRE(lines.size() == 3);
  CHECK(lines[1].detail == "INFORMATIONAL begun by us: 10000 begun, 10000 answered, 0 repeated");
  CHECK(lines[2].detail == "INFORMATIONAL begun by the peer: 10000 begun, 10000 answered, 0 repeated");
  CHECK(lines[1].last - lines[1].first == 9'999s);
}

TEST_CASE("Lines and peers are bounded, and a stranger's messages are not noted") {
  Rig rig;
  rig.is_configured = false;
  rig.from_peer(ExchangeType::ike_sa_init, 0);
  CHECK(rig.told().empty());
  for (std::uint32_t i = 0; i < 100; ++i) rig.made(0x1000 + i, 0x2000 + i);  // from here on it is known
  CHECK(rig.history.of(rig.peer).size() == IkeHistory::lines_each);
  CHECK(rig.history.of(rig.peer).back().detail == "SPIs 0x00001063 in, 0x00002063 out");
  const auto first = rig.peer;
  for (std::uint32_t i = 0; i < IkeHistory::most_peers; ++i) {
    rig.peer = net::parse_address("10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256)).value();
    rig.made(0x10000 + i, 0x20000 + i);
  }
  CHECK(rig.history.of(first).empty());
  CHECK(rig.history.of(rig.peer).size() == 1);
}

TEST_CASE("What is no message of IKE's is passed over") {
  Rig rig;
  rig.history.note(ike::Event{ike::DatagramReceived{{rig.peer}, {}, {1, 2, 3}}}, rig.now);
  rig.from_peer(static_cast<ExchangeType>(200), 0);
  rig.from_peer(ExchangeType::informational, 5, true);  // an answer to nothing
  CHECK(rig.told().empty());
}

}  // namespace ike_history_test
