// Writes the seed corpus of ike_identity_fuzz: one at least of each kind of input.
#include <string_view>

#include "control/ike/ppk.hpp"
#include "control/ike/signature.hpp"
#include "tests/control/ike/authority.hpp"
#include "tests/fuzz/seeds.hpp"

using namespace espgate::ike;

namespace {

using Seed = std::vector<std::uint8_t>;

Seed seed(std::uint8_t kind, std::span<const std::uint8_t> bytes) {
  Seed out{kind};
  out.insert(out.end(), bytes.begin(), bytes.end());
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<Seed> seeds;
  for (const std::string_view text :
       {"192.0.2.1", "2001:db8::1", "gw.example.org", "*.example.org", "gw@example.org", "*@example.org",
        "%any", "192.0.2.0/24", "C=DE, O=Smith\\, Jones, CN=gw+serialNumber=7", "key-id:0x0102", "email:a@b",
        "dn:CN=*"}) {
    seeds.push_back(seed(1, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
    if (const auto identity = parse_identity(text)) {
      Seed payload{0, static_cast<std::uint8_t>(identity->type)};
      payload.insert(payload.end(), identity->data.begin(), identity->data.end());
      seeds.push_back(payload);
      if (identity->type == IdType::distinguished_name) {
        auto twice = seed(4, identity->data);
        twice.insert(twice.end(), identity->data.begin(), identity->data.end());
        seeds.push_back(twice);
      }
    }
  }
  const test::Authority authority("O=Example, CN=Root");
  test::Wish wish;
  wish.alternative_names = "DNS:gw.example.org,email:a@example.org,IP:192.0.2.1,IP:2001:db8::1,URI:http://x/";
  wish.key_usage = "digitalSignature";
  wish.extended_key_usage = "ipsecIKE";
  for (const auto* kind : {"RSA-2048", "P-256", "P-521", "ED25519"}) {
    const auto key = test::make_key(kind);
    seeds.push_back(seed(2, authority.issue(wish, key).der()));
    const auto data = sign(test::private_key(key), HashSet::ours(), Seed(32, 7));
    seeds.push_back(seed(3, std::span(*data).subspan(1, (*data)[0])));
  }
  const std::uint8_t id[] = {'p', 'p', 'k'};
  seeds.push_back(seed(5, write_ppk_identity(id)));
  return espgate::testing::write_seeds(argc, argv, seeds);
}
