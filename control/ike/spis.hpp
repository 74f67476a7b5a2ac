#pragma once

#include <cstdint>

namespace espgate::ike {

// Of an IKE SA; 0: not known yet.
struct Spis {
  std::uint64_t initiator = 0;
  std::uint64_t responder = 0;
  bool operator==(const Spis&) const = default;
};

}  // namespace espgate::ike
