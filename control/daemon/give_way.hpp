// For threads that do long work beside the control loop, whose CPU they share.
#pragma once

namespace espgate::daemon {

// The calling thread runs when the loop has nothing to do, and little besides. Never fails: where the kernel
// refuses, the thread goes on as it was.
void give_way();

}  // namespace espgate::daemon
