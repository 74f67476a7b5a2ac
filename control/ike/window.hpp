// The windows of one IKE SA, of one message each way (RFC 7296 2.1 to 2.3): our request under way, repeated
// byte by byte until it is answered, and the peer's last one with our answer, for when it comes again. One
// owner.
#pragma once

#include <cstdint>
#include <vector>

#include "control/ike/connection.hpp"
#include "control/ike/endpoint.hpp"

namespace espgate::ike {

using Messages = std::vector<std::vector<std::uint8_t>>;  // one, or the parts of one

class OurRequest {
 public:
  // `jitter` is from 0 to 1, by chance.
  void start(std::uint32_t id, Messages messages, const Retransmission& plan, Time now, double jitter);
  void finish() {
    const auto tally = tally_;
    *this = {};
    tally_ = tally;
  }

  bool is_under_way() const { return !messages_.empty(); }
  std::uint32_t id() const { return id_; }
  const Messages& messages() const { return messages_; }
  Time deadline() const { return is_under_way() ? due_ : never; }
  unsigned tries() const { return tries_; }
  // It is sent another way, where none of the tries so far count.
  void begin_again(Time now, double jitter);

  // To be called at the deadline: whether to send the messages again. If not, the peer does not answer.
  bool try_again(Time now, double jitter);

  // Ahead of the deadline, which stays, where something tells that the other side may be heard again: whether
  // to send the messages once more. Once before each deadline, and not if they were sent a moment ago.
  bool may_repeat(Time now);

  // Of all requests so far.
  struct Tally {
    std::uint64_t requests = 0;
    std::uint64_t repeats = 0;
    bool is_given_up = false;  // the last thing that the peer was waited for never came
  };
  const Tally& tally() const { return tally_; }
  void give_up() { tally_.is_given_up = true; }

 private:
  void wait(Time now, double jitter);

  std::uint32_t id_ = 0;
  Messages messages_;
  Retransmission plan_;
  unsigned tries_ = 0;
  Time not_before_ = never;  // of a repetition ahead of the deadline; never: there was one
  Time due_ = never;
  Tally tally_;
};

// What the peer asked.
struct PeerRequests {
  std::uint32_t next_id = 0;
  bool is_being_answered = false;  // the one with next_id
  Messages last_answer;            // to the one before; none: there was none
};

}  // namespace espgate::ike
