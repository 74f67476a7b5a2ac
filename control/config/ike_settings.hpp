// How a connection negotiates its keys: the `ike` group of the file as values, with all files it names read.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "control/ike/authenticator.hpp"
#include "control/ike/identity.hpp"
#include "control/ike/ppk.hpp"
#include "control/ike/proposals.hpp"
#include "datapath/base/digest.hpp"

namespace espgate::config {

enum class Start : std::uint8_t { always, on_demand, passive };

// Replaced after `rekey_after`; gone, if that failed, after `expires_after`.
struct Replacement {
  std::chrono::seconds rekey_after{};
  std::chrono::seconds expires_after{};
  bool operator==(const Replacement&) const = default;
};

// By what both sides prove who they are.
struct Credentials {
  std::shared_ptr<const ike::Authenticator> authenticator;  // null only while errors are reported
  std::string ours;  // in words, without any secret: "a shared key", "certificate CN=gw"
  std::string theirs;
  Digest made_from{};  // over the shared key, our certificates, CAs and CRLs
  bool operator==(const Credentials& other) const { return made_from == other.made_from; }
};

// Equal settings negotiate the same with the same peer, whichever reading of the file they are from.
struct IkeSettings {
  // Connection whose IKE SA this one shares, as one child SA more; it has all else from there. Empty: none.
  std::string child_of;
  ike::Identity local_id;
  ike::IdentityPattern remote_id;
  Credentials credentials;
  ike::PpkUse ppk_use = ike::PpkUse::off;
  std::vector<ike::Ppk> ppks;  // one, unless ppk_use is off
  ike::IkeAlgorithms algorithms;
  ike::ChildAlgorithms child_algorithms;
  Start start = Start::always;
  bool childless = false;  // as the one that begins: children are made after IKE_AUTH
  Replacement ike_sa;
  Replacement child_sa;
  std::chrono::seconds reauthenticate_after{};  // 0: never
  std::vector<net::Prefix> peer_addresses;  // of which the peer gets one if it asks, one network of a family
  std::vector<net::Address> peer_dns;
  bool request_addresses = false;
  std::vector<net::Address> other_addresses;  // of ours, in order, that it may move to from the connection's
  std::chrono::seconds liveness_after{};      // of silence; 0: never asked
  unsigned tries = 0;                         // of a message, until the peer counts as gone
  std::uint16_t fragment_bytes = 0;           // largest IKE message in one piece; 0: always in one
  bool operator==(const IkeSettings&) const = default;
};

}  // namespace espgate::config
