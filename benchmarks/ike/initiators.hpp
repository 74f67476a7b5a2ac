// Many gateways that begin with one responder, as our own protocol core makes them: each has an address, an
// identity and a network of its own. Their public-key work is done at once, on the caller's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "benchmarks/ike/udp_ports.hpp"
#include "control/ike/core.hpp"

namespace espgate::bench {

struct Plan {
  net::Address responder;
  net::Address first;  // of the initiators; the others follow
  std::size_t count = 1;
  std::size_t window = 64;  // set-ups under way at once
  net::Prefix responder_network;
  net::Address first_inner;  // behind the first initiator; behind the others those that follow
  ike::Identity identity;    // empty: each initiator's address
  std::shared_ptr<const ike::Authenticator> authenticator;
  bool encapsulate = false;
  std::chrono::seconds child_rekey_after{0};  // 0: only the responder rekeys
  std::chrono::seconds rekey_after{0};
};

class Initiators {
 public:
  explicit Initiators(Plan plan);
  ~Initiators();

  // Begins up to the window, and does what is due: waits a millisecond at most for something.
  void step();

  std::size_t begun() const { return next_; }
  std::size_t up() const { return up_; }      // that ever came up
  std::size_t lost() const { return lost_; }  // children that went without another
  std::size_t failed() const { return failed_; }
  std::size_t rekeyed() const { return rekeyed_; }  // children that got new keys, whoever began that
  // How long each set-up took, from the command to its child SA.
  std::vector<std::chrono::nanoseconds>& times() { return times_; }

 private:
  class Group;
  void begin_one();

  Plan plan_;
  UdpPorts ports_;
  std::vector<std::unique_ptr<Group>> groups_;
  std::vector<std::chrono::nanoseconds> began_;  // of each initiator
  enum class Standing : std::uint8_t { waiting, under_way, up, failed };
  std::vector<Standing> standings_;
  std::size_t next_ = 0, under_way_ = 0, up_ = 0, lost_ = 0, failed_ = 0, rekeyed_ = 0;
  std::vector<std::chrono::nanoseconds> times_;
};

}  // namespace espgate::bench
