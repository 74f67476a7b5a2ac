// libFuzzer target for sequences of IKE messages: a peer whose keys are known, in front of a real core. The
// input says how far the connection is at first, and then step by step what is sent, asked for by an operator
// or the datapath, or how much time passes. Whatever comes: nothing is installed for a peer that has not
// proved who it is, tables keep to their limits, what is installed is retired, and every message can be read.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <set>

#include "tests/control/ike/hand_made_peer.hpp"
#include "tests/fuzz/ike_payloads.hpp"

using namespace espgate;
using namespace espgate::ike;
using namespace std::chrono_literals;
using espgate::testing::demand;

namespace {

constexpr std::size_t most_input_bytes = 2'000;
constexpr unsigned most_steps = 40;
constexpr ExchangeType exchanges[] = {ExchangeType::ike_sa_init, ExchangeType::ike_auth,
                                      ExchangeType::create_child_sa, ExchangeType::informational,
                                      ExchangeType::ike_intermediate};

Limits limits() {
  Limits result;
  result.ike_sas = 16;
  result.half_open = 8;
  return result;
}

class Sequence {
 public:
  Sequence(const std::uint8_t* data, std::size_t size) : input_(data, size), peer_(connection(), limits()) {}

  void run() {
    peer_.natted = input_.ConsumeBool();
    const auto begin = input_.ConsumeIntegralInRange(0, 2);
    if (begin >= 1) peer_.greet();
    if (begin == 2) peer_.connect();
    has_keys_ = begin >= 1;
    proved_ = begin == 2;
    check();
    for (unsigned step = 0; step < most_steps && input_.remaining_bytes() != 0; ++step) {
      one_step();
      check();
    }
    // Time alone must bring everything that is installed to its end.
    peer_.handle(Terminate{"b", ""});
    for (int i = 0; i < 2'000 && peer_.core.deadline() != never; ++i) {
      peer_.now = std::max(peer_.now, peer_.core.deadline());
      peer_.handle(TimerExpired{});
      if (peer_.core.ike_sas().empty()) break;
    }
    check();
    demand(peer_.core.ike_sas().empty());
    demand(inbound().empty());
  }

 private:
  static Connection connection() {
    auto result = test::connection_of_b();
    result.start = StartAction::passive;
    return result;
  }

  void one_step() {
    switch (input_.ConsumeIntegralInRange(0, 7)) {
      case 0:
        return sealed(content());
      case 1:
        return sealed(sensible());
      case 2:
        return in_clear();
      case 3:
        peer_.now += std::chrono::milliseconds(input_.ConsumeIntegralInRange<std::uint32_t>(0, 10'000'000));
        peer_.handle(TimerExpired{});
        return;
      case 4:
        return again();
      case 5:
        return by_operator();
      case 6:
        return by_datapath();
      default:
        proved_ = true;  // from here on it may
        if (has_keys_) send(peer_.seal(ExchangeType::ike_auth, 1, peer_.proof_payloads()).front());
    }
  }

  struct Content {
    PayloadType first{};
    std::vector<std::uint8_t> bytes;
  };

  Content content() {
    const auto first = PayloadType{input_.ConsumeIntegral<std::uint8_t>()};
    const auto size = input_.ConsumeIntegralInRange<std::size_t>(0, 300);
    return {first, input_.ConsumeBytes<std::uint8_t>(size)};
  }

  // Payloads as a peer sends them, in any exchange.
  Content sensible() {
    std::array<std::uint8_t, 4> spi{0, 0, 0x20, input_.ConsumeIntegral<std::uint8_t>()};
    PayloadWriter payloads;
    const auto what = input_.ConsumeIntegral<std::uint8_t>();
    if ((what & 1) != 0) payloads.add(test::HandMadePeer::rekey_of(spi));
    if ((what & 2) != 0)
      payloads = peer_.child_payloads(std::move(payloads), 0x3000u + input_.ConsumeIntegral<std::uint8_t>());
    if ((what & 4) != 0) payloads.add(Delete{ProtocolId::esp, {0x2000u + spi[3]}});
    if ((what & 8) != 0) payloads.add(Delete{ProtocolId::ike, {}});
    if ((what & 16) != 0)
      payloads.add(Notify{NotifyType{input_.ConsumeIntegralInRange<std::uint16_t>(1, 16'450)}, {}});
    if ((what & 32) != 0) payloads.add(KeyExchange{31, peer_.half.value()});
    return {payloads.first(), {payloads.bytes().begin(), payloads.bytes().end()}};
  }

  void sealed(const Content& content) {
    const auto exchange = input_.PickValueInArray(exchanges);
    const bool is_response = input_.ConsumeBool();
    const auto id =
        static_cast<std::uint32_t>(input_.ConsumeIntegralInRange(-1, 2)) + (is_response ? 0 : peer_.next_id);
    if (!has_keys_) return;
    if (id == peer_.next_id && !is_response) ++peer_.next_id;
    send(peer_.seal_raw(exchange, id, content.first, content.bytes, is_response));
  }

  void in_clear() {
    Header header;
    header.initiator_spi =
        input_.ConsumeBool() ? peer_.spis.initiator : input_.ConsumeIntegral<std::uint8_t>();
    header.responder_spi = input_.ConsumeBool() ? 0 : peer_.spis.responder;
    header.exchange = input_.PickValueInArray(exchanges);
    header.flags = input_.ConsumeIntegral<std::uint8_t>();
    header.message_id = input_.ConsumeIntegralInRange<std::uint32_t>(0, 2);
    const auto payloads = content();
    header.first = payloads.first;
    auto datagram = write_header(header, header_bytes + payloads.bytes.size());
    datagram.insert(datagram.end(), payloads.bytes.begin(), payloads.bytes.end());
    send(std::move(datagram));
  }

  void again() {
    if (!last_.empty()) send(std::vector(last_));
  }

  void by_operator() {
    const std::string child = input_.ConsumeBool() ? "net" : "";
    switch (input_.ConsumeIntegralInRange(0, 2)) {
      case 0:
        peer_.handle(Initiate{"b", child});
        return;
      case 1:
        peer_.handle(Rekey{"b", child});
        return;
      default:
        peer_.handle(Terminate{"b", child});
    }
  }

  void by_datapath() {
    const auto spi = 0x2000u + input_.ConsumeIntegral<std::uint8_t>();
    switch (input_.ConsumeIntegralInRange(0, 2)) {
      case 0:
        peer_.handle(TrafficArrived{spi});
        return;
      case 1:
        peer_.handle(SoftExpired{spi});
        return;
      default:
        peer_.handle(HardExpired{spi});
    }
  }

  void send(std::vector<std::uint8_t> datagram) {
    last_ = datagram;
    peer_.handle(DatagramReceived{peer_.here, peer_.there, std::move(datagram)});
  }

  std::multiset<std::uint32_t> inbound() const {
    std::multiset<std::uint32_t> there;
    for (const auto& action : peer_.installed) {
      if (const auto* made = std::get_if<InstallInbound>(&action)) there.insert(made->sa.spi);
      if (const auto* gone = std::get_if<RetireInbound>(&action)) there.erase(gone->inbound_spi);
    }
    return there;
  }

  void check() const {
    if (!proved_) demand(peer_.installed.empty());
    const auto sas = peer_.core.ike_sas();
    demand(sas.size() <= limits().ike_sas);
    for (const auto* sa : sas) demand(sa->children().size() <= 64);
    const auto there = inbound();
    for (const auto spi : there) demand(there.count(spi) == 1);
    for (const auto& datagram : peer_.sent) {
      Header header;
      Payloads payloads;
      demand(!decode_header(datagram.bytes, header));
      demand(!decode_payloads(header.first, Bytes(datagram.bytes).subspan(header_bytes), payloads));
    }
  }

  FuzzedDataProvider input_;
  test::HandMadePeer peer_;
  bool has_keys_ = false;
  bool proved_ = false;
  std::vector<std::uint8_t> last_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > most_input_bytes) return -1;
  Sequence(data, size).run();
  return 0;
}
