#include "control/daemon/assigned_addresses.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace espgate::daemon {
namespace {

net::InterfaceAddress alone(const net::Address& address) {
  return {address, static_cast<std::uint8_t>(address.bits())};
}

}  // namespace

void AssignedAddresses::take(const net::Address& beside, const std::vector<net::Address>& addresses) {
  const auto found = std::ranges::find_if(
      view_.addresses, [&](const auto& entry) { return entry.first.second.address == beside; });
  for (const auto& address : addresses) {
    auto& entry = entries_[address];
    if (entry.users++ != 0) continue;
    // What is there without us is there after us.
    if (view_.has_address(address)) {
      spdlog::warn("the assigned address {} is one of this host's already", net::to_string(address));
      continue;
    }
    if (found == view_.addresses.end()) {
      spdlog::error("the assigned address {} has no place: no interface has {}", net::to_string(address),
                    net::to_string(beside));
      continue;
    }
    entry.ifindex = found->first.first;
    if (const auto added = kernel_.add_address(entry.ifindex, alone(address)); !added)
      spdlog::error("{}", added.error().text());
  }
}

void AssignedAddresses::drop(const std::vector<net::Address>& addresses) {
  for (const auto& address : addresses) {
    const auto entry = entries_.find(address);
    if (entry == entries_.end() || --entry->second.users != 0) continue;
    if (entry->second.ifindex != 0)
      if (const auto removed = kernel_.remove_address(entry->second.ifindex, alone(address)); !removed)
        spdlog::warn("{}", removed.error().text());
    entries_.erase(entry);
  }
}

}  // namespace espgate::daemon
