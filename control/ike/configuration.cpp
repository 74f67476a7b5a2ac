#include "control/ike/configuration.hpp"

#include <algorithm>
#include <optional>

namespace espgate::ike {
namespace {

using Kind = ConfigurationAttribute;
constexpr std::uint8_t one_host = 128;  // the length of the prefix that is behind an IPv6 address

std::vector<std::uint8_t> value_of(const net::Address& address, bool with_prefix) {
  const bool v4 = address.family == net::Family::v4;
  std::vector<std::uint8_t> value(address.bytes.begin(), address.bytes.begin() + (v4 ? 4 : 16));
  if (!v4 && with_prefix) value.push_back(one_host);
  return value;
}

constexpr std::size_t most_assigned = 16;

// An address without its prefix. None: the value is too short.
std::optional<net::Address> address_in(const Attribute& attribute, net::Family family) {
  const std::size_t bytes = family == net::Family::v4 ? 4 : 16;
  if (attribute.value.size() < bytes) return {};
  return net::Address::from_bytes(family, attribute.value.data());
}

}  // namespace

void request_configuration(bool v4, bool v6, PayloadWriter& request) {
  ConfigurationPayload payload{ConfigurationType::request, {}};
  const auto ask = [&](Kind kind) { payload.attributes.push_back({kind, {}}); };
  if (v4) ask(Kind::internal_ip4_address);
  if (v4) ask(Kind::internal_ip4_dns);
  if (v6) ask(Kind::internal_ip6_address);
  if (v6) ask(Kind::internal_ip6_dns);
  request.add(payload);
}

Assigned read_configuration(const ConfigurationPayload& reply) {
  Assigned assigned;
  if (reply.type != ConfigurationType::reply) return assigned;
  const auto take = [](std::vector<net::Address>& list, const std::optional<net::Address>& address) {
    if (address && list.size() < most_assigned) list.push_back(*address);
  };
  for (const auto& attribute : reply.attributes) {
    switch (attribute.type) {
      case Kind::internal_ip4_address:
        take(assigned.addresses, address_in(attribute, net::Family::v4));
        break;
      case Kind::internal_ip6_address:
        take(assigned.addresses, address_in(attribute, net::Family::v6));
        break;
      case Kind::internal_ip4_dns:
        take(assigned.dns, address_in(attribute, net::Family::v4));
        break;
      case Kind::internal_ip6_dns:
        take(assigned.dns, address_in(attribute, net::Family::v6));
        break;
      default:
        break;
    }
  }
  return assigned;
}

AddressesWanted addresses_wanted(const ConfigurationPayload& request) {
  if (request.type != ConfigurationType::request) return {};
  const auto has = [&](Kind kind) {
    return std::ranges::find(request.attributes, kind, &Attribute::type) != request.attributes.end();
  };
  return {has(Kind::internal_ip4_address), has(Kind::internal_ip6_address)};
}

void answer_configuration(const ConfigurationPayload& request, const std::vector<net::Address>& addresses,
                          const std::vector<net::Address>& dns, PayloadWriter& reply) {
  if (request.type != ConfigurationType::request) return;
  std::vector<std::pair<Kind, std::vector<std::uint8_t>>> given;
  const auto give = [&](const std::vector<net::Address>& list, Kind v4, Kind v6, bool with_prefix) {
    for (const auto& address : list) {
      const auto kind = address.family == net::Family::v4 ? v4 : v6;
      if (std::ranges::find(request.attributes, kind, &Attribute::type) != request.attributes.end())
        given.emplace_back(kind, value_of(address, with_prefix));
    }
  };
  give(addresses, Kind::internal_ip4_address, Kind::internal_ip6_address, true);
  if (given.empty()) return;
  give(dns, Kind::internal_ip4_dns, Kind::internal_ip6_dns, false);
  ConfigurationPayload payload{ConfigurationType::reply, {}};
  for (const auto& [kind, value] : given) payload.attributes.push_back({kind, value});
  reply.add(payload);
}

}  // namespace espgate::ike
