#include "benchmarks/esp/measure.hpp"

#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include <algorithm>

#include "benchmarks/esp/ceiling.hpp"
#include "benchmarks/esp/gateway.hpp"
#include "benchmarks/esp/ports.hpp"
#include "benchmarks/esp/traffic.hpp"
#include "benchmarks/esp/verify.hpp"

namespace espgate::bench {
namespace {

using StageCycles = std::array<double, worker::stage_count>;

class Measurement {
 public:
  Measurement(const Scene& scene, const Load& load, Gateway& gateway)
      : scene_(scene),
        gateway_(gateway),
        traffic_(scene, load, gateway),
        ports_(scene, load, traffic_, gateway),
        worker_(std::make_unique<worker::Worker>(gateway.shared, 0, gateway.make_worker_queue())),
        expected_(load.kind == Kind::esp ? Verdict::FORWARDED : Verdict::IN_US_V4_PKT_SA_NOT_FOUND_SPI),
        run_packets_(load.run_packets(scene.suite)),
        stretch_(std::min(traffic_.frames().size(), run_packets_)),
        buffers_before_(ports_.buffers_in_use()) {}

  const Traffic& traffic() const { return traffic_; }

  // One pass over all frames, each looked at as it leaves.
  void verify() {
    Verifier verifier(scene_, gateway_, ports_.sink());
    const auto frames = traffic_.frames().size();
    for (std::size_t done = 0; done < frames; done += stretch_) {
      const auto before = counted();
      poll_stretch();
      check(before, stretch_);
    }
    const std::uint64_t wanted = expected_ == Verdict::FORWARDED ? frames : 0;
    if (verifier.good() != wanted)
      throw Failure(fmt::format("{} of {} packets left as they should", verifier.good(), wanted));
    if (ports_.buffers_in_use() != buffers_before_) throw Failure("packet buffers are lost");
  }

  double worker_run(bool replay) {
    std::uint64_t cycles = 0;
    const auto before = counted();
    for (std::size_t done = 0; done < run_packets_; done += stretch_) {
      if (replay && position_ == 0) gateway_.reset_windows(traffic_.most_frames_of_an_sa());
      const auto begin = rte_rdtsc();
      poll_stretch();
      cycles += rte_rdtsc() - begin;
    }
    check(before, run_packets_);
    drain_samples();
    last_stages_ = read_stages();
    return static_cast<double>(cycles) / static_cast<double>(run_packets_);
  }

  double port_run() {
    std::array<rte_mbuf*, burst_packets> frames;
    const auto begin = rte_rdtsc();
    for (std::size_t done = 0; done < run_packets_; done += burst_packets) {
      if (rte_eth_rx_burst(ports_.source(), 0, frames.data(), burst_packets) != burst_packets)
        throw Failure("the port gave less than a burst");
      rte_pktmbuf_free_bulk(frames.data(), burst_packets);
    }
    const auto cycles = rte_rdtsc() - begin;
    advance(run_packets_);
    return static_cast<double>(cycles) / static_cast<double>(run_packets_);
  }

  // To the first frame, where sequence numbers begin.
  void rewind() {
    while (position_ != 0) port_run();
  }

  // Of the worker run just made.
  void note_stages() { stages_of_runs_.push_back(last_stages_); }
  // The median over all noted runs since the last call.
  StageCycles take_stages() {
    StageCycles result{};
    for (std::size_t stage = 0; stage < worker::stage_count; ++stage) {
      std::vector<double> cycles;
      for (const auto& run : stages_of_runs_) cycles.push_back(run[stage]);
      std::ranges::sort(cycles);
      if (!cycles.empty()) result[stage] = cycles[cycles.size() / 2];
    }
    stages_of_runs_.clear();
    return result;
  }

 private:
  struct Count {
    std::uint64_t received, expected;
  };
  Count counted() const {
    const auto& counters = worker_->counters();
    return {counters.received.value(), counters.verdicts[index_of(expected_)].value()};
  }

  void poll_stretch() {
    for (std::size_t done = 0; done < stretch_; done += burst_packets) worker_->poll();
    advance(stretch_);
  }
  void advance(std::size_t packets) { position_ = (position_ + packets) % traffic_.frames().size(); }

  void check(const Count& before, std::size_t packets) const {
    const auto now = counted();
    if (now.received - before.received == packets && now.expected - before.expected == packets) return;
    std::string verdicts;
    for (const auto& row : verdict_rows())
      if (const auto count = worker_->counters().verdicts[index_of(row.verdict)].value(); count != 0)
        verdicts += fmt::format(" {}={}", row.name, count);
    throw Failure(fmt::format("of {} packets {} came in and {} got the right verdict; all so far:{}", packets,
                              now.received - before.received, now.expected - before.expected, verdicts));
  }

  // The control core's part, which is none of the worker's time.
  void drain_samples() {
    sa::SpiMiss miss;
    while (rte_ring_dequeue_elem(gateway_.shared.rings.spi, &miss, sizeof miss) == 0) {
    }
  }

  // Cycles a packet of each stage since the last call.
  StageCycles read_stages() {
    StageCycles cycles{};
    for (std::size_t stage = 0; stage < worker::stage_count; ++stage) {
      const auto& reading = worker_->clock().readings()[stage];
      auto& [cycles_before, packets_before] = stages_before_[stage];
      if (const auto packets = reading.packets.value() - packets_before; packets != 0)
        cycles[stage] =
            static_cast<double>(reading.cycles.value() - cycles_before) / static_cast<double>(packets);
      stages_before_[stage] = {reading.cycles.value(), reading.packets.value()};
    }
    return cycles;
  }

  const Scene& scene_;
  Gateway& gateway_;
  Traffic traffic_;
  Ports ports_;
  std::unique_ptr<worker::Worker> worker_;
  Verdict expected_;
  std::size_t run_packets_;
  std::size_t stretch_;  // packets timed in one go
  unsigned buffers_before_;
  std::size_t position_ = 0;  // the frame that comes next
  std::array<std::pair<std::uint64_t, std::uint64_t>, worker::stage_count> stages_before_{};
  StageCycles last_stages_{};
  std::vector<StageCycles> stages_of_runs_;
};

}  // namespace

std::vector<Result> measure(const Scene& scene, const Load& load, Gateway& gateway, unsigned runs) {
  Measurement measurement(scene, load, gateway);
  const bool in = scene.direction == Direction::inbound;
  const bool has_replay = in && load.kind == Kind::esp;
  if (in) gateway.set_replay(true);
  if (has_replay) gateway.reset_windows(window_packets * 2);
  measurement.verify();
  std::vector<Result> results;
  for (const bool replay : {false, true}) {
    if (replay && !has_replay) continue;
    if (in) gateway.set_replay(replay);
    measurement.rewind();
    Result result{scene, load, replay, measurement.traffic().mean_inner_bytes(), {}, {}, {}, {}};
    result.total = Runs(runs).measure([&] { return measurement.worker_run(replay); },
                                      [&] { measurement.note_stages(); });
    result.stages = measurement.take_stages();
    result.port = Runs(runs).measure([&] { return measurement.port_run(); });
    if (load.kind == Kind::esp)
      result.ceiling = measure_ceiling(scene, load, measurement.traffic(), gateway, runs);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace espgate::bench
