// Why children of an IKE SA do not fit, by the last time that a side wanted one made or replaced. One owner.
#pragma once

#include <concepts>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace espgate::ike {

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

  // lacks_room: it was for want of something of ours.
  void note(const std::string& child, Reason why, bool lacks_room) {
    failures_.insert_or_assign(child, Failure{std::move(why), lacks_room});
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
  bool lacks_room(const std::string& child) const {
    const auto found = failures_.find(child);
    return found != failures_.end() && found->second.lacks_room;
  }

 private:
  struct Failure {
    Reason why;
    bool lacks_room = false;
  };
  std::map<std::string, Failure> failures_;
};

}  // namespace espgate::ike
