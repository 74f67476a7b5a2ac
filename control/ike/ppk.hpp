// Postquantum preshared keys (RFC 8784): who uses one, which, and what the notifies about it carry. The keys
// are mixed in by mix_ppk (keys.hpp). Any thread.
//
//   IKE_SA_INIT  both send USE_PPK when plan_ppk or their configuration says so
//   IKE_AUTH     initiator: PPK_IDENTITY, AUTH by the mixed keys, and if it can do without: NO_PPK_AUTH,
//                which has the data of the AUTH that the unmixed keys would have given
//                responder: find_ppk; with a key it says so by an empty PPK_IDENTITY, else the notify is
//                absent
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "control/ike/message.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/base/secret.hpp"

namespace espgate::ike {

enum class PpkUse : std::uint8_t { off, optional, required };

struct Ppk {
  std::vector<std::uint8_t> id;
  Secret key;
  bool operator==(const Ppk&) const = default;
};

// Notify data of PPK_IDENTITY: an identifier of the type PPK_ID_FIXED.
std::vector<std::uint8_t> write_ppk_identity(std::span<const std::uint8_t> id);
// It points into `data`. None: of another type, or empty.
std::optional<Bytes> read_ppk_identity(Bytes data);

// After IKE_SA_INIT, for either role. Whether a PPK is to be used; error: ours is required, and the peer has
// none. `peer_offers`: its message had USE_PPK.
Expected<bool> plan_ppk(PpkUse ours, bool peer_offers);

// What the responder makes of an IKE_AUTH request after both said USE_PPK.
struct PpkAnswer {
  const Ppk* key = nullptr;  // mix it in before AUTH is verified; null: do without ...
  // ... and then this is verified in place of AUTH's data, by the same method.
  std::optional<Bytes> auth_without;
};
// Error: ours is required, or the peer's is, and we do not have it. The result points into both arguments.
Expected<PpkAnswer> find_ppk(PpkUse ours, std::span<const Ppk> keys, const Payloads& request);

// What the initiator makes of the IKE_AUTH response: whether the mixed keys count. Error: ours is required,
// and the responder did without.
Expected<bool> ppk_confirmed(PpkUse ours, const Payloads& response);

}  // namespace espgate::ike
