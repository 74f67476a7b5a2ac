// The commands about IKE: what is up and why something is not, and making it so. Conventions as in
// command_rows_show.cpp.
#include "control/cli/command_rows.hpp"

namespace espgate::cli {
namespace {

constexpr Parameter connection_argument[] = {
    {.name = "connection",
     .kind = ValueKind::connection,
     .value_name = "CONNECTION",
     .help = "a connection with an ike group",
     .required = true},
};
constexpr Parameter rekey_options[] = {
    {.name = "ike", .help = "the IKE SA, instead of the child SA that carries the traffic"},
};

constexpr Command rows[] = {
    // One item an IKE SA, and one a connection without any. state: "up", "connecting", "closing", "down".
    // role: "initiator" or "responder". reason: why it is not up, where that is known. children: those that
    // exist; their SAs are in `show sa`.
    {.id = CommandId::show_ike,
     .path = "show ike",
     .where = Where::answer,
     .summary = "Negotiated connections: IKE SAs, peers, children, and why one is down",
     .help = "Connections with manual keys are not listed: `show connections` has all.",
     .example = "show ike",
     .result = R"({"ike_sas": [{"connection": "branch", "state": "up", "reason": "no answer",
                                "role": "initiator", "local": "192.0.2.1", "local_port": 500,
                                "remote": "192.0.2.2", "remote_port": 500, "peer_id": "gw.example.org",
                                "initiator_spi": "0x0123456789abcdef",
                                "responder_spi": "0xfedcba9876543210",
                                "children": [{"name": "branch", "inbound_spi": "0x00001001",
                                              "outbound_spi": "0x00002001"}]}],
                   "half_open": 0})"},

    {.id = CommandId::initiate,
     .path = "initiate",
     .where = Where::answer,
     .summary = "Bring a connection up",
     .help = "Returns at once; `show ike` tells what came of it. A connection that is up stays as it is.",
     .example = "initiate branch",
     .result = R"({"connection": "branch", "command": "initiate"})",
     .arguments = connection_argument,
     .changes = true},

    {.id = CommandId::terminate,
     .path = "terminate",
     .where = Where::answer,
     .summary = "Take a connection down",
     .help =
         "The peer is told. Its traffic is dropped, never sent in clear. It stays down until `initiate`, a\n"
         "reload that changes it, or the peer brings it up; with start = \"on-demand\" traffic does, too.",
     .example = "terminate branch",
     .result = R"({"connection": "branch", "command": "terminate"})",
     .arguments = connection_argument,
     .changes = true},

    {.id = CommandId::rekey,
     .path = "rekey",
     .where = Where::answer,
     .summary = "Give a connection new keys",
     .help = "Replaces the child SA, or with --ike the IKE SA. No packet is lost.",
     .example = "rekey branch",
     .result = R"({"connection": "branch", "command": "rekey"})",
     .arguments = connection_argument,
     .options = rekey_options,
     .changes = true},
};

}  // namespace

std::span<const Command> ike_rows() {
  return rows;
}

}  // namespace espgate::cli
