// Mirrors the kernel's links, addresses, routes and neighbours and tells what changes.
//
//   start: read everything ──► follow notices ──► a notice was lost, or does not tell all:
//                                    ▲                read again into a second copy,
//                                    └── compare, tell the differences, take the copy ──┘
//
// One socket carries notices and answers to dumps, so their order is the kernel's: a notice behind a
// piece of a dump is newer than that piece. Notices that arrive during a dump go into both copies, so
// nothing waits for a dump to end. Where the kernel changes routes without saying so (an interface goes
// down or comes up, an address or a next-hop object goes) the routes are read again, at once and once
// more a moment later, since the kernel speaks of the interface before it is done with its routes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "datapath/base/expected.hpp"
#include "drivers/host/kernel_view.hpp"
#include "drivers/host/netlink_socket.hpp"

namespace espgate::host {

// Control thread only. Nothing here blocks except `start`.
class NetlinkMirror {
 public:
  using Clock = std::chrono::steady_clock;
  using Observer = std::function<void(const Event&)>;

  struct Options {
    std::set<int> ifindexes;        // the twins
    std::uint32_t routes = 16'384;  // limits; what is above is left out
    std::uint32_t neighbours = 4'096;
    int receive_buffer_bytes = 4 << 20;
  };

  static Expected<std::unique_ptr<NetlinkMirror>> create(const Options& options);

  // Reads the kernel's state and tells it as events. Blocks for the time of the dumps, at most ten seconds.
  Expected<void> start(Observer observer);

  int fd() const { return socket_.fd(); }  // readable: call on_readable
  // Handles a bounded number of notices; the descriptor stays readable if there are more.
  void on_readable();
  // Call about ten times a second: reads again what is due to be read again.
  void tick(Clock::time_point now);

  const KernelView& view() const { return live_; }
  // Nothing is being read again or due to be, so the view holds all that the notices so far told.
  bool settled() const { return step_ == Step::idle && !full_due_ && !routes_due_ && !second_look_; }

  struct Statistics {
    std::uint64_t notices = 0;      // messages read
    std::uint64_t overruns = 0;     // times the kernel had to drop notices (ENOBUFS)
    std::uint64_t full_reads = 0;   // everything read again, the start included
    std::uint64_t route_reads = 0;  // routes read again
  };
  const Statistics& statistics() const { return statistics_; }

 private:
  enum class Step : std::uint8_t { idle, links, addresses, routes_v4, routes_v6, neighbours };

  NetlinkMirror(NetlinkSocket socket, const Options& options);

  bool receive_one();
  void begin_if_due();
  void request(Step step);
  void finish_step();
  void abandon();
  void take_copy();
  void on_message(nlmsghdr* message);
  void on_notice(nlmsghdr* message);
  void on_listed(nlmsghdr* message);
  void on_link(nlmsghdr* message);
  void on_address(nlmsghdr* message);
  void on_route(nlmsghdr* message);
  void on_neighbour(nlmsghdr* message);
  void doubt_routes();
  void tell(const Event& event) const;
  bool follows(int ifindex) const { return options_.ifindexes.contains(ifindex); }
  bool keeps_address(int ifindex) const;

  NetlinkSocket socket_;
  Options options_;
  Observer observer_;
  KernelView live_;
  std::optional<KernelView> copy_;  // being filled by the dump under way
  Step step_ = Step::idle;
  std::uint32_t sequence_ = 0;  // of the dump under way
  bool full_ = false;           // the dump under way reads everything, not just routes
  bool interrupted_ = false;    // the kernel's tables changed under the dump under way
  bool full_due_ = true;
  bool routes_due_ = false;
  std::optional<Clock::time_point> second_look_;  // when to read the routes again
  std::optional<Clock::time_point> full_look_;    // when to read everything again
  int failure_ = 0;                               // errno of a refused dump
  Statistics statistics_;
};

}  // namespace espgate::host
