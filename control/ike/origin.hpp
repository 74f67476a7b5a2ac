// Where an IKE SA comes from.
#pragma once

#include "control/ike/connection.hpp"
#include "control/ike/events.hpp"

namespace espgate::ike {

// What it is made with.
struct Origin {
  SaId id = 0;
  bool is_initiator = false;
  Spis spis;  // those known so far
  Endpoint local;
  Endpoint remote;
  ConnectionHandle connection;
};

// Of the IKE SA that it descends from by rekeys, whoever began those.
struct Lineage {
  bool we_began = false;
  std::uint64_t initiator_spi = 0;
};

}  // namespace espgate::ike
