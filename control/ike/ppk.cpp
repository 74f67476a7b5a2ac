#include "control/ike/ppk.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/ike/identity.hpp"

namespace espgate::ike {
namespace {

constexpr std::uint8_t fixed_id = 2;  // RFC 8784 5.1; identifiers of type 1 are for one-time use

Error peer_has_none(const char* what) {
  return {what, "configure the same PPK on both sides, or set ppk = \"optional\" here"};
}

}  // namespace

std::vector<std::uint8_t> write_ppk_identity(Bytes id) {
  std::vector<std::uint8_t> data(1 + id.size());
  data[0] = fixed_id;
  std::ranges::copy(id, data.begin() + 1);
  return data;
}

std::optional<Bytes> read_ppk_identity(Bytes data) {
  if (data.size() < 2 || data[0] != fixed_id) return {};
  return data.subspan(1);
}

Expected<bool> plan_ppk(PpkUse ours, bool peer_offers) {
  if (ours == PpkUse::required && !peer_offers)
    return peer_has_none("a postquantum preshared key is required, and the peer does not use any");
  return ours != PpkUse::off && peer_offers;
}

Expected<PpkAnswer> find_ppk(PpkUse ours, std::span<const Ppk> keys, const Payloads& request) {
  const auto* named = request.notify(NotifyType::ppk_identity);
  const auto* without = request.notify(NotifyType::no_ppk_auth);
  if (named == nullptr) {
    if (ours == PpkUse::required)
      return peer_has_none("a postquantum preshared key is required, and the peer names none");
    return PpkAnswer{};
  }
  const auto id = read_ppk_identity(named->data);
  const auto found =
      id ? std::ranges::find_if(keys, [&](const Ppk& key) { return std::ranges::equal(key.id, *id); })
         : keys.end();
  if (found != keys.end()) return PpkAnswer{&*found, {}};
  if (ours == PpkUse::required || without == nullptr)
    return Error{fmt::format("the peer uses the postquantum preshared key \"{}\", which we do not have{}",
                             id ? to_string({IdType::key_id, {id->begin(), id->end()}}) : "of another type",
                             without == nullptr ? ", and will not do without" : ", and ours is required"),
                 "configure a PPK with the same id and key on both sides"};
  return PpkAnswer{nullptr, without->data};
}

Expected<bool> ppk_confirmed(PpkUse ours, const Payloads& response) {
  const bool confirmed = response.notify(NotifyType::ppk_identity) != nullptr;
  if (!confirmed && ours == PpkUse::required)
    return peer_has_none("a postquantum preshared key is required, and the peer did without ours");
  return confirmed;
}

}  // namespace espgate::ike
