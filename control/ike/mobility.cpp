#include "control/ike/mobility.hpp"

#include <algorithm>

namespace espgate::ike {

void add_other_addresses(PayloadWriter& payloads, const Connection& connection, const net::Address& reached) {
  const auto add = [&](const net::Address& address) {
    if (address == reached) return;
    const bool v4 = address.family == net::Family::v4;
    payloads.add(Notify{v4 ? NotifyType::additional_ip4_address : NotifyType::additional_ip6_address,
                        Bytes(address.bytes).first(v4 ? 4 : 16)});
  };
  if (connection.local) add(*connection.local);
  std::ranges::for_each(connection.other_locals, add);
}

}  // namespace espgate::ike
