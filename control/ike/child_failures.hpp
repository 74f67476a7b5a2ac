// Why children of an IKE SA do not fit, by the last time that a side wanted one made or replaced. One owner.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>

namespace espgate::ike {

class ChildFailures {
 public:
  // Of one child, or the same of several. The empty name: of one that may be any of them.
  void note(const std::string& child, const std::string& why) { note(std::span(&child, 1), why); }
  void note(std::span<const std::string> children, const std::string& why) {
    const auto shared = std::make_shared<const std::string>(why);  // an offer can make it long
    for (const auto& child : children) failures_[child] = shared;
  }
  void forget(const std::string& child) { failures_.erase(child); }
  void forget_all_but(const std::set<std::string>& children) {
    std::erase_if(failures_, [&](const auto& failure) { return !children.contains(failure.first); });
  }
  // What another knows, but for what is known here already.
  void take_over(ChildFailures& other) { failures_.merge(other.failures_); }
  // Empty: it fits.
  std::string of(const std::string& child) const {
    const auto found = failures_.find(child);
    return found == failures_.end() ? std::string() : *found->second;
  }

 private:
  std::map<std::string, std::shared_ptr<const std::string>> failures_;
};

}  // namespace espgate::ike
