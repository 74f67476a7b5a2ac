#include "control/recovery/repair.hpp"

#include <array>

namespace espgate::recovery {

std::string_view name(Repair repair) {
  constexpr std::array<std::string_view, repair_count> names{
      "nothing was done",
      "the peer was told",
      "an IKE SA with the peer was begun",
      "the peer was sent a token by which it knows that it has to begin anew",
      "the peer is being sent a token by which it knows that it has to begin anew",
      "an IKE SA with the peer is being begun",
      "only the peer can begin an IKE SA",
      "the keys are manual, so only an operator can repair it",
      "the connection was terminated by an operator",
      "invalid-spi-recovery forbids to repair it",
      "repairs are limited, this one comes later",
  };
  return names[static_cast<std::size_t>(repair)];
}

}  // namespace espgate::recovery
