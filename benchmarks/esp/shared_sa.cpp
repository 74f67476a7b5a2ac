// How much two workers do on one SA, against one worker alone: the same frames, dealt out burst by burst.
// Anti-replay is on, so inbound both workers move one window, and outbound both claim from one counter. Two
// workers on an SA each show what the machine itself gives for a second CPU.
#include <fmt/format.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string>

#include "benchmarks/esp/gateway.hpp"
#include "benchmarks/esp/plan.hpp"
#include "benchmarks/esp/timing.hpp"
#include "benchmarks/esp/traffic.hpp"
#include "drivers/port/eal.hpp"
#include "drivers/port/open_port.hpp"

using namespace espgate;
using namespace espgate::bench;

namespace {

constexpr const char* help = R"(Usage: shared_sa_bench [--rounds N] [--cpus A,B]

What two workers do as a multiple of what one does, on an SA each and on one SA, and the one
worker's TSC cycles a packet. Needs root, 512 MB of free huge pages and two free CPUs (default: 0
and 1); other work on either spoils the factors.
)";

constexpr unsigned passes_a_run = 8;

using Frame = std::vector<std::uint8_t>;

std::vector<Frame> read_frames(const Traffic& traffic) {
  std::ifstream file(traffic.pcap_path(), std::ios::binary);
  file.seekg(24);
  std::vector<Frame> frames;
  for (std::uint32_t header[4]; file.read(reinterpret_cast<char*>(header), sizeof header);) {
    frames.emplace_back(header[2]);
    file.read(reinterpret_cast<char*>(frames.back().data()), header[2]);
  }
  if (frames.size() != traffic.frames().size()) throw Failure("the frames cannot be read back");
  return frames;
}

// Both ports of the gateway are net_null: frames are given to the workers directly.
class NullPorts {
 public:
  explicit NullPorts(Gateway& gateway) {
    buffers_ = rte_pktmbuf_pool_create("frames", 8'191, 256, 0, 2'048, SOCKET_ID_ANY);
    if (buffers_ == nullptr) throw Failure("not enough huge pages for packet buffers");
    gateway.shared.buffers = buffers_;
    gateway.shared.port_count = 2;
    for (const std::uint8_t side : {outside, inside}) {
      const auto name = fmt::format("net_null{}", side);
      if (rte_eal_hotplug_add("vdev", name.c_str(), "no-rx=1") != 0) throw Failure("no DPDK device " + name);
      port::PortOptions options;
      options.name = side == outside ? "outside" : "inside";
      options.device = name;
      options.ipsec = side == outside;
      options.workers = gateway.shared.worker_count;
      open_[side] = must(port::OpenPort::open(options, buffers_));
      auto& port = open_[side]->port();
      std::memcpy(port.mac.data(), port_macs[side], port.mac.size());
      gateway.shared.ports[side] = &port;
    }
  }
  ~NullPorts() {
    for (const std::uint8_t side : {outside, inside}) {
      open_[side].reset();
      rte_eal_hotplug_remove("vdev", fmt::format("net_null{}", side).c_str());
    }
    rte_mempool_free(buffers_);
  }
  NullPorts(const NullPorts&) = delete;
  NullPorts& operator=(const NullPorts&) = delete;

 private:
  rte_mempool* buffers_ = nullptr;
  std::unique_ptr<port::OpenPort> open_[2];
};

// What one thread is to do in a pass: these frames through this worker; nothing if it has no worker.
struct Job {
  worker::Worker* worker = nullptr;
  std::vector<const Frame*> frames;
};

// A CPU that works for the measurement. The first is the main thread's own.
struct Helper {
  const Job* job = nullptr;
  std::uint64_t switches = 0;                 // how often the thread lost its CPU during the last pass
  alignas(64) std::atomic<unsigned> go{0};    // the pass to run
  alignas(64) std::atomic<unsigned> done{0};  // the pass that is over
};

enum Kind : unsigned { alone_first, alone_second, apart, together, kinds };

class Measurement {
 public:
  Measurement(const Scene& scene, const Load& load)
      : scene_(scene), gateway_(scene), traffic_(scene, load, gateway_), ports_(gateway_) {
    frames_ = read_frames(traffic_);
    port_ = scene.direction == Direction::inbound ? outside : inside;
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      pair_[cpu] = make_worker(cpu);
      gateway_.shared.worker_count = 1;
      alone_[cpu] = make_worker(cpu);
      gateway_.shared.worker_count = 2;
    }
    jobs_[alone_first][0].worker = alone_[0].get();
    jobs_[alone_second][1].worker = alone_[1].get();
    for (const auto kind : {apart, together})
      for (unsigned cpu = 0; cpu < 2; ++cpu) jobs_[kind][cpu].worker = pair_[cpu].get();
    std::size_t of_first = 0;
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      const auto sa = traffic_.frames()[i].sa;
      jobs_[apart][sa].frames.push_back(&frames_[i]);
      if (sa != 0) continue;
      jobs_[alone_first][0].frames.push_back(&frames_[i]);
      jobs_[alone_second][1].frames.push_back(&frames_[i]);
      jobs_[together][of_first++ / burst_packets % 2].frames.push_back(&frames_[i]);
    }
    rte_eal_remote_launch(serve, this, 1);
  }
  ~Measurement() {
    helper_.go.store(~0u, std::memory_order_release);
    rte_eal_mp_wait_lcore();
  }
  Measurement(const Measurement&) = delete;
  Measurement& operator=(const Measurement&) = delete;

  struct Factors {
    double cycles_alone, apart, together;
  };
  // Medians of `rounds` undisturbed rounds, in each of which all kinds take turns: a shared machine's speed
  // differs from CPU to CPU and minute to minute, but hardly within a round. Disturbed: a thread lost its
  // CPU, or a packet was not forwarded; a worker that is held up falls out of the window that the other moves
  // on, which is right and no measure of speed.
  Factors measure(unsigned rounds) {
    std::vector<double> alone, apart_factor, together_factor;
    for (unsigned attempt = 0; alone.size() < rounds && attempt < rounds * 40; ++attempt) {
      double rate[kinds];
      bool good = attempt != 0;  // the first one warms up
      for (unsigned kind = 0; kind < kinds; ++kind) {
        rate[kind] = packets_a_cycle(static_cast<Kind>(kind));
        good = good && rate[kind] > 0;
      }
      if (!good) continue;
      const double one_worker = (rate[alone_first] + rate[alone_second]) / 2;
      alone.push_back(1 / one_worker);
      apart_factor.push_back(rate[apart] / one_worker);
      together_factor.push_back(rate[together] / one_worker);
    }
    if (alone.size() < rounds) throw Failure("the CPUs are too busy with other work");
    return {median(alone), median(apart_factor), median(together_factor)};
  }

 private:
  static double median(std::vector<double>& values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
  }
  std::unique_ptr<worker::Worker> make_worker(unsigned id) {
    return std::make_unique<worker::Worker>(gateway_.shared, id, gateway_.make_worker_queue());
  }

  void run(const Job& job) {
    std::array<rte_mbuf*, burst_packets> burst;
    for (std::size_t first = 0; job.worker != nullptr && first < job.frames.size(); first += burst_packets) {
      if (rte_pktmbuf_alloc_bulk(gateway_.shared.buffers, burst.data(), burst_packets) != 0)
        throw Failure("out of buffers");
      for (std::size_t i = 0; i < burst_packets; ++i) {
        const Frame& frame = *job.frames[first + i];
        burst[i]->data_len = static_cast<std::uint16_t>(frame.size());
        burst[i]->pkt_len = static_cast<std::uint32_t>(frame.size());
        std::memcpy(rte_pktmbuf_mtod(burst[i], void*), frame.data(), frame.size());
      }
      job.worker->process_frames(burst.data(), burst_packets, port_);
    }
  }
  static int serve(void* self) {
    auto& measurement = *static_cast<Measurement*>(self);
    auto& helper = measurement.helper_;
    for (unsigned last = 0;;) {
      const unsigned now = helper.go.load(std::memory_order_acquire);
      if (now == ~0u) return 0;
      if (now == last) continue;
      const auto before = context_switches();
      measurement.run(*helper.job);
      helper.switches = context_switches() - before;
      helper.done.store(last = now, std::memory_order_release);
    }
  }

  // 0 if it was disturbed.
  double packets_a_cycle(Kind kind) {
    const auto& jobs = jobs_[kind];
    const std::size_t packets = (jobs[0].frames.size() + jobs[1].frames.size()) * passes_a_run;
    const auto forwarded_before = forwarded();
    std::uint64_t cycles = 0;
    std::uint64_t switches = 0;
    helper_.job = &jobs[1];
    for (unsigned pass = 0; pass < passes_a_run; ++pass) {
      if (scene_.direction == Direction::inbound) gateway_.reset_windows(frames_.size());
      const auto before = context_switches();
      const auto begin = rte_rdtsc();
      helper_.go.store(++pass_, std::memory_order_release);
      run(jobs[0]);
      while (helper_.done.load(std::memory_order_acquire) != pass_) {
      }
      cycles += rte_rdtsc() - begin;
      switches += helper_.switches + context_switches() - before;
    }
    const bool disturbed = switches != 0 || forwarded() - forwarded_before != packets;
    return disturbed ? 0 : static_cast<double>(packets) / static_cast<double>(cycles);
  }
  std::uint64_t forwarded() const {
    std::uint64_t sum = 0;
    for (const auto* workers : {&alone_, &pair_})
      for (const auto& worker : *workers)
        sum += worker->counters().verdicts[index_of(Verdict::FORWARDED)].value();
    return sum;
  }

  Scene scene_;
  Gateway gateway_;
  Traffic traffic_;
  NullPorts ports_;
  std::uint8_t port_;
  std::vector<Frame> frames_;
  std::array<std::unique_ptr<worker::Worker>, 2> alone_, pair_;  // by CPU
  std::array<Job, 2> jobs_[kinds];
  Helper helper_;
  unsigned pass_ = 0;
};

void compare(Direction direction, unsigned inner_bytes, unsigned rounds) {
  const Load load{bench::Kind::esp, inner_bytes};
  const auto factors = Measurement({direction, 2, main_suite, {load}, 2}, load).measure(rounds);
  fmt::print("{:<9} {:>5} | {:>6.0f} | {:>10.2f} | {:>6.2f}\n",
             direction == Direction::inbound ? "inbound" : "outbound", inner_bytes, factors.cycles_alone,
             factors.apart, factors.together);
  std::fflush(stdout);
}

unsigned number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc{} && end == text.data() + text.size()) return value;
  fmt::print(stderr, "shared_sa_bench: \"{}\" is no number; see --help\n", text);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  unsigned rounds = 41;
  std::vector<unsigned> cpus{0, 1};
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    const auto comma = value.find(',');
    if (option == "--rounds" && number(value) > 0) {
      rounds = number(argv[++i]);
    } else if (option == "--cpus" && comma != std::string_view::npos) {
      cpus = {number(value.substr(0, comma)), number(value.substr(comma + 1))};
      ++i;
    } else {
      fmt::print("{}", help);
      return option == "--help" ? 0 : 2;
    }
  }
  port::EalOptions eal;
  eal.instance = fmt::format("shared-sa-bench-{}", getpid());
  eal.control_cpu = cpus[0];
  eal.worker_cpus = {cpus[1]};
  eal.memory_mb = 512;
  if (auto started = port::start_eal(eal); !started) {
    fmt::print(stderr, "shared_sa_bench: {}\n", started.error().text());
    return 1;
  }
  int status = 0;
  try {
    fmt::print("{:<9} {:>5} | {:>6} | {:>10} | {:>6}\n", "to", "inner", "cycles", "an SA each", "one SA");
    for (const auto direction : {Direction::inbound, Direction::outbound})
      for (const unsigned inner_bytes : {46u, 1'400u}) compare(direction, inner_bytes, rounds);
  } catch (const std::exception& failure) {
    fmt::print(stderr, "shared_sa_bench: {}\n", failure.what());
    status = 1;
  }
  port::stop_eal();
  return status;
}
