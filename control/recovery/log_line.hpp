// The line that operators know from Cisco routers, with our explanation behind it.
#pragma once

#include <string>

#include "control/recovery/flow_table.hpp"

namespace espgate::recovery {

// `owner` is the connection of the SPI or else of the peer, empty when there is neither. `facts` are of the
// SPI. `flow.suppressed` counts packets since the last line, without this one.
std::string log_line(const Flow& flow, std::string_view owner, const sa::SpiFacts& facts);

}  // namespace espgate::recovery
