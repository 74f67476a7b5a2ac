// What an IKE SA does by itself, and when.
#pragma once

#include "control/ike/endpoint.hpp"

namespace espgate::ike {

struct Schedule {
  Time begun_at = never;
  Time made_at = never;  // with these keys; never: it is not up yet
  Time rekey_at = never;
  Time expires_at = never;
  Time reauthenticate_at = never;
  Time proof_until = never;  // of the peer, who began: it is to have proved again who it is by then
};

}  // namespace espgate::ike
