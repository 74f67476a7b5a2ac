#include "control/ike/nat_detection.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <new>

#include "datapath/net/bytes.hpp"

namespace espgate::ike {

std::string to_string(const Endpoint& endpoint) {
  const auto address = net::to_string(endpoint.address);
  const bool v6 = endpoint.address.family == net::Family::v6;
  return (v6 ? '[' + address + ']' : address) + ':' + std::to_string(endpoint.port);
}

NatHash nat_hash(const Spis& spis, const Endpoint& endpoint) {
  std::array<std::uint8_t, 16 + 16 + 2> input{};
  const std::size_t address_bytes = endpoint.address.family == net::Family::v4 ? 4 : 16;
  net::store_be64(input, 0, spis.initiator);
  net::store_be64(input, 8, spis.responder);
  std::copy_n(endpoint.address.bytes.begin(), address_bytes, input.begin() + 16);
  net::store_be16(input, 16 + address_bytes, endpoint.port);
  NatHash hash;
  unsigned size = 0;
  if (EVP_Digest(input.data(), 18 + address_bytes, hash.data(), &size, EVP_sha1(), nullptr) != 1)
    throw std::bad_alloc();
  return hash;
}

NatSituation detect_nat(const Payloads& payloads, const Spis& spis, const Endpoint& from,
                        const Endpoint& to) {
  bool source_known = false, source_matches = false;
  bool destination_known = false, destination_matches = false;
  NatHash as_seen{};
  const auto of_source = nat_hash(spis, from);
  const auto of_destination = nat_hash(spis, to);
  for (const auto& notify : payloads.notifies) {
    if (notify.data.size() != of_source.size()) continue;
    // A sender that does not know which of its addresses is used names them all.
    if (notify.type == NotifyType::nat_detection_source_ip) {
      source_known = true;
      source_matches |= std::ranges::equal(notify.data, of_source);
    } else if (notify.type == NotifyType::nat_detection_destination_ip) {
      destination_known = true;
      std::ranges::copy(notify.data, as_seen.begin());
      destination_matches |= std::ranges::equal(notify.data, of_destination);
    }
  }
  if (!source_known || !destination_known) return {};
  return {true, !destination_matches, !source_matches, as_seen};
}

}  // namespace espgate::ike
