// An initiator whose every message the test makes itself, against one real core as responder. Work is done at
// once; nothing is lost.
#pragma once

#include <memory>
#include <optional>

#include "control/ike/channel.hpp"
#include "control/ike/core.hpp"
#include "tests/control/ike/simulation.hpp"

namespace espgate::ike::test {

class HandMadePeer {
 public:
  struct Answer {
    Header header;
    std::shared_ptr<std::vector<std::uint8_t>> bytes;  // what the payloads point into
    Payloads payloads;
    bool has(NotifyType type) const { return payloads.notify(type) != nullptr; }
  };

  // The core is "b", at 192.0.2.2; the peer is "a", at 192.0.2.1.
  explicit HandMadePeer(Connection connection = connection_of_b(), const Limits& limits = {});

  // -- IKE_SA_INIT --
  // The datagram that `payloads` make.
  std::vector<std::uint8_t> greeting(const PayloadWriter& payloads) const;
  PayloadWriter greeting_payloads() const;
  // Sends it and takes what comes back, in clear; none: nothing did.
  std::optional<Answer> greet(const std::vector<std::uint8_t>& datagram);
  // IKE_SA_INIT as it should be, up to the keys.
  void greet();

  // -- IKE_AUTH and on --
  PayloadWriter proof_payloads(bool with_child = true);
  // All of it as it should be.
  void connect();
  Messages seal(ExchangeType exchange, std::uint32_t id, const PayloadWriter& payloads, std::size_t most = 0);
  // Payloads that no writer makes.
  std::vector<std::uint8_t> seal_raw(ExchangeType exchange, std::uint32_t id, PayloadType first,
                                     Bytes payloads, bool is_response = false);
  // The next request, and its answer.
  std::optional<Answer> ask(ExchangeType exchange, const PayloadWriter& payloads);
  std::optional<Answer> deliver(const std::vector<std::uint8_t>& datagram);

  // Answers the core's CREATE_CHILD_SA request, and gives the SPIs of the DELETE that the core then sends.
  std::vector<std::uint32_t> answer_rekey(const std::vector<std::uint8_t>& request, std::uint32_t spi);
  // A CREATE_CHILD_SA's payloads behind what is in `first`.
  PayloadWriter child_payloads(PayloadWriter first, std::uint32_t spi) const;
  static Notify rekey_of(const std::array<std::uint8_t, 4>& spi, ProtocolId protocol = ProtocolId::esp) {
    return {NotifyType::rekey_sa, {}, protocol, spi};
  }

  // A request of the core's, opened; and our answer to it, with what the core then does.
  Answer open_request(const std::vector<std::uint8_t>& datagram);
  Actions answer_request(const Header& request, const PayloadWriter& payloads);

  Actions handle(const Event& event);
  const IkeSa* only_sa() const;

  IkeCore core;
  Connection connection;
  bool natted = false;  // IKE_SA_INIT says that a NAT changed our port
  Time now = 1s;
  std::vector<Action> installed;                      // and retired
  std::vector<SendDatagram> sent;                     // by the core, in the last event
  static constexpr std::uint32_t first_spi = 0x1001;  // ours, of the first child
  std::uint32_t next_id = 0;
  Spis spis{0x0102030405060708, 0};
  Nonce nonce = Nonce(32, 1);
  KeyExchangeHalf half;
  Endpoint here{*net::parse_address("192.0.2.1"), 500};
  Endpoint there{*net::parse_address("192.0.2.2"), 500};

 private:
  std::vector<std::uint8_t> first_message_;
  std::vector<std::uint8_t> answer_;
  Nonce their_nonce_;
  IkeChoice choice_;
  SaKeys keys_;
  std::optional<Channel> channel_;
};

}  // namespace espgate::ike::test
