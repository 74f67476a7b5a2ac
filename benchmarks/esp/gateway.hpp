// The datapath's tables as the daemon makes them, filled for one scene: SAs of one direction, each with a
// key of its own, routes, policies and hops.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "benchmarks/esp/plan.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/worker/worker.hpp"

namespace espgate::bench {

inline constexpr std::uint8_t outside = 0;
inline constexpr std::uint8_t inside = 1;
inline constexpr std::uint8_t port_macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
inline constexpr std::uint8_t station_macs[2][6] = {{2, 0, 0, 0, 1, 1}, {2, 0, 0, 0, 1, 2}};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};
template <typename T>
T must(Expected<T> expected) {
  if (!expected) throw Failure(expected.error().text());
  return std::move(*expected);
}
inline void must(Expected<void> expected) {
  if (!expected) throw Failure(expected.error().text());
}

// An SA as a measurement needs it, by its number in the scene.
struct SaRef {
  std::uint32_t index;  // in the store
  crypto::SuiteId suite;
  crypto::PreparedKey key;
  std::uint8_t salt[4];
  bool extended_sequence = false;
};

class Gateway {
 public:
  explicit Gateway(const Scene& scene);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;
  static std::size_t memory_bytes(const Scene& scene);

  const std::vector<SaRef>& sas() const { return refs_; }
  crypto::Queue& queue() { return *queue_; }  // for the benchmark's own sealing and opening
  std::unique_ptr<crypto::Queue> make_worker_queue() { return must(engine_->make_queue()); }

  // Inbound: all windows as after installation, when no sequence number has been seen; `packets` is how
  // many of each SA's have been since the last time.
  void reset_windows(std::size_t packets);
  // Switches anti-replay off or on in all inbound SAs.
  void set_replay(bool on);

  worker::Shared shared;

 private:
  void install_sas();
  void bring_packets_to(std::uint32_t number, const SaRef& ref, const net::TrafficSelector& selector);
  void add_routes();

  const Scene& scene_;
  std::unique_ptr<crypto::Engine> engine_;
  std::unique_ptr<crypto::Queue> queue_;
  std::unique_ptr<sa::SaStore> store_;
  std::unique_ptr<forward::Forwarding> forwarding_;
  std::unique_ptr<policy::Classifier> policies_;
  std::unique_ptr<tunnel::TunnelTable> tunnels_;
  std::vector<SaRef> refs_;
};

}  // namespace espgate::bench
