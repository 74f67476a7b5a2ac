// Why packets of one SA were dropped: the drop reasons that can be laid at an SA's door, counted for each SA.
// All workers share a counter, whose locked add costs 20 cycles, and some 50 while another worker does
// nothing but the same (benchmarks/RESULTS.md): less than the rest of a dropped packet. One for each worker
// would cost as much memory again for each of them.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

#include "datapath/verdict/verdict.hpp"

namespace espgate::sa {

// Inbound until the packet is decrypted and found good, outbound from the policy to the wire.
inline constexpr auto inbound_faults = std::to_array<Verdict>({
    Verdict::IN_V4_PKT_HIT_INVALID_SA,
    Verdict::IN_V6_PKT_HIT_INVALID_SA,
    Verdict::IN_CD_SW_IPSEC_HARD_EXPIRY,
    Verdict::IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL,
    Verdict::IN_PKT_HEADPAD_LEN_ERR,
    Verdict::IN_INFRA_V4_PKT_LEN_TOO_BIG,
    Verdict::IN_INFRA_V6_PKT_LEN_TOO_BIG,
    Verdict::IN_V4_POST_INPUT_POLICY_FAIL,
    Verdict::IN_V6_POST_INPUT_POLICY_FAIL,
    Verdict::CRYPTO_DEVICE_IPSEC_STOP,
    Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION,
    Verdict::IN_CD_SW_IPSEC_NH_MISMATCH,
    Verdict::IN_V4_PKT_FRAG_ERR,
    Verdict::IN_PKT_IPVER_INVALID,
    Verdict::CD_IN_PKT_OUT_OF_WINDOW,
    Verdict::IN_SA_LARVAL,
    Verdict::IN_SA_RETIRED,
    Verdict::IN_SA_ENCAP_MISMATCH,
    Verdict::IN_ESP_RUNT,
    Verdict::IN_ESP_LENGTH_MISALIGNED,
    Verdict::IN_ESP_SHARED_BUFFER,
    Verdict::IN_V6_PKT_FRAG_ERR,
    Verdict::IN_INNER_HEADER_INVALID,
    Verdict::IN_CONGESTED_NOT_ECT,
    Verdict::SELECTOR_FIELDS_OPAQUE,
});
inline constexpr auto outbound_faults = std::to_array<Verdict>({
    Verdict::OUT_V4_PKT_HIT_INVALID_SA,
    Verdict::OUT_V6_PKT_HIT_INVALID_SA,
    Verdict::OUT_CD_SW_IPSEC_HARD_EXPIRY,
    Verdict::OUT_CD_SW_IPSEC_DETECT_SEQ_OVERFLOW,
    Verdict::OUT_CANNOT_FRAG_DF_SET_PKT,
    Verdict::OUT_INFRA_V4_PKT_LEN_TOO_BIG,
    Verdict::OUT_INFRA_V6_PKT_LEN_TOO_BIG,
    Verdict::OUT_V4_POST_OUTPUT_POLICY_FAIL,
    Verdict::OUT_V6_POST_OUTPUT_POLICY_FAIL,
    Verdict::CRYPTO_DEVICE_IPSEC_STOP,
    Verdict::OUT_V4_TX_PKT_ADJ_FAIL,
    Verdict::OUT_V6_TX_PKT_ADJ_FAIL,
    Verdict::PKT_BUFFER_UNAVAILABLE,
    Verdict::OUT_TRANSPORT_FRAGMENT,
    Verdict::TTL_EXPIRED,
    Verdict::PORT_TX_FULL,
    Verdict::PORT_DOWN,
    Verdict::OUT_SELECTOR_MISMATCH,
    Verdict::SELECTOR_FIELDS_OPAQUE,
});

// A counter for each of `reasons`, one of the lists above.
template <const auto& reasons>
class FaultCounts {
 public:
  // Does nothing for what is not among the reasons.
  void count(Verdict verdict) {
    const auto place = places[index_of(verdict)];
    if (place < reasons.size()) counts_[place].fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t of(Verdict verdict) const {
    const auto place = places[index_of(verdict)];
    return place < reasons.size() ? counts_[place].load(std::memory_order_relaxed) : 0;
  }

 private:
  static constexpr auto places = [] {
    std::array<std::uint8_t, verdict_count> result;
    result.fill(0xff);
    for (std::size_t i = 0; i < reasons.size(); ++i)
      result[index_of(reasons[i])] = static_cast<std::uint8_t>(i);
    return result;
  }();

  std::array<std::atomic<std::uint64_t>, reasons.size()> counts_;
};
using InboundFaults = FaultCounts<inbound_faults>;
using OutboundFaults = FaultCounts<outbound_faults>;

}  // namespace espgate::sa
