// docs/counters.md is printed from the verdict table. With ESPGATE_UPDATE_DOCS set, the test writes it anew.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "datapath/verdict/verdict.hpp"

using namespace espgate;

namespace {

std::string outcome_text(Outcome outcome) {
  switch (outcome) {
    case Outcome::tx:
      return "sent";
    case Outcome::host:
      return "to the host";
    case Outcome::control:
      return "to control";
    case Outcome::consumed:
      return "consumed";
    case Outcome::drop:
      return "dropped";
  }
  return "";
}

// Numbers of the QFP list for which nothing here can drop a packet.
struct NotApplicable {
  const char* numbers;
  const char* names;
  const char* why;
};
constexpr NotApplicable not_applicable[] = {
    {"2, 10", "IN_CLEAR_US_V4/V6_PSTATE_SB_FAILED",
     "no packet state beside the packet that could fail to be made"},
    {"5, 13", "IN_TUNNEL_US_V4/V6_PKT_IPSEC_NO(T)_KEEP",
     "ESP to us is decrypted whatever interface it came by; `ipsec` is a port's: 3 and 11"},
    {"17, 43", "IN/OUT_CPP_FAIL_NOTIF_SA_SOFT_EXPIRY",
     "a soft expiry that control could not be told of drops nothing: the next packet tells again"},
    {"20, 45", "IN/OUT_UNEXP_CD_SW_IPSEC_EXCEPTION", "every failure has a reason of its own"},
    {"21", "IN_TBASED_ANTI_REPLAY_FAIL", "time-based anti-replay is GETVPN's"},
    {"24, 27, 28, 50, 53, 54", "IN/OUT_PKT_PSTATE_TOO_BIG, …_CHUNK_MEM_NOT_INIT, …_CHUNK_ALLOC_FAIL",
     "workers allocate nothing but packet buffers: 110"},
    {"29, 55", "IN/OUT_SETTING_WRONG_L2_HDR", "Ethernet is the only link layer"},
    {"34, 39", "OUT_V4/V6_PKT_HIT_TED_START_SP", "no tunnel endpoint discovery (TED)"},
    {"36, 41", "OUT_V4/V6_PKT_HIT_UNKNOWN_TCAM", "no TCAM: a policy's decision is always a known one"},
    {"49", "OUT_PKT_HEADPAD_LEN_ERR", "padding is made here and cannot be wrong"},
    {"59", "MPASS_RESTORE_FAIL", "a packet passes the datapath once"},
    {"63, 64", "IN/OUT_NAT_DEMUX_FAIL", "no NAT in the gateway"},
    {"68", "CD_SW_IPSEC_PKT_HIT_INVALID_SA", "no crypto device with an SA table of its own: 1, 9, 32, 37"},
    {"69", "IN_PKT_MDATA_ERR", "no metadata in ESP (TrustSec, GETVPN)"},
    {"108, 109, 114, 115", "IN/OUT_PKT_CERM_DROP, IN/OUT_CRYPTO_THRPUT_POLICY_DROP",
     "no licence limits the throughput"},
    {"111, 112", "OUT_IPV4/IPV6_SA_NOT_FOUND",
     "an SA outlives every worker that found it by a policy (RCU), so it cannot vanish between the two"},
    {"113", "IN_IPD3P_ANTI_REPLAY_FAIL", "IP-D3P anti-replay is GETVPN's"},
};

std::string reference() {
  std::ostringstream out;
  out << "# Counter reference\n\n"
         "Every packet that a worker takes in leaves it with exactly one verdict, and the verdict is its "
         "counter:\n"
         "`received + from the host = sent + to the host + to control + consumed + dropped` (`espgatectl "
         "show workers`).\n"
         "Drop reasons below 200 have the numbers and names of the drop list of Cisco's ASR QFP; those from "
         "200 are\n"
         "espgate's own, where QFP merges what should be told apart. `espgatectl show drops ipsec --explain` "
         "prints the\n"
         "same texts beside the counts, and `espgatectl capture --drop NUMBER` shows the packets.\n\n"
         "## Not drops\n\n| name | outcome | meaning |\n| --- | --- | --- |\n";
  for (const auto& row : verdict_rows())
    if (row.outcome != Outcome::drop)
      out << "| " << row.name << " | " << outcome_text(row.outcome) << " | " << row.meaning << " |\n";
  for (std::size_t group = 0; group < drop_group_count; ++group) {
    out << "\n## " << name(static_cast<DropGroup>(group))
        << "\n\n| no. | name | meaning | what to do |\n| --- | --- | --- | --- |\n";
    for (const auto& row : verdict_rows())
      if (row.outcome == Outcome::drop && static_cast<std::size_t>(row.group) == group)
        out << "| " << row.number << " | " << row.name << " | " << row.meaning << " | " << row.action
            << " |\n";
  }
  out << "\n## Not applicable\n\nNumbers of the QFP list that are never counted here, and why.\n\n"
         "| no. | name | why |\n| --- | --- | --- |\n";
  for (const auto& row : not_applicable)
    out << "| " << row.numbers << " | " << row.names << " | " << row.why << " |\n";
  return out.str();
}

}  // namespace

TEST_CASE("a number of the QFP list is used or not applicable, not both") {
  for (const auto& foreign : not_applicable) {
    std::istringstream numbers(foreign.numbers);
    for (std::string number; numbers >> number;) {
      if (number.ends_with(',')) number.pop_back();
      CAPTURE(number);
      CHECK(find_drop(number) == nullptr);
    }
  }
}

TEST_CASE("docs/counters.md is the verdict table") {
  const std::string file = ESPGATE_SOURCE_ROOT "/docs/counters.md";
  if (std::getenv("ESPGATE_UPDATE_DOCS") != nullptr) std::ofstream(file) << reference();
  std::stringstream committed;
  committed << std::ifstream(file).rdbuf();
  INFO("run this test with ESPGATE_UPDATE_DOCS=1 to write the page anew");
  CHECK(committed.str() == reference());
}
