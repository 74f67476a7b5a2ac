// Why children of an IKE SA do not fit, by the last time that a side wanted one made or replaced. One owner.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace espgate::ike {

// Why what a side wanted came to nothing.
enum class Failing : std::uint8_t {
  passing,        // both sides are well, and it may work the next time
  mismatch,       // they want different things
  no_room,        // something of ours is used up
  no_room_there,  // the peer takes no more of it
  fault,          // something is wrong here
};

struct Refusal {
  std::string why;  // empty: none
  Failing kind = Failing::mismatch;
};

// Under the empty name: of one that the peer wanted, and that may be any of them.
class ChildFailures {
 public:
  // Shared, since an offer can make it long.
  struct Reason {
    template <typename Text>
    requires std::convertible_to<Text, std::string> Reason(const Text& why)
        : text(std::make_shared<const std::string>(why)) {}
    std::shared_ptr<const std::string> text;  // never null
  };

  void note(const std::string& child, Reason why, Failing kind) {
    failures_.insert_or_assign(child, Failure{std::move(why), kind});
  }
  void forget(const std::string& child) { failures_.erase(child); }
  void forget_all_but(const std::set<std::string>& children) {
    std::erase_if(failures_, [&](const auto& failure) { return !children.contains(failure.first); });
  }
  // What another knows, but for what is known here already.
  void take_over(ChildFailures& other) { failures_.merge(other.failures_); }
  // Empty: it fits.
  std::string of(const std::string& child = {}) const {
    const auto found = failures_.find(child);
    return found == failures_.end() ? std::string() : *found->second.why.text;
  }
  // Passing: it fits.
  Failing kind(const std::string& child) const {
    const auto found = failures_.find(child);
    return found == failures_.end() ? Failing::passing : found->second.kind;
  }

 private:
  struct Failure {
    Reason why;
    Failing kind;
  };
  std::map<std::string, Failure> failures_;
};

}  // namespace espgate::ike
