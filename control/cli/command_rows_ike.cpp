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
constexpr Parameter proposals_argument[] = {
    {.name = "connection",
     .kind = ValueKind::connection,
     .value_name = "CONNECTION",
     .help = "what this one offers; without it the defaults"},
};
constexpr Parameter explain_argument[] = {
    {.name = "connection",
     .kind = ValueKind::connection,
     .value_name = "CONNECTION",
     .help = "any connection of the configuration",
     .required = true},
};
constexpr Parameter diagnose_argument[] = {
    {.name = "connection",
     .kind = ValueKind::connection,
     .value_name = "CONNECTION",
     .help = "any connection, also one that is well; without it all that have trouble"},
};
constexpr Parameter rekey_options[] = {
    {.name = "ike", .help = "the IKE SA, instead of the child SA that carries the traffic"},
};

constexpr Command rows[] = {
    // One item an IKE SA, and one a connection without any. state: "up", "connecting", "closing", "down".
    // role: "initiator" or "responder". reason: why it is not up, or which child is not as it should be,
    // where that is known. children: those that exist; their SAs are in `show sa`. refused: IKE SAs that
    // peers began, by the limit which refused them.
    {.id = CommandId::show_ike,
     .path = "show ike",
     .where = Where::stream,
     .summary = "Negotiated connections: IKE SAs, peers, children, and why one is down",
     .help =
         "Connections with manual keys are not listed: `show connections` has all. How long an IKE SA has\n"
         "had its keys, and when it has new ones, is this side's: the peer may be sooner. --json has its\n"
         "algorithms and other times as well, `explain CONNECTION` the steps that led to it.",
     .example = "show ike",
     .result = R"({"ike_sas": [{"connection": "branch", "state": "up",
                                "reason": "child voice: the peer refused it with TS_UNACCEPTABLE",
                                "role": "initiator", "local": "192.0.2.1", "local_port": 500,
                                "remote": "192.0.2.2", "remote_port": 500, "peer_id": "gw.example.org",
                                "initiator_spi": "0x0123456789abcdef",
                                "responder_spi": "0xfedcba9876543210",
                                "algorithms": "aes256-gcm16, prf-sha256, x25519", "age_s": 4000,
                                "rekey_in_s": 9800, "reauthentication_in_s": 80000, "expires_in_s": 11200,
                                "children": [{"name": "branch", "inbound_spi": "0x00001001",
                                              "outbound_spi": "0x00002001"}]}],
                   "half_open": 0,
                   "refused": {"ike_sas": 0, "ike_half_open": 0, "ike_half_open_per_source": 0,
                               "ike_sas_per_peer": 2}})",
     .items = "ike_sas"},

    // kind: "suite", "prf", "key-exchange". ike, traffic: 1 is offered first, null is not offered.
    // ike_allowed, traffic_allowed: whether the configuration may name it. refused: why it may not, or not
    // for
    // IKE. additional: the key exchanges behind the first one, of each of which one method is used; for:
    // "ike", "traffic".
    {.id = CommandId::show_proposals,
     .path = "show proposals",
     .where = Where::answer,
     .summary = "Algorithms that IKE offers, may offer and refuses, with the reason",
     .help = "The numbers say in which order. Those without one are offered when `suites`, `child-suites`, "
             "`prfs`,\n"
             "`key-exchanges` or `pfs` of a connection's ike group name them.",
     .example = "show proposals branch",
     .result = R"({"connection": "branch",
                   "algorithms": [{"kind": "suite", "name": "aes256-gcm16", "ike": 1, "traffic": 1,
                                   "ike_allowed": true, "traffic_allowed": true,
                                   "refused": "SHA-1 is broken"}],
                   "additional": [{"for": "ike", "exchange": 2, "methods": ["ml-kem-768", "ecp384"]}]})",
     .arguments = proposals_argument},

    // settings: the file's and those that it leaves out. steps: what must be for traffic to flow, in its
    // order;
    // state: "done", "under way", "waits", "failed". log: what was said of it lately, oldest first.
    {.id = CommandId::explain,
     .path = "explain",
     .where = Where::answer,
     .summary = "What a connection's settings mean, how far it has come, and what it waits for",
     .help = "A failed negotiation is shown with what both sides offered and what did not fit.\n"
             "Secrets are never shown.",
     .example = "explain branch",
     .result = R"({"connection": "branch", "state": "down",
                   "reason": "no answer at all to IKE_SA_INIT",
                   "settings": [{"setting": "start", "value": "always",
                                 "meaning": "it is brought up at once and kept up"}],
                   "steps": [{"step": "IKE_SA_INIT", "state": "failed",
                              "detail": "no answer at all to IKE_SA_INIT"}],
                   "log": [{"time": "2025-03-01T12:00:00Z",
                            "text": "connection branch, peer 192.0.2.2:500: IKE SA is gone: no answer"}]})",
     .arguments = explain_argument},

    // One item a connection. causes: the likeliest first; weight: 1 to 100, how sure one is of it. Without an
    // argument the connections whose likeliest cause is neither "all well" nor one that is meant, the surest
    // first. looked_at: connections and peers; left_off: how many more have trouble than are shown.
    {.id = CommandId::diagnose,
     .path = "diagnose",
     .where = Where::stream,
     .summary = "What is most likely wrong with a connection, by which evidence, and what to do",
     .help = "Weighs causes: configuration mismatch, firewall, one-way traffic, peer down, NAT rebinding, "
             "loss, restarts,\nport down, routing, expired keys, no room here or at the peer, a fault here. "
             "Without CONNECTION: those\nwith trouble, the surest first, at most 64. `explain` tells word by "
             "word how far a negotiation came.",
     .example = "diagnose branch",
     .result = R"({"connections": [{"connection": "branch", "state": "down",
                                    "reason": "no answer at all to IKE_SA_INIT",
                                    "causes": [{"cause": "firewall", "weight": 65,
                                                "evidence": ["IKE_SA_INIT was sent 4 times to 192.0.2.2, and nothing came back"],
                                                "remedy": "let UDP port 500 through"}]}],
                   "looked_at": 12, "left_off": 0})",
     .items = "connections",
     .arguments = diagnose_argument},

    // Of these three: before: the state that the connection was in.
    {.id = CommandId::initiate,
     .path = "initiate",
     .where = Where::answer,
     .summary = "Bring a connection up",
     .help = "Returns at once; `show ike` tells what came of it. A connection that is up stays as it is.",
     .example = "initiate branch",
     .result = R"({"connection": "branch", "command": "initiate", "before": "down"})",
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
     .result = R"({"connection": "branch", "command": "terminate", "before": "up"})",
     .arguments = connection_argument,
     .changes = true},

    {.id = CommandId::rekey,
     .path = "rekey",
     .where = Where::answer,
     .summary = "Give a connection new keys",
     .help = "Replaces the child SA, or with --ike the IKE SA. No packet is lost.",
     .example = "rekey branch",
     .result = R"({"connection": "branch", "command": "rekey", "before": "up"})",
     .arguments = connection_argument,
     .options = rekey_options,
     .changes = true},
};

}  // namespace

std::span<const Command> ike_rows() {
  return rows;
}

}  // namespace espgate::cli
