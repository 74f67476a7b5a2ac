// The ports while they run: links that go up and down, devices that are pulled, and their twins' carrier.
#pragma once

#include <vector>

#include "control/daemon/gateway.hpp"
#include "control/daemon/host_path.hpp"
#include "control/daemon/journal.hpp"
#include "drivers/host/tap.hpp"

namespace espgate::daemon {

class PortWatch {
 public:
  // All outlive it.
  PortWatch(Gateway& gateway, std::vector<host::Tap>& twins, HostPath& path, Journal& journal)
      : gateway_(gateway), twins_(twins), path_(path), journal_(journal) {}

  // To be called about once a second.
  void look(Moment now);

 private:
  void note(port::OpenPort& open, Moment now);

  Gateway& gateway_;
  std::vector<host::Tap>& twins_;
  HostPath& path_;
  Journal& journal_;
};

}  // namespace espgate::daemon
