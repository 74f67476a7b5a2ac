// Ctrl-C and SIGTERM as something to wait for, so that a capture or a trace ends in good order.
#pragma once

#include "datapath/base/unique_fd.hpp"

namespace espgate::ctl {

// Readable once one of them has come. From the call on they no longer end the process.
UniqueFd catch_signals();

}  // namespace espgate::ctl
