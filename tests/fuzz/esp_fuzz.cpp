// ESP after decryption: the input is a plaintext, trailer included, sealed here with the SA's own key, so
// that the fuzzer works on what lies behind a good ICV. Each packet goes through a whole worker.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "datapath/net/headers.hpp"
#include "tests/datapath/worker/rig.hpp"

using namespace espgate;
using namespace espgate::test;

namespace {

constexpr std::size_t largest_text_bytes = 1'400;

// Sequence numbers need not move on: anti-replay is off.
Rig& rig() {
  static Rig* const instance = new Rig({.window_packets = 0});
  return *instance;
}

void demand(bool truth) {
  if (!truth) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  start_environment();
  rig();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > largest_text_bytes) return -1;
  Bytes text(data, data + size);
  // A length that is no multiple of 4 would end before the crypto: repeat the trailer behind padding.
  while (text.size() % 4 != 0) text.insert(text.end() - 2, 0);

  const auto output = rig().run(Rig::outside, rig().sealed_frame(1, text));
  std::uint64_t verdicts = 0;
  for (const auto& row : verdict_rows()) {
    const auto count = rig().taken(row.verdict);
    verdicts += count;
    if (count == 0) continue;
    // A good ICV was there: nothing may fall back to an earlier check.
    demand(row.verdict != Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION && row.verdict != Verdict::IN_ESP_RUNT);
    demand((row.verdict == Verdict::FORWARDED) == (output.inside.size() + output.outside.size() == 1));
  }
  demand(verdicts == 1);
  for (const auto& refused : rig().refused())  // of which the sender is told as it was
    demand(refused.packet.size() <= text.size() &&
           std::equal(refused.packet.begin(), refused.packet.end(), text.begin()));
  demand(rig().conserved());
  for (const auto& frame : output.inside) {
    demand(frame.size() >= net::ethernet_bytes + net::ipv4_header_bytes);
    demand(frame.size() - net::ethernet_bytes <= text.size() - 2);
  }
  return 0;
}
