// A connection as the protocol core sees it: one peer, or any number at any address, how both sides prove who
// they are, what may be negotiated, and the child SAs wanted. A value made by whoever reads the
// configuration; immutable once the core has it, and shared with the SAs that were made from it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/ike/authenticator.hpp"
#include "control/ike/endpoint.hpp"
#include "control/ike/ppk.hpp"
#include "control/ike/proposals.hpp"

namespace espgate::ike {

enum class StartAction : std::uint8_t {
  passive,    // the peer starts, or the operator
  on_demand,  // outbound traffic starts it
  always,     // it is kept up
};

constexpr std::size_t most_children = 64;  // of a connection, and that an IKE SA has at a time

struct ChildConfiguration {
  std::string name;  // unique in its connection
  ChildAlgorithms algorithms;
  // What may go through, before narrowing: at least one each, at most 255.
  std::vector<SelectorSide> local;
  std::vector<SelectorSide> remote;
  bool transport = false;
  // After that it is replaced (a random part of a tenth earlier, so that not all are at once), and after that
  // it is gone; 0: never. Packets and bytes are counted by the datapath, which then says so.
  std::chrono::seconds rekey_after{3'000};
  std::chrono::seconds expires_after{3'600};
};

// RFC 7296 2.4: so many tries in all, each waiting `factor` times as long as the one before, within a tenth.
struct Retransmission {
  unsigned tries = 6;
  std::chrono::milliseconds first{1'000};
  double factor = 2.0;
};

struct Connection {
  std::string name;
  std::optional<net::Address> local;  // none: whichever the datagram came to; then it cannot initiate
  // Others of ours, in order, for when that one is not there or leads nowhere, as who begins: then we move by
  // MOBIKE (RFC 4555). As responder we are reached at each of them.
  std::vector<net::Address> other_locals;
  // None: peers at any address begin, each with an IKE SA and selectors of its own. It cannot initiate.
  std::optional<net::Address> remote;
  std::uint16_t remote_port = net::ike_port;
  Identity identity;                   // ours
  std::optional<Identity> asked_peer;  // as initiator we ask for it in IDr; none: any of several would do
  std::string peer = "%any";           // who the authenticator accepts, for the operator to read
  std::shared_ptr<const Authenticator> authenticator;
  // Postquantum preshared keys (RFC 8784), one at least unless they are off: as initiator we use the first.
  PpkUse ppk_use = PpkUse::off;
  std::vector<Ppk> ppks;
  // Of these a peer gets one address of each family that it asks for, and the DNS servers to use then (RFC
  // 7296 3.15). Without any it hears nothing of either. One at any address must ask, and has no other.
  std::vector<net::Prefix> peer_addresses;
  std::vector<net::Address> peer_dns;
  bool request_addresses = false;  // as initiator we ask for some, of the families that the children have
  IkeAlgorithms algorithms;
  std::vector<ChildConfiguration> children;  // one at least, unless `childless`

  StartAction start = StartAction::passive;
  bool childless = false;            // IKE_AUTH makes no child (RFC 6023)
  bool force_encapsulation = false;  // UDP even where no NAT is
  // The peer may be elsewhere at any time: it says so by MOBIKE (RFC 4555), or its NAT does (RFC 7296 2.23).
  bool follow_peer = true;
  // Of an IKE message, without IP and UDP, before it goes in parts (RFC 7383); 0: never in parts.
  // Else 117 at least, so that a part has room for something.
  std::size_t fragment_bytes = 1'200;
  Retransmission retransmission;
  std::chrono::seconds liveness_after{30};  // of silence; 0: never asked (RFC 7296 2.4)
  // The mapping of a NAT on our side is kept that often while there is no child, whose packets or keepalives
  // do it; 0: never.
  std::chrono::seconds nat_keepalive{20};
  std::chrono::seconds rekey_after{14'000};
  std::chrono::seconds expires_after{16'000};
  // After that all begins anew beside what there is, which goes once the new one is complete (RFC 7296 2.8.3,
  // "make before break"); 0: never. Only who began it does so; who answers says
  // then when it is to (RFC 4478).
  std::chrono::seconds reauthenticate_after{0};

  bool is_at(const net::Address& address) const {
    return !local || *local == address || std::ranges::find(other_locals, address) != other_locals.end();
  }
};
using ConnectionHandle = std::shared_ptr<const Connection>;
using ChildHandle = std::shared_ptr<const ChildConfiguration>;  // shares its connection's ownership

}  // namespace espgate::ike
