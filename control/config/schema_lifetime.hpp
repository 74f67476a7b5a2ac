// The rows of `connections[].lifetime`, a part of the schema. Not for users of the schema.
#pragma once

#include "control/config/schema.hpp"

namespace espgate::config {

extern const Group lifetime_group;

}  // namespace espgate::config
