// What an IKE SA knows of whether its peer is still there (RFC 7296 2.4).
#pragma once

#include "control/ike/endpoint.hpp"

namespace espgate::ike {

struct Liveness {
  Time heard;  // something protected, last
  Time asked;  // whether it is there, last
  Time not_doubted_before = Time::min();
  bool is_doubted = false;
};

}  // namespace espgate::ike
