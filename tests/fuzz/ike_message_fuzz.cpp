// libFuzzer target for the IKE codec: a datagram as it comes from anybody. What decoding accepts is written
// again, and must be accepted again as the same.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "control/ike/describe.hpp"
#include "control/ike/identity.hpp"
#include "control/ike/proposals.hpp"
#include "tests/fuzz/ike_payloads.hpp"

using namespace espgate;
using namespace espgate::ike;

namespace {

// What the exchanges do with an offer, whatever it is.
void use(const SecurityAssociation& offered) {
  const IkeAlgorithms ike{
      {crypto::SuiteId::aes_gcm_16_256, crypto::SuiteId::aes_cbc_256_sha256}, {Prf::hmac_sha2_256}, {31, 19}};
  const ChildAlgorithms child{{crypto::SuiteId::aes_gcm_16_128}, {31}, true, true};
  for (const std::uint16_t with : {std::uint16_t{0}, std::uint16_t{31}}) {
    choose(offered, ike, with);
    choose(offered, child, with);
  }
  accept_ike_answer(offered, ike);
  accept_child_answer(offered, child);
  testing::demand(!describe(offered).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A block of its own, so that the address sanitizer sees a read beyond the datagram.
  const auto copy = std::make_unique<std::uint8_t[]>(size);
  std::copy_n(data, size, copy.get());
  const std::span<const std::uint8_t> datagram(copy.get(), size);

  Header header;
  if (decode_header(datagram, header)) return 0;
  testing::demand(size >= header_bytes);
  Payloads payloads;
  const auto error = decode_payloads(header.first, datagram.subspan(header_bytes), payloads);
  if (error) {
    testing::demand(!error->what.empty() && is_error(error->notify));
    return 0;
  }
  testing::check_within(payloads, datagram);
  testing::check_written_again(payloads);
  if (payloads.security_association) use(*payloads.security_association);
  return 0;
}
