#include "control/daemon/capture_service.hpp"

#include <fmt/format.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <array>
#include <limits>

#include "control/cli/values.hpp"
#include "control/daemon/host_path.hpp"
#include "control/daemon/tsc_clock.hpp"

namespace espgate::daemon {
namespace {

constexpr unsigned frames_at_once = 4;
using What = worker::CaptureRequest::What;

}  // namespace

CaptureService::CaptureService(worker::Shared& shared) : shared_(shared) {}

Expected<void> CaptureService::start(std::uint64_t count, cli::StreamPtr stream) {
  if (stream_ != nullptr && stream_->open())
    return Error{"another capture is running",
                 "stop it with Ctrl-C where it runs; there can be one at a time"};
  discard_frames();
  stream_ = std::move(stream);
  remaining_ = count == 0 ? std::numeric_limits<std::uint64_t>::max() : count;
  shared_.capture.lost.store(0, std::memory_order_relaxed);
  stream_->when_closed([this] { stop(); });
  return {};
}

Expected<void> CaptureService::start_port(std::uint8_t port, std::uint64_t count, cli::StreamPtr stream) {
  if (auto started = start(count, std::move(stream)); !started) return started;
  shared_.capture.port.store(port, std::memory_order_relaxed);
  shared_.capture.what.store(What::port, std::memory_order_relaxed);
  return {};
}

Expected<void> CaptureService::start_drop(Verdict verdict, std::uint64_t count, cli::StreamPtr stream) {
  if (HostPath::drops_alone(verdict))
    return Error{
        fmt::format("packets dropped as {} cannot be captured: the control core drops them between a "
                    "port's twin and the workers, and only workers capture",
                    row(verdict).name),
        "`tcpdump -i TWIN` shows what the kernel sends and gets; `show ports` names the twins"};
  if (auto started = start(count, std::move(stream)); !started) return started;
  shared_.capture.drop.store(verdict, std::memory_order_relaxed);
  shared_.capture.what.store(What::drop, std::memory_order_relaxed);
  return {};
}

// Frames of an earlier capture, those included that a worker may be sending in this moment.
void CaptureService::discard_frames() {
  rte_rcu_qsbr_synchronize(shared_.readers, RTE_QSBR_THRID_INVALID);
  void* frame = nullptr;
  while (rte_ring_sc_dequeue(shared_.rings.capture, &frame) == 0)
    rte_pktmbuf_free(static_cast<rte_mbuf*>(frame));
}

void CaptureService::stop() {
  shared_.capture.what.store(What::nothing, std::memory_order_relaxed);
}

unsigned CaptureService::poll() {
  std::array<void*, frames_at_once> frames;
  const unsigned count =
      rte_ring_sc_dequeue_burst(shared_.rings.capture, frames.data(), frames_at_once, nullptr);
  for (unsigned i = 0; i < count; ++i) {
    auto* frame = static_cast<rte_mbuf*>(frames[i]);
    if (stream_ != nullptr && stream_->open()) send(*frame);
    rte_pktmbuf_free(frame);
  }
  return count;
}

void CaptureService::send(const rte_mbuf& frame) {
  const auto direction = worker::direction_of(frame);
  const auto time = wall_time(worker::tsc_of(frame), shared_.tsc_hz).time_since_epoch();
  const bool dropped = direction == worker::Direction::dropped;
  const std::span data(rte_pktmbuf_mtod(&frame, const std::uint8_t*), frame.data_len);
  nlohmann::json item{
      {"time_ns", std::chrono::duration_cast<std::chrono::nanoseconds>(time).count()},
      {"port", shared_.ports[frame.port]->name},
      {"direction", direction == worker::Direction::out ? "tx" : "rx"},
      {"verdict", nullptr},
      {"length_bytes", frame.pkt_len},
      {"data", cli::base64(data)},
  };
  if (dropped) item["verdict"] = row(shared_.capture.drop.load(std::memory_order_relaxed)).name;
  stream_->push(item);
  if (--remaining_ != 0) return;
  stop();
  stream_->finish({{"lost", stream_->lost() + shared_.capture.lost.load(std::memory_order_relaxed)}});
  stream_.reset();
}

}  // namespace espgate::daemon
