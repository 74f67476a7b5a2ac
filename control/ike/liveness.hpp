// What an IKE SA knows of whether its peer is still there, and finds us (RFC 7296 2.4, 2.23).
#pragma once

#include "control/ike/endpoint.hpp"

namespace espgate::ike {

struct Liveness {
  Time heard;         // something protected, last; Time::min(): nothing was
  Time asked;         // whether it is there, last
  Time mapping_kept;  // of a NAT on our side, by us, last
  Time not_doubted_before = Time::min();
  bool is_doubted = false;
};

}  // namespace espgate::ike
