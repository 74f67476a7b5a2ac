// `explain`: what must be for a connection to carry traffic, in its order, and how far that is.
#include <fmt/format.h>

#include <algorithm>

#include "control/cli/values.hpp"
#include "control/config/ike_settings.hpp"
#include "control/daemon/explain.hpp"
#include "control/daemon/standing.hpp"
#include "control/ike/describe.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;
using State = ike::IkeSa::State;

class Steps {
 public:
  void done(std::string_view step, const std::string& detail) { add(step, "done", detail); }
  void open(std::string_view step, std::string_view state, const std::string& detail) {
    add(step, is_open_ ? "waits" : state, is_open_ ? "" : detail);
    is_open_ = true;
  }
  json take() { return std::move(rows_); }

 private:
  void add(std::string_view step, std::string_view state, const std::string& detail) {
    rows_.push_back(
        {{"step", step}, {"state", state}, {"detail", detail.empty() ? json(nullptr) : json(detail)}});
  }

  json rows_ = json::array();
  bool is_open_ = false;  // what is behind an open step waits for it
};

// The one that has come farthest.
const ike::IkeSa* farthest(std::span<const ike::IkeSa* const> sas) {
  const auto rank = [](const ike::IkeSa* sa) {
    switch (sa->state()) {
      case State::established:
        return 3;
      case State::proving:
      case State::keyed:
        return 2;
      case State::greeting:
      case State::answering:
        return 1;
      case State::replaced:
      case State::closing:
      case State::gone:
        break;
    }
    return 0;
  };
  const auto found = std::ranges::max_element(sas, {}, rank);
  return found == sas.end() || rank(*found) == 0 ? nullptr : *found;
}

void add_address(const Services& services, const net::Address& local, Steps& steps) {
  const auto text = net::to_string(local);
  if (services.kernel->has_address(local))
    steps.done("address", fmt::format("{} is an address of this host", text));
  else
    steps.open("address", "failed",
               fmt::format("{} is no address of this host: nothing comes in for it", text));
}

void add_greeting(const Services& services, const config::Connection& connection, const ike::IkeSa* sa,
                  const Standing& standing, Steps& steps) {
  constexpr std::string_view step = "IKE_SA_INIT";
  if (sa != nullptr && sa->state() != State::greeting && sa->state() != State::answering)
    return steps.done(
        step, sa->choice() ? fmt::format("{}; {}", describe(*sa->choice()), describe(sa->nat())) : "");
  if (sa != nullptr && !sa->refusal().empty())
    return steps.open(step, "failed", services.ike->core().refusal(*sa, now().steady));
  const auto failure = services.ike->failure(connection.name);
  const bool here = services.ike->core().failure(owner_of(connection), now().steady).state == State::greeting;
  if (!failure.empty() && here) return steps.open(step, "failed", failure);
  if (sa != nullptr)
    return steps.open(step, "under way", fmt::format("with {}", ike::to_string(sa->remote())));
  if (failure.empty()) return steps.open(step, "waits", standing.reason);
  steps.done(step, "the last time that it was tried");
}

void add_proof(const Services& services, const config::Connection& connection, const ike::IkeSa* sa,
               Steps& steps) {
  constexpr std::string_view step = "IKE_AUTH";
  if (sa != nullptr && sa->state() == State::established)
    return steps.done(step,
                      fmt::format("the peer is {}, proved by {}; we began: {}",
                                  sa->peer_identity() ? ike::to_string(*sa->peer_identity()) : "?",
                                  connection.ike->credentials.theirs, sa->is_initiator() ? "yes" : "no"));
  const auto failure = services.ike->failure(connection.name);
  if (!failure.empty()) return steps.open(step, "failed", failure);
  steps.open(step, sa == nullptr ? "waits" : "under way", "");
}

// What the peer agreed to, which may be less than is configured.
std::string networks_text(const ike::IkeSa* sa, const std::string& connection) {
  if (sa == nullptr) return "";
  const auto& children = sa->children();
  const auto found = std::ranges::find_if(children, [&](const ike::Child& child) {
    return child.configuration->name == connection && !child.replaced && !child.delete_wanted;
  });
  if (found == children.end()) return "";
  return fmt::format("; between {} and {}", ike::describe(found->local), ike::describe(found->remote));
}

void add_child(const Services& services, const config::Connection& connection, const ike::IkeSa* sa,
               const Standing& standing, Steps& steps) {
  constexpr std::string_view step = "child SA";
  if (standing.state != "up")
    return steps.open(step, standing.state == "down" ? "failed" : "under way", standing.reason);
  std::string text;
  services.sas->visit(connection.name, [&](const sa::SaReport& report) {
    if (report.state != "active") return;
    const bool inbound = report.direction == sa::Direction::inbound;
    auto& store = services.gateway->sas();
    const auto id = inbound ? store.inbound(report.index).suite : store.outbound(report.index).suite;
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", inbound ? "in" : "out",
                        cli::spi_text(report.spi), crypto::suite(id).name);
  });
  steps.done(step, text + networks_text(sa, connection.name));
}

void add_traffic(const Services& services, const config::Connection& connection, const Standing& standing,
                 Steps& steps) {
  constexpr std::string_view step = "traffic";
  if (standing.state != "up") return steps.open(step, "waits", "");
  const auto found = services.sas->connection_report(connection.name);
  if (!found) return;
  const auto text = fmt::format("{} packets in, {} out", found->inbound.packets, found->outbound.packets);
  if (found->inbound.packets != 0 && found->outbound.packets != 0) return steps.done(step, text);
  steps.open(step, "waits", text);
}

// One peer's way is told by the log; here is who is there.
json steps_of_any_peer(const Services& services, const config::Connection& connection) {
  Steps steps;
  add_address(services, connection.local, steps);
  const auto peers = services.ike->peers_of(connection.name);
  for (const auto* peer : peers)
    steps.done(peer->name, fmt::format("{} at {}, SPI {} out", ike::to_string(peer->identity),
                                       net::to_string(peer->address),
                                       cli::spi_text(services.sas->current_outbound_spi(peer->name))));
  if (peers.empty()) steps.open("peers", "waits", standing_of(services, connection).reason);
  return steps.take();
}

}  // namespace

json explain_steps(const Services& services, const config::Connection& connection) {
  if (connection.any_peer) return steps_of_any_peer(services, connection);
  const auto standing = standing_of(services, connection);
  Steps steps;
  const auto* sa = connection.ike ? farthest(services.ike->core().ike_sas_of(owner_of(connection))) : nullptr;
  add_address(services, sa == nullptr ? connection.local : sa->local().address, steps);
  if (connection.ike) {
    add_greeting(services, connection, sa, standing, steps);
    add_proof(services, connection, sa, steps);
    add_child(services, connection, sa, standing, steps);
  } else if (standing.state == "up") {
    steps.done("SAs", "those of the file are installed");
  } else {
    steps.open("SAs", "failed", standing.reason);
  }
  add_traffic(services, connection, standing, steps);
  return steps.take();
}

}  // namespace espgate::daemon
