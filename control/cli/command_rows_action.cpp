// The commands that make the daemon do something.
#include "control/cli/command_rows.hpp"

namespace espgate::cli {
namespace {

constexpr Parameter trace_add_arguments[] = {
    {.name = "count",
     .kind = ValueKind::number,
     .value_name = "N",
     .help = "how many packets",
     .required = true,
     .least = 1,
     .most = 1'000},
};
constexpr Parameter trace_add_options[] = {
    {.name = "port",
     .kind = ValueKind::port,
     .value_name = "PORT",
     .help = "only packets that come in by this port"},
};
constexpr Parameter trace_show_options[] = {
    {.name = "follow", .help = "go on with packets as they are traced, until Ctrl-C"},
};

constexpr Parameter capture_options[] = {
    {.name = "port",
     .kind = ValueKind::port,
     .value_name = "PORT",
     .help = "frames received and sent by this port",
     .exclusive = true},
    {.name = "drop",
     .kind = ValueKind::drop,
     .value_name = "REASON",
     .help = "frames dropped for this reason, by number or name",
     .exclusive = true},
    {.name = "count",
     .kind = ValueKind::number,
     .value_name = "N",
     .help = "stop after N frames",
     .least = 1,
     .most = 1'000'000'000},
    {.name = "write",
     .kind = ValueKind::file,
     .value_name = "FILE",
     .help = "write a pcap file; `-` is standard output, for a pipe into tshark or Wireshark",
     .local = true},
};

constexpr Parameter export_options[] = {
    {.name = "ike", .help = "those of the IKE SAs, for Wireshark's table ikev2_decryption_table"},
    {.name = "write",
     .kind = ValueKind::file,
     .value_name = "FILE",
     .help = "a new file for the keys, which only its owner can read",
     .local = true},
};

constexpr Parameter evidence_arguments[] = {
    {.name = "spi",
     .kind = ValueKind::stray_spi,
     .value_name = "SPI",
     .help = "that the packets came with",
     .required = true},
};
constexpr Parameter evidence_options[] = {
    {.name = "write",
     .kind = ValueKind::file,
     .value_name = "FILE",
     .help = "write a pcap file; `-` is standard output, for a pipe into tshark or Wireshark",
     .local = true},
};

constexpr Parameter sa_reserve_arguments[] = {
    {.name = "spi", .kind = ValueKind::spi, .value_name = "SPI", .help = "this SPI; without it any free one"},
};
constexpr Parameter sa_delete_arguments[] = {
    {.name = "spi",
     .kind = ValueKind::spi,
     .value_name = "SPI",
     .help = "an inbound or outbound SPI of ours",
     .required = true},
};

constexpr std::string_view log_levels[] = {"trace", "debug", "info", "warning", "error", "critical"};
constexpr std::string_view log_topics[] = {"ike"};
constexpr Parameter log_level_arguments[] = {
    {.name = "level",
     .kind = ValueKind::choice,
     .value_name = "LEVEL",
     .help = "the least severe lines to log: trace, debug, info, warning, error or critical",
     .required = true,
     .choices = log_levels},
    {.name = "topic",
     .kind = ValueKind::choice,
     .value_name = "TOPIC",
     .help = "ike: only lines about IKE; without it all",
     .choices = log_topics},
};

constexpr Command rows[] = {
    // The counters themselves go on: the handler moves the baseline that `show drops` subtracts.
    {.id = CommandId::clear_drops,
     .path = "clear drops",
     .where = Where::answer,
     .summary = "Start the drop counts over at zero",
     .help =
         "Only what `show drops` and `show drops ipsec` display is affected; the balance of `show workers`\n"
         "and metrics keep counting from the start.",
     .example = "clear drops",
     .result = R"({"cleared": 12, "since": "2025-03-01T12:00:00Z"})",  // cleared: the total until now
     .changes = true},

    // port: null for all ports. armed: packets still to be traced, these included.
    {.id = CommandId::trace_add,
     .path = "trace add",
     .where = Where::answer,
     .summary = "Trace the next packets through every stage",
     .help =
         "The workers note what each stage made of the next N packets; `trace show` displays it. Tracing\n"
         "costs nothing once the packets are taken.",
     .example = "trace add 10 --port outside",
     .result = R"({"armed": 10, "port": "outside"})",
     .arguments = trace_add_arguments,
     .options = trace_add_options,
     .changes = true},

    // One item a packet, oldest first; without "follow" the stream ends after those at hand. cycles is null
    // where a stage was not timed. armed: packets still to come.
    {.id = CommandId::trace_show,
     .path = "trace show",
     .where = Where::stream,
     .summary = "What happened to the traced packets, stage by stage",
     .help = "Arm the trace with `trace add N` first.",
     .example = "trace show --follow",
     .result = R"({"packets": [{"number": 1, "time": "2025-03-01T12:00:00.123456Z", "port": "outside",
                                "worker": 0, "length_bytes": 146, "verdict": "FORWARDED",
                                "stages": [{"stage": "parse", "cycles": 40,
                                            "text": "IPv4 192.0.2.2 > 192.0.2.1, ESP, SPI 0x00001001"}]}],
                   "armed": 0})",
     .items = "packets",
     .options = trace_show_options},

    {.id = CommandId::trace_clear,
     .path = "trace clear",
     .where = Where::answer,
     .summary = "Forget traced packets and stop tracing",
     .help = "Packets asked for by `trace add` and not seen yet are no longer waited for.",
     .example = "trace clear",
     .result = R"({"forgotten": 10})",
     .changes = true},

    // One item a frame. time_ns: since 1970. direction: rx, tx. verdict: null for a frame not dropped.
    // length_bytes: on the wire; data: what was captured of it, from the Ethernet header on, base64.
    // The stream ends after `count` frames, or when the client goes. lost: frames that the client was too
    // slow for (Stream::lost()) or that found a full ring.
    {.id = CommandId::capture,
     .path = "capture",
     .where = Where::stream,
     .summary = "Capture frames of a port, or frames dropped for a reason, as pcap",
     .help =
         "Without --write one line a frame is printed. Ctrl-C ends the capture and leaves a complete file.\n"
         "Dropped frames are shown as they came in; packets that had no Ethernet header, as the pieces of "
         "those\n"
         "that were cut, have one of zeros.\n"
         "A binary stream is never written to a terminal.",
     .example = "capture --drop IN_CD_SW_IPSEC_MAC_EXCEPTION --count 10 --write bad-icv.pcap",
     .result = R"({"frames": [{"time_ns": 1740830400123456789, "port": "outside", "direction": "rx",
                               "verdict": "IN_CD_SW_IPSEC_MAC_EXCEPTION", "length_bytes": 60,
                               "data": "AgAAAAABAgAAAAACCABF"}],
                   "lost": 0})",
     .items = "frames",
     .options = capture_options,
     .needs_exclusive = true,
     .changes = true},

    // One item an SA of the configuration, or with "ike" an IKE SA: then direction is null, and spi the
    // initiator's. ended_s: how long ago it ended; null: it is there. line: its row of Wireshark's table,
    // with its keys in it; null where Wireshark has no word for the suite.
    {.id = CommandId::export_wireshark,
     .path = "export wireshark",
     .where = Where::stream,
     .summary = "Write the keys of all SAs with manual keys, or of IKE, to a file that Wireshark decrypts "
                "captures with",
     .help =
         "Only with debug-keys-export = true in the configuration, and only for root; the log tells who "
         "asked.\n"
         "FILE must not exist yet and is needed. Name it esp_sa in Wireshark's configuration folder, and set "
         "the\n"
         "preference esp.enable_encryption_decode, or read a capture by\n"
         "\n"
         "    WIRESHARK_CONFIG_DIR=FOLDER tshark -o esp.enable_encryption_decode:TRUE -r FILE\n"
         "\n"
         "With --ike, name it ikev2_decryption_table: the IKE SAs that are there now, and, each behind a\n"
         "line that says so, those that ended while debug-keys-export was true: the last 64 that were\n"
         "replaced or closed, and the last 64 that were never up, as with a wrong key. Keys of ESP that IKE\n"
         "negotiated are not kept, and not exported.\n"
         "\n"
         "Left out are suites that Wireshark 4.0 does not know: ChaCha20-Poly1305, AES-CCM and AES-GMAC.\n"
         "Whoever has the file reads all that these keys protect: delete it afterwards.",
     .example = "export wireshark --write esp_sa",
     .result = R"({"sas": [{"connection": "branch", "direction": "in", "spi": "0x00001001",
                            "suite": "aes128-gcm16", "ended_s": 12, "line": ""}],
                   "total": 1})",
     .items = "sas",
     .options = export_options,
     .changes = true},

    // As capture's items: one a packet, oldest first.
    {.id = CommandId::export_evidence,
     .path = "export evidence",
     .where = Where::stream,
     .summary = "The first packets of flows with an invalid SPI, as pcap",
     .help =
         "Of each flow that had a line in the log, the packet that it was for and the next three that were\n"
         "reported, each cut after 256 bytes. They are encrypted, so no setting has to allow it. Kept are\n"
         "the newest 48 flows of peers and 16 of strangers. `show spi` tells the rest. Without --write one\n"
         "line a packet is printed.",
     .example = "export evidence 0xdeadbeef --write strays.pcap",
     .result = R"({"frames": [{"time_ns": 1740830400123456789, "port": "outside", "direction": "rx",
                               "verdict": null, "length_bytes": 146, "data": "AgAAAAABAgAAAAACCABF"}],
                   "total": 1})",
     .items = "frames",
     .arguments = evidence_arguments,
     .options = evidence_options},

    {.id = CommandId::sa_reserve,
     .path = "sa reserve",
     .where = Where::answer,
     .summary = "Allocate an inbound SPI without an SA (larval)",
     .help =
         "Packets with it are counted as early (IN_SA_LARVAL), not as unknown. `sa delete` gives it back.",
     .example = "sa reserve 0x3001",
     .result = R"({"spi": "0x00003001", "state": "larval"})",
     .arguments = sa_reserve_arguments,
     .changes = true},

    {.id = CommandId::sa_delete,
     .path = "sa delete",
     .where = Where::answer,
     .summary = "Delete an SA",
     .help = "An inbound SPI stays known as retired for limits.tombstone-seconds, so that late packets are\n"
             "recognised. A reload brings back what the configuration file still lists, with what is left of "
             "its\n"
             "lifetime. One that IKE negotiated is deleted at the peer, too, with the other direction's, and "
             "another\n"
             "is made if the connection is kept up.",
     .example = "sa delete 0x1001",
     .result = R"({"spi": "0x00001001", "direction": "in", "connection": "branch", "state": "retired"})",
     .arguments = sa_delete_arguments,
     .changes = true},

    // topic: null for all lines. before: the level until now.
    {.id = CommandId::log_level,
     .path = "log level",
     .where = Where::answer,
     .summary = "Log more, or less, until the daemon ends",
     .help = "The configuration's log-level is what a start begins with. `log level debug ike` shows each "
             "message\n"
             "and each step of negotiations, and nothing else more than before. Of more than 500 of them a "
             "second,\n"
             "as in a flood, it shows the number.",
     .example = "log level debug ike",
     .result = R"({"level": "debug", "topic": "ike", "before": "info"})",
     .arguments = log_level_arguments,
     .changes = true},

    // One row of changes a kind: connections, routes, policies, thresholds, tunnels, ike (those that
    // negotiate),
    // on-invalid-spi (with hook-user), debug-keys-export. restart_needed: settings that differ in the file
    // and
    // take effect at the next start only.
    {.id = CommandId::reload,
     .path = "reload",
     .where = Where::answer,
     .summary = "Read the configuration file again and apply what changed",
     .help = "The file is checked as `espgated --check` does; with an error in it nothing changes. SAs that\n"
             "did not change keep their sequence numbers and replay windows. Connections whose ike group or\n"
             "what is negotiated by it changed are negotiated anew; the others keep their SAs.",
     .example = "reload",
     .result = R"({"configuration": "/etc/espgate/espgate.conf",
                   "changes": [{"what": "connections", "added": 1, "removed": 0, "changed": 0, "kept": 3}],
                   "restart_needed": ["worker-cpus"]})",
     .changes = true},
};

}  // namespace

std::span<const Command> action_rows() {
  return rows;
}

}  // namespace espgate::cli
