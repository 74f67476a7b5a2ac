// Connections that share the IKE SA of another, once all have been read.
#include <fmt/format.h>

#include <unordered_map>

#include "control/config/ike_settings.hpp"
#include "control/config/read.hpp"
#include "control/config/words.hpp"
#include "control/ike/connection.hpp"

namespace espgate::config {
namespace {

// Why a connection cannot share the IKE SA of `parent`; empty: it can.
std::string why_no_child(const Connection& child, const Connection* parent) {
  if (parent == nullptr || parent == &child || !parent->ike)
    return "is no other connection that negotiates its keys";
  if (!parent->ike->child_of.empty()) return fmt::format("is itself a child of {}", parent->ike->child_of);
  if (parent->local != child.local || parent->remote != child.remote)
    return fmt::format("is between other addresses: {} and {}", net::to_string(parent->local),
                       net::to_string(parent->remote));
  return "";
}

}  // namespace

void settle_children(const GroupReader& top, std::vector<Connection>& connections, const Checks& checks) {
  std::unordered_map<std::string_view, const Connection*> by_name;
  for (const auto& connection : connections) by_name.emplace(connection.name, &connection);
  std::unordered_map<std::string_view, std::size_t> children;  // of each parent, with itself
  for (std::size_t i = 0; i < connections.size(); ++i) {
    auto& child = connections[i];
    if (!child.ike || child.ike->child_of.empty()) continue;
    const auto found = by_name.find(child.ike->child_of);
    const auto* parent = found == by_name.end() ? nullptr : found->second;
    if (const auto why = why_no_child(child, parent); !why.empty()) {
      const auto& place = checks.places_of_connections[i];
      top.report().error(place.row, place.owner.text(),
                         fmt::format("child-of {} {}", shown(child.ike->child_of), why),
                         "name a connection to the same peer that has an ike of its own");
      continue;
    }
    if (++children.try_emplace(parent->name, 1).first->second == ike::most_children + 1) {
      const auto& place = checks.places_of_connections[i];
      top.report().error(
          place.row, place.owner.text(),
          fmt::format("{} has {} children already, itself included, which is as many as an IKE SA "
                      "takes",
                      shown(parent->name), ike::most_children),
          "give this connection an ike of its own, which further ones can share");
    }
    auto settings = *parent->ike;
    settings.child_of = parent->name;
    child.ike = std::make_shared<const IkeSettings>(std::move(settings));
  }
}

}  // namespace espgate::config
