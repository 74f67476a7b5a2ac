// Addresses that one side gives the other with IKE_AUTH (RFC 7296 2.19, 3.15).
#include <fmt/format.h>

#include <algorithm>

#include "control/ike/assigned.hpp"
#include "control/ike/configuration.hpp"
#include "control/ike/ike_sa.hpp"

namespace espgate::ike {

// Of the families that the children have.
void IkeSa::request_addresses(PayloadWriter& payloads) const {
  const auto has = [&](net::Family family) {
    return std::ranges::any_of(connection_->children, [&](const ChildConfiguration& child) {
      return std::ranges::any_of(
          child.local, [&](const SelectorSide& side) { return side.addresses.first.family == family; });
    });
  };
  request_configuration(has(net::Family::v4), has(net::Family::v6), payloads);
}

void IkeSa::take_addresses(const Payloads& payloads) {
  if (!connection_->request_addresses || !payloads.configuration) return;
  auto assigned = read_configuration(*payloads.configuration);
  std::string text;
  for (const auto& address : assigned.addresses) text += fmt::format(" {}", net::to_string(address));
  if (!assigned.dns.empty()) text += "; DNS servers:";
  for (const auto& address : assigned.dns) text += fmt::format(" {}", net::to_string(address));
  log(Level::information, fmt::format("the peer assigned{}", text.empty() ? " nothing" : text));
  auto ours = assignable(assigned.addresses, *connection_);
  for (const auto& address : ours.refused)
    log(Level::warning,
        fmt::format("{} is not taken: it is not in local-networks, not a host's, or one too many",
                    net::to_string(address)));
  assigned_ = std::move(ours.taken);
  if (!assigned_.empty()) host_.act(TakeAddresses{connection_->name, assigned_});
}

// As responder. What it got before with this connection it gets again.
void IkeSa::give_addresses(const Payloads& payloads, PayloadWriter& reply) {
  if (!payloads.configuration || connection_->peer_addresses.empty()) return;
  given_ = host_.lease(*this, addresses_wanted(*payloads.configuration));
  std::string text;
  for (const auto& address : given_) text += fmt::format(" {}", net::to_string(address));
  if (!given_.empty()) log(Level::information, fmt::format("the peer was given{}", text));
  answer_configuration(*payloads.configuration, given_, connection_->peer_dns, reply);
}

// Why a child cannot be, for want of an address of its own. One at any address must have one; who else asks
// for what we never give does without.
std::optional<NotifyType> IkeSa::refusal_without_address(const Payloads& payloads, Time now) {
  const auto& ours = connection_->peer_addresses;
  if (ours.empty() || !given_.empty()) return {};
  const auto wanted = payloads.configuration ? addresses_wanted(*payloads.configuration) : AddressesWanted{};
  const bool asked = std::ranges::any_of(ours, [&](const net::Prefix& each) {
    return each.address.family == net::Family::v4 ? wanted.v4 : wanted.v6;
  });
  if (!asked && connection_->remote) return {};
  const auto error = asked ? NotifyType::internal_address_failure : NotifyType::failed_cp_required;
  refuse_child(error,
               asked ? "the peer's first child is refused: no address is free for it"
                     : "the peer's first child is refused: it asks for no address, and must have one",
               payloads, nullptr, now);
  return error;
}

}  // namespace espgate::ike
