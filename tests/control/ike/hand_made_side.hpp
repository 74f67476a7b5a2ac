// One side of an IKE SA whose every message the test makes itself, against one real core at the other. Work
// is done at once; nothing is lost. What the initiator (hand_made_peer.hpp) and the responder
// (hand_made_responder.hpp) have in common.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "control/ike/channel.hpp"
#include "control/ike/core.hpp"
#include "tests/control/ike/simulation.hpp"

namespace espgate::ike::test {

class HandMadeSide {
 public:
  struct Answer {
    Header header;
    std::shared_ptr<std::vector<std::uint8_t>> bytes;  // what the payloads point into
    Payloads payloads;
    bool has(NotifyType type) const { return payloads.notify(type) != nullptr; }
  };

  // -- once there are keys --
  Messages seal(ExchangeType exchange, std::uint32_t id, const PayloadWriter& payloads, std::size_t most = 0);
  // Payloads that no writer makes.
  std::vector<std::uint8_t> seal_raw(ExchangeType exchange, std::uint32_t id, PayloadType first,
                                     Bytes payloads, bool is_response = false);
  // With payloads in clear in front of what is encrypted, which are authenticated like the header; in SK, or
  // as the only fragment in SKF. The suite is an AEAD.
  std::vector<std::uint8_t> seal_behind(PayloadType first, Bytes clear, ExchangeType exchange,
                                        std::uint32_t id, const PayloadWriter& payloads, bool as_fragment);
  // The next request, and its answer.
  std::optional<Answer> ask(ExchangeType exchange, const PayloadWriter& payloads);
  std::optional<Answer> deliver(const std::vector<std::uint8_t>& datagram);
  // A CREATE_CHILD_SA's payloads behind what is in `first`.
  PayloadWriter child_payloads(PayloadWriter first, std::uint32_t spi) const;

  // A request of the core's, opened; and our answer to it, with what the core then does.
  Answer open_request(const std::vector<std::uint8_t>& datagram);
  Actions answer_request(const Header& request, const PayloadWriter& payloads);

  Actions handle(const Event& event);
  // All that is due.
  void expire() {
    while (core.deadline() <= now) handle(TimerExpired{});
  }
  const IkeSa* only_sa() const;
  // Of child SAs that the core has installed, in both directions.
  std::size_t installed_sas() const;

  bool wants_keys = false;  // of IKE SAs that end
  IkeCore core;
  Connection connection;  // the core's
  Time now = 1s;
  std::vector<Action> installed;  // and retired
  std::vector<KeysEnded> ended;
  std::vector<SendDatagram> sent;                     // by the core, in the last event
  std::vector<std::string> lines;                     // that it logged, ever, without steps
  static constexpr std::uint32_t first_spi = 0x1001;  // ours, of the first child
  std::uint32_t next_id = 0;
  Spis spis;
  Nonce nonce = Nonce(32, 1);
  KeyExchangeHalf half;
  Endpoint here;
  Endpoint there;
  bool natted = false;  // IKE_SA_INIT says that there is a NAT on the initiator's side

 protected:
  HandMadeSide(bool is_initiator, const Connection& of_core, const Limits& limits);

  // Of a message in clear.
  static Answer read(const std::vector<std::uint8_t>& datagram);
  Header header_of(ExchangeType exchange, std::uint32_t id, bool is_response) const;
  // Once IKE_SA_INIT is through.
  void take_keys(const IkeChoice& choice, Bytes their_value, Bytes their_nonce);
  // Of a child that is made with IKE_AUTH.
  ChildAlgorithms first_child_algorithms() const;
  // That we are `identity`, by the key that both have; it points into `proof`.
  Authentication prove(const Identity& identity, std::vector<std::uint8_t>& proof) const;

  const bool is_initiator_;
  std::vector<std::uint8_t> first_message_;  // ours
  Nonce their_nonce_;
  IkeChoice choice_;
  SaKeys keys_;
  std::optional<Channel> channel_;
};

// Not Catch's, for the fuzz targets to use this, too.
void must(bool truth);
std::array<std::uint8_t, 4> spi_bytes_of(std::uint32_t spi);

}  // namespace espgate::ike::test
