// The rig's workers on threads of their own, each with packet buffers of its own: the only things they share
// are what workers share in the daemon.
#pragma once

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/datapath/worker/must.hpp"
#include "tests/datapath/worker/rig.hpp"

namespace espgate::test {

// What a thread has its worker by. To be used by that thread only.
class WorkerLane {
 public:
  WorkerLane(Rig& rig, unsigned worker) : rig_(rig), worker_(worker) {
    buffers_ = rte_pktmbuf_pool_create(("lane" + std::to_string(worker)).c_str(), 255, 0, 0,
                                       RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (buffers_ == nullptr) fail("no memory for buffers");
  }
  ~WorkerLane() { rte_mempool_free(buffers_); }
  WorkerLane(const WorkerLane&) = delete;
  WorkerLane& operator=(const WorkerLane&) = delete;

  // A burst in by `port`; returns what left by the other one.
  std::vector<Bytes> run(std::uint8_t port, std::span<const Bytes> frames) {
    std::vector<rte_mbuf*> burst;
    for (const auto& frame : frames) burst.push_back(buffer(frame));
    return run(port, burst);
  }
  // The same of buffers that the caller made; they are the worker's from here.
  std::vector<Bytes> run(std::uint8_t port, std::span<rte_mbuf* const> frames) {
    rig_.workers[worker_]->process_frames(frames.data(), static_cast<unsigned>(frames.size()), port);
    std::vector<Bytes> left;
    std::array<rte_mbuf*, worker::burst_max> burst;
    const auto queue = static_cast<std::uint16_t>(worker_);
    while (const auto sent = rte_eth_rx_burst(1 - port, queue, burst.data(), worker::burst_max))
      for (unsigned i = 0; i < sent; ++i) {
        const auto* data = rte_pktmbuf_mtod(burst[i], const std::uint8_t*);
        left.emplace_back(data, data + burst[i]->data_len);
        rte_pktmbuf_free(burst[i]);
      }
    return left;
  }
  rte_mbuf* buffer(std::span<const std::uint8_t> bytes) {
    auto* mbuf = rte_pktmbuf_alloc(buffers_);
    if (mbuf == nullptr) fail("out of buffers");
    auto* data = rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(bytes.size()));
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::uint8_t*>(data));
    return mbuf;
  }
  unsigned worker() const { return worker_; }
  bool all_buffers_are_back() const { return rte_mempool_in_use_count(buffers_) == 0; }

 private:
  Rig& rig_;
  unsigned worker_;
  rte_mempool* buffers_;
};

// Runs `work` for each of the rig's workers, all at once and on a CPU each where there are as many, and waits
// for them to end. False: a buffer was lost.
inline bool on_threads(Rig& rig, const std::function<void(WorkerLane&)>& work) {
  std::atomic<unsigned> waiting{static_cast<unsigned>(rig.workers.size())};
  std::atomic<bool> whole{true};
  std::vector<std::thread> threads;
  for (unsigned worker = 0; worker < rig.workers.size(); ++worker)
    threads.emplace_back([&, worker] {
      cpu_set_t cpus;  // EAL has bound the main thread to one, and threads inherit that
      CPU_ZERO(&cpus);
      CPU_SET(worker % static_cast<unsigned>(sysconf(_SC_NPROCESSORS_ONLN)), &cpus);
      sched_setaffinity(0, sizeof cpus, &cpus);
      WorkerLane lane(rig, worker);
      waiting.fetch_sub(1);
      while (waiting.load() != 0) std::this_thread::yield();
      work(lane);
      if (!lane.all_buffers_are_back()) whole = false;
    });
  for (auto& thread : threads) thread.join();
  return whole;
}

}  // namespace espgate::test
