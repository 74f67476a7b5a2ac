#include "datapath/sa/faults.hpp"

#include <catch2/catch.hpp>
#include <set>

using namespace espgate;
using namespace espgate::sa;

namespace {

// IPsec drops of packets that have no SA, or for which it is not to blame.
const std::set<Verdict> no_sa_to_blame{
    Verdict::IN_US_V4_PKT_FOUND_IPSEC_NOT_ENABLED,
    Verdict::IN_US_V6_PKT_FOUND_IPSEC_NOT_ENABLED,
    Verdict::IN_US_V4_PKT_SA_NOT_FOUND_SPI,
    Verdict::IN_US_V6_PKT_SA_NOT_FOUND_SPI,
    Verdict::IN_TRANS_V4_IPSEC_PKT_NOT_FOUND_SPI,
    Verdict::IN_TRANS_V6_IPSEC_PKT_NOT_FOUND_SPI,
    Verdict::IN_TRANS_CL_V4_PKT_FAILED_POLICY,
    Verdict::IN_TRANS_CL_V6_PKT_FAILED_POLICY,
    Verdict::IN_US_CL_V4_PKT_FAILED_POLICY,
    Verdict::IN_US_CL_V6_PKT_FAILED_POLICY,
    Verdict::IN_SPI_RESERVED,
    Verdict::IN_NATT_LENGTH_MISMATCH,
    Verdict::GRE_HEADER_INVALID,  // these five are the tunnel's
    Verdict::GRE_KEY_MISMATCH,
    Verdict::GRE_CHECKSUM_BAD,
    Verdict::GRE_PROTOCOL_UNKNOWN,
    Verdict::GRE_NEXT_HOP_UNKNOWN,
    Verdict::OUT_V4_PKT_HIT_IKE_START_SP,
    Verdict::OUT_V6_PKT_HIT_IKE_START_SP,
    Verdict::OUT_V4_PKT_HIT_DENY_DROP_SP,
    Verdict::OUT_V6_PKT_HIT_DENY_DROP_SP,
    Verdict::IKE_RING_FULL,
    Verdict::IKE_RATE_LIMITED,
};

}  // namespace

TEST_CASE("each IPsec drop reason is laid at an SA's door, or it is said why not") {
  std::set<Verdict> listed(inbound_faults.begin(), inbound_faults.end());
  listed.insert(outbound_faults.begin(), outbound_faults.end());
  for (const auto& row : verdict_rows()) {
    if (row.outcome != Outcome::drop || row.group > DropGroup::IpsecTailDrop) continue;
    INFO(row.name);
    CHECK(listed.contains(row.verdict) != no_sa_to_blame.contains(row.verdict));
  }
}

TEST_CASE("faults are counted each by itself, and what is no fault of an SA's is not counted") {
  InboundFaults faults{};
  for (int i = 0; i < 3; ++i) faults.count(Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION);
  faults.count(inbound_faults.back());
  faults.count(Verdict::FORWARDED);
  faults.count(Verdict::ETH_RUNT);
  std::uint64_t sum = 0;
  for (const auto reason : inbound_faults) sum += faults.of(reason);
  CHECK(sum == 4);
  CHECK(faults.of(Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION) == 3);
  CHECK(faults.of(Verdict::FORWARDED) == 0);
}
