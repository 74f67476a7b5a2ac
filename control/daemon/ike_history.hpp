// What IKE did with each peer lately: exchanges that began and were answered, messages that came again, SAs
// made, replaced and deleted. Kept for whoever has to explain what became of an SA, by what the protocol core
// is told and what it wants done.
//
// Alike exchanges in a row are one line, so that hours of liveness checks push nothing out.
//
// Bounds: `lines_each` lines of each peer, the `most_peers` that were heard of last. Who is no configured
// peer is noted from its first SA on, or from when it is expected: made-up senders cost nothing and push
// nobody out. Control thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "control/ike/events.hpp"
#include "control/ike/message.hpp"
#include "control/recovery/evidence_book.hpp"
#include "control/sa/moment.hpp"
#include "datapath/net/address.hpp"

namespace espgate::daemon {

class IkeHistory {
 public:
  static constexpr std::size_t lines_each = 32;
  static constexpr std::size_t most_peers = 4'096;

  // `is_peer`: whether a connection is configured with this address. `children`: so many there may be.
  IkeHistory(std::function<bool(const net::Address&)> is_peer, std::size_t children)
      : is_peer_(std::move(is_peer)) {
    peers_.reserve(most_peers + 1);
    by_inbound_spi_.reserve(children);
  }

  // Each event before the core has it, and each action before it is carried out.
  void note(const ike::Event& event, Moment now);
  void note(const ike::Action& action, Moment now);
  // It had an SA before this process, and is about to come back.
  void expect(const net::Address& peer) { (void)admitted(peer); }

  // Oldest first; empty: nothing is known of it.
  std::vector<recovery::HistoryLine> of(const net::Address& peer) const;

 private:
  struct Line {
    enum class What : std::uint8_t { exchange, made, replaced, deleted };
    What what = What::exchange;
    Moment first;
    Moment last;
    // Of an exchange: its last request, and how many there were, without those that came again.
    ike::ExchangeType exchange{};
    bool we_began = false;
    bool last_answered = false;
    std::uint32_t message_id = 0;
    std::uint64_t initiator_spi = 0;
    std::uint32_t begun = 0;
    std::uint32_t answered = 0;
    std::uint32_t repeated = 0;
    // Of an SA.
    std::uint32_t inbound_spi = 0;
    std::uint32_t outbound_spi = 0;
  };
  struct Peer {
    std::deque<Line> lines;
    std::list<net::Address>::iterator place;
  };

  Peer* known(const net::Address& address);
  Peer& admitted(const net::Address& address);
  void add(Peer& peer, Line line);
  void message(const net::Address& address, ike::Bytes datagram, bool from_us, Moment now);
  static bool is_of(const Line& line, const ike::Header& header);  // the line's last request, or its answer
  static Line* exchange_in(Peer& peer, const ike::Header& header, bool we_began);
  static recovery::HistoryLine describe(const Line& line);

  std::function<bool(const net::Address&)> is_peer_;
  std::list<net::Address> order_;  // the one that was heard of last in front
  std::unordered_map<net::Address, Peer> peers_;
  std::unordered_map<std::uint32_t, net::Address> by_inbound_spi_;  // of child SAs that are there
};

}  // namespace espgate::daemon
