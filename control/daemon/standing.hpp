// Which connections are up, and why the others are not, for the commands that show it. A reading of one
// moment: the next event, or another configuration, ends it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "control/daemon/services.hpp"

namespace espgate::daemon {

struct Standing {
  std::string_view state;  // "up", "connecting", "closing", "down"
  std::string reason;      // unless it is up
};

class Standings {
 public:
  explicit Standings(const Services& services);

  Standing of(const config::Connection& connection) const;
  // Of the connection, as far as they are not gone, oldest first.
  std::span<const ike::IkeSa* const> ike_sas(const std::string& connection) const;

 private:
  Standing of_manual(const config::Connection& connection) const;
  Standing of_any_peer(const config::Connection& connection) const;
  Standing of_negotiated(const config::Connection& connection) const;
  std::string why_down(const config::Connection& connection) const;

  const Services& services_;
  std::unordered_map<std::string_view, std::string_view> expired_;  // by connection: the direction
  std::unordered_map<std::string, std::vector<const ike::IkeSa*>> ike_sas_;
};

// Whose IKE SA a negotiated connection's child SA belongs to: its own, or that of another (`child-of`).
const std::string& owner_of(const config::Connection& connection);
// The peer's address as the file has it: "any" where it may be any.
std::string remote_text(const config::Connection& connection);
// Of an IKE SA, as above.
std::string_view state_text(ike::IkeSa::State state);

}  // namespace espgate::daemon
