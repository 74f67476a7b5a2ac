// Traced packets: arms the workers, gathers their records by packet, tells them to clients.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "control/cli/stream.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::daemon {

class TraceService {
 public:
  // `tunnel_name` says what the tunnel of an index is called.
  TraceService(worker::Shared& shared, std::function<std::string(tunnel::Index)> tunnel_name)
      : shared_(shared), tunnel_name_(std::move(tunnel_name)) {}

  // Traces the next `count` packets more, of one port or of any. Returns how many are armed now.
  std::int64_t add(std::uint64_t count, std::uint8_t port);
  // Stops and forgets. Returns how many packets were forgotten.
  std::size_t clear();
  // Sends the packets at hand; with `follow` also those to come, until the client goes.
  void show(bool follow, cli::StreamPtr stream);

  // Gathers records from the workers' ring. Returns how many.
  unsigned poll();

 private:
  struct Packet {
    std::uint64_t number = 0;
    std::vector<worker::TraceRecord> records;
  };
  void take(const worker::TraceRecord& record);
  std::int64_t armed() const;
  nlohmann::json describe(const Packet& packet) const;

  worker::Shared& shared_;
  std::function<std::string(tunnel::Index)> tunnel_name_;
  std::deque<Packet> packets_;  // by number, the oldest first
  std::vector<cli::StreamPtr> followers_;
};

}  // namespace espgate::daemon
