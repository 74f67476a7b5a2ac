// libFuzzer target for what authenticates: identities from the wire and from text, distinguished names,
// certificates, signatures' algorithms, PPK identities. The first byte chooses.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>

#include "control/ike/certificate.hpp"
#include "control/ike/distinguished_name.hpp"
#include "control/ike/ppk.hpp"
#include "control/ike/signature.hpp"
#include "tests/fuzz/ike_payloads.hpp"

using namespace espgate;
using namespace espgate::ike;
using espgate::testing::demand;

namespace {

// For terminals, logs and JSON alike.
void demand_printable(std::string_view text) {
  for (const char c : text) demand(c >= ' ' && c < '\x7f');
}

void check(const Identity& identity) {
  const auto text = to_string(identity);
  demand_printable(text);
  demand(same_identity(identity, identity));
  demand(IdentityPattern(identity).matches(identity) && IdentityPattern().matches(identity));
  demand(identity_of(identity.payload()).has_value());
}

void try_payload(Bytes bytes) {
  if (bytes.empty()) return;
  const auto identity = identity_of({IdType{bytes[0]}, bytes.subspan(1)});
  if (identity) check(*identity);
}

// What can be written can be read, shown and read again as the same.
void try_text(std::string_view text) {
  const auto identity = parse_identity(text);
  if (identity) {
    const auto again = parse_identity(to_string(*identity));
    demand(again && same_identity(*identity, *again));
  } else {
    demand(!identity.error().what.empty());
  }
  const auto pattern = IdentityPattern::parse(text);
  if (pattern && pattern->only() != nullptr) demand(pattern->matches(*pattern->only()));
}

void try_certificate(Bytes bytes) {
  const auto certificate = X509Certificate::from_der(bytes);
  if (!certificate) return;
  demand_printable(certificate->subject());
  for (const auto& identity : certificate->identities()) demand_printable(to_string(identity));
  demand(certificate->key_hash().size() == 20);
  if (const auto key = certificate->key()) demand_printable(key->text());
  if (const auto named = check_identity(*certificate, {IdType::fqdn, {'x'}}); !named)
    demand_printable(named.error().what);
}

void try_algorithm(Bytes bytes) {
  const auto algorithm = decode_algorithm(bytes);
  demand_printable(algorithm ? to_string(*algorithm) : algorithm.error().what);
}

void try_names(Bytes bytes) {
  const auto half = bytes.size() / 2;
  const auto a = bytes.first(half), b = bytes.subspan(half);
  demand_printable(distinguished_name_text(bytes));
  demand(same_distinguished_name(a, b) == same_distinguished_name(b, a));
  if (is_distinguished_name(bytes)) demand(distinguished_name_matches(bytes, bytes));
  if (same_distinguished_name(a, b)) demand(distinguished_name_matches(a, b));
}

void try_ppk(Bytes bytes) {
  const auto id = read_ppk_identity(bytes);
  if (id) demand(std::ranges::equal(write_ppk_identity(*id), bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return -1;
  const auto copy = std::make_unique<std::uint8_t[]>(size - 1);
  std::copy_n(data + 1, size - 1, copy.get());
  const Bytes bytes(copy.get(), size - 1);
  switch (data[0]) {
    case 0:
      try_payload(bytes);
      return 0;
    case 1:
      try_text({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      return 0;
    case 2:
      try_certificate(bytes);
      return 0;
    case 3:
      try_algorithm(bytes);
      return 0;
    case 4:
      try_names(bytes);
      return 0;
    case 5:
      try_ppk(bytes);
      return 0;
    default:
      return -1;
  }
}
