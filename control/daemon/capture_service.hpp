// One running capture: arms the workers, hands their frames to the client that asked.
#pragma once

#include <cstdint>
#include <string>

#include "control/cli/stream.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::daemon {

class CaptureService {
 public:
  explicit CaptureService(worker::Shared& shared);

  // Starts sending frames to `stream`: those of a port, or those dropped for a reason. Ends after `count`
  // frames (0: when the client goes). No frame of an earlier capture comes. Errors: a capture runs already;
  // no worker drops for that reason.
  Expected<void> start_port(std::uint8_t port, std::uint64_t count, cli::StreamPtr stream);
  Expected<void> start_drop(Verdict verdict, std::uint64_t count, cli::StreamPtr stream);

  // Moves frames from the ring to the client. Returns how many.
  unsigned poll();

 private:
  Expected<void> start(std::uint64_t count, cli::StreamPtr stream);
  void discard_frames();
  void stop();
  void send(const rte_mbuf& frame);

  worker::Shared& shared_;
  cli::StreamPtr stream_;
  std::uint64_t remaining_ = 0;
};

}  // namespace espgate::daemon
