// The commands that look. Conventions of all results: an SPI is a string of "0x" and eight hex digits
// (spi_text()); a time is RFC 3339 in UTC (time_text()); counts are integers; what is unknown or does not
// apply is null, never left out.
#include "control/cli/command_rows.hpp"
#include "control/cli/event_kind.hpp"

namespace espgate::cli {
namespace {

constexpr Parameter drops_options[] = {
    {.name = "nonzero", .help = "only what has dropped something"},
};

constexpr Parameter drops_ipsec_options[] = {
    {.name = "nonzero", .help = "only reasons that have dropped something"},
    {.name = "all", .help = "also the reasons outside the IPsec groups"},
    {.name = "explain", .help = "say what each reason means and what to do about it", .local = true},
};

constexpr Parameter drops_history_options[] = {
    {.name = "nonzero", .help = "only reasons that have dropped something in the last half hour"},
};

constexpr Parameter events_options[] = {
    {.name = "follow", .help = "go on with events as they happen, until Ctrl-C"},
};

constexpr Parameter monitor_arguments[] = {
    {.name = "kinds",
     .kind = ValueKind::choice,
     .value_name = "KIND...",
     .help = "only events of these kinds, such as invalid-spi or connection-down; without any, all",
     .many = true,
     .choices = event_kind_names},
};
constexpr Parameter monitor_options[] = {
    {.name = "since-start", .help = "first the events at hand, as `show events` has them"},
};

// One item an event. event: one of EventKind. flow: of an invalid-spi event, else null; evidence: the number
// of what is kept of it. forgotten: events that had to make room.
constexpr std::string_view events_result =
    R"({"events": [{"number": 1, "time": "2025-03-01T12:00:00.123Z", "event": "threshold-crossed",
                    "subject": "IN_CD_SW_IPSEC_MAC_EXCEPTION",
                    "text": "140 packets in the last minute, the threshold is 100",
                    "flow": {"source": "192.0.2.2", "destination": "192.0.2.1", "spi": "0xdeadbeef",
                             "class": "before restart", "repair": "an IKE SA with the peer was begun",
                             "connection": "branch", "evidence": 17}}],
        "forgotten": 0})";

constexpr Parameter sa_options[] = {
    {.name = "spi",
     .kind = ValueKind::spi,
     .value_name = "SPI",
     .help = "the SA with this SPI, in detail",
     .exclusive = true},
    {.name = "connection",
     .kind = ValueKind::connection,
     .value_name = "NAME",
     .help = "the SAs of this connection, in detail",
     .exclusive = true},
};

constexpr Parameter spi_arguments[] = {
    {.name = "spi",
     .kind = ValueKind::any_spi,
     .value_name = "SPI",
     .help = "hexadecimal (0x1001) or decimal (4097)",
     .required = true},
};

constexpr Parameter invalid_spi_options[] = {
    {.name = "connection",
     .kind = ValueKind::connection,
     .value_name = "NAME",
     .help = "the flows of this connection and of its peer"},
    {.name = "top",
     .kind = ValueKind::number,
     .value_name = "N",
     .help = "the N flows with the most packets, those first",
     .least = 1,
     .most = 4'096},
};

constexpr Command rows[] = {
    // groups: all of DropGroup, or with --nonzero those above 0; drops_by_group() makes it. `since`: the
    // daemon's start or the last `clear drops`.
    {.id = CommandId::show_drops,
     .path = "show drops",
     .where = Where::answer,
     .summary = "Dropped packets by group",
     .help =
         "Every dropped packet has one reason and every reason belongs to one group. The IPsec groups are\n"
         "named as on Cisco's QFP; `show drops ipsec` breaks them down by reason.",
     .example = "show drops --nonzero",
     .result = R"({"groups": [{"group": "IpsecInput", "packets": 3}],
                   "total": 3, "since": "2025-03-01T12:00:00Z"})",
     .options = drops_options},

    // reasons: in the order of their numbers; the IPsec groups, or with "all" every group;
    // drops_by_reason() makes it.
    {.id = CommandId::show_drops_ipsec,
     .path = "show drops ipsec",
     .where = Where::answer,
     .summary = "Dropped packets by numbered reason",
     .help = "Numbers below 200 and their names are those of Cisco's QFP drop list. The number or the name\n"
             "selects packets for `capture --drop`.",
     .example = "show drops ipsec --nonzero --explain",
     .result = R"({"reasons": [{"number": 62, "name": "IN_CD_SW_IPSEC_MAC_EXCEPTION", "group": "IpsecInput",
                                "packets": 3, "meaning": "ICV wrong",
                                "action": "keys differ between the peers, or packets are damaged or forged"}],
                   "total": 3, "since": "2025-03-01T12:00:00Z"})",
     .options = drops_ipsec_options},

    // reasons: every drop reason, in the order of their numbers. totals: what ports took and sent (bytes as
    // the
    // drivers count them), all drops. covered_s: how far each column reaches back, less soon after the start.
    {.id = CommandId::show_drops_history,
     .path = "show drops history",
     .where = Where::answer,
     .summary = "What was dropped, taken in and sent in the last 1, 5 and 30 minutes",
     .help = "Sampled once a second. `clear drops` does not change it.",
     .example = "show drops history --nonzero",
     .result = R"({"reasons": [{"number": 62, "name": "IN_CD_SW_IPSEC_MAC_EXCEPTION", "group": "IpsecInput",
                                "last_1_min": 3, "last_5_min": 3, "last_30_min": 40}],
                   "totals": [{"name": "rx_packets", "last_1_min": 60000, "last_5_min": 300000,
                               "last_30_min": 1800000}],
                   "covered_s": {"last_1_min": 60, "last_5_min": 300, "last_30_min": 1800}})",
     .options = drops_history_options},

    // name: a drop reason, or a group of them (number is null). crossed since `since`, else that is null.
    {
        .id = CommandId::show_thresholds,
        .path = "show thresholds",
        .where = Where::answer,
        .summary = "Warning thresholds for drops, and which are crossed",
        .help = "They are set by `thresholds` in the configuration file. One that is crossed warns once; it "
                "is over "
                "when\nthe last minute has had less than half of it.",
        .example = "show thresholds",
        .result = R"({"thresholds": [{"name": "IN_CD_SW_IPSEC_MAC_EXCEPTION", "number": 62, "per_minute": 100,
                                   "last_minute": 140, "crossed": true, "since": "2025-03-01T12:00:00Z",
                                   "line": 20}]})",
    },

    // Oldest first; without "follow" the stream ends after those at hand.
    {.id = CommandId::show_events,
     .path = "show events",
     .where = Where::stream,
     .summary = "What happened: invalid SPIs, connections, lifetimes, thresholds, ports, reloads",
     .help = "The last 1024 events are kept, until the daemon ends; the log has them too.",
     .example = "show events --follow",
     .result = events_result,
     .items = "events",
     .options = events_options},

    // Never ends by itself.
    {.id = CommandId::monitor,
     .path = "monitor",
     .where = Where::stream,
     .summary = "Events as they happen, one JSON document a line",
     .help =
         "For programs that wait for something: it begins now, unless told otherwise, and goes on until\n"
         "Ctrl-C or until the daemon ends, which is an error. A gap in the numbers, where\n"
         "no KIND is named, tells what a slow reader missed. An invalid-spi event is the first line of a\n"
         "flow; `export evidence` has its packets. A connection-failed event is an attempt to bring a\n"
         "connection up, or a peer or a child of it, that came to nothing; its text is why, as in `show\n"
         "connections`. The same again is not told again.",
     .example = "monitor invalid-spi connection-down",
     .result = events_result,
     .items = "events",
     .arguments = monitor_arguments,
     .options = monitor_options},

    // One item an SA, inbound and outbound apart; state: larval, active, lingering, expired, retired. Larval
    // SAs and tombstones are listed too. Ports are null unless encapsulation is "udp"; window_packets is null
    // outbound; sequence: highest accepted, or last sent. faults: drop reasons, those above 0. last: when the
    // last good packet passed. lifetime: null if the SA has none; its limits are null where there is none;
    // packets, bytes and seconds are what is used. rekey_in_s: of inbound SAs that IKE replaces by then, else
    // null. --spi or --connection that finds nothing is an error.
    {.id = CommandId::show_sa,
     .path = "show sa",
     .where = Where::stream,
     .summary = "Security associations, their state and what passed through them",
     .help =
         "Without options one line an SA, by connection; with --spi or --connection everything that is known "
         "of it:\n"
         "selectors, lifetime, and what was dropped by reason. Naming an SA that does not exist is an error.",
     .example = "show sa --connection branch",
     .result = R"({"sas": [{"connection": "branch", "direction": "in", "spi": "0x00001001", "state": "active",
                            "suite": "aes128-gcm16", "local": "192.0.2.1", "remote": "192.0.2.2",
                            "encapsulation": "udp", "local_port": 4500, "remote_port": 4500, "esn": false,
                            "window_packets": 1024, "path_mtu": 1500, "sequence": 812,
                            "selectors": [{"source": "10.2.0.0/24", "destination": "10.1.0.0/24", "protocol": "tcp",
                                           "source_ports": "443", "destination_ports": "1024-65535",
                                           "icmp_type": "8"}],
                            "packets": 800, "bytes": 67200,
                            "last": "2025-03-01T12:30:00Z",
                            "faults": [{"number": 62, "name": "IN_CD_SW_IPSEC_MAC_EXCEPTION", "packets": 1}],
                            "lifetime": {"packets": 800, "bytes": 67200, "seconds": 1800,
                                         "soft_packets": 90000, "hard_packets": 100000,
                                         "soft_bytes": 60000000, "hard_bytes": 64000000,
                                         "soft_seconds": 3000, "hard_seconds": 3600},
                            "rekey_in_s": 2700, "since": "2025-03-01T12:00:00Z"}],
                   "total": 1})",
     .items = "sas",
     .options = sa_options},

    // One item a connection, by name. keys: "manual" or "ike". state: "up", "connecting", "closing", "down";
    // reason: why it is not up, or what is amiss if it is. in, out: of all its SAs since the start, those
    // that are gone included; SPIs are null where there is no SA now.
    {.id = CommandId::show_connections,
     .path = "show connections",
     .where = Where::stream,
     .summary = "Connections: which are up, why others are not, and what passed and was dropped",
     .help =
         "The counts go on over every rekey and reload. `show sa --connection NAME` tells of its SAs one by "
         "one,\n`explain NAME` why it is not up.",
     .example = "show connections",
     .result = R"({"connections": [{"connection": "branch", "keys": "ike", "state": "up",
                                    "reason": "its keys were not replaced: the peer refused it",
                                    "local": "192.0.2.1", "remote": "192.0.2.2",
                                    "inbound_spi": "0x00001001", "outbound_spi": "0x00002001", "line": 12,
                                    "in": {"packets": 800, "bytes": 67200, "last": "2025-03-01T12:30:00Z",
                                           "faults": [{"number": 62, "name": "IN_CD_SW_IPSEC_MAC_EXCEPTION",
                                                       "packets": 1}]},
                                    "out": {"packets": 750, "bytes": 61000, "last": "2025-03-01T12:30:00Z",
                                            "faults": [{"number": 44, "name": "OUT_CD_SW_IPSEC_HARD_EXPIRY",
                                                        "packets": 1}]}}],
                   "total": 1})",
     .items = "connections"},

    // state: larval, active, expired, retired, unknown. An SPI nobody has ever had is an answer, not an
    // error.
    // explanation: the state in a sentence. packets to faults: of the SAs with this SPI that are still there,
    // null
    // without one. events: oldest first. replaced_by: the SPI a rekey put in place. evidence: of the
    // newest flows with it that had a line, oldest first; packets: how many `export evidence` has. ike: what
    // IKE did with that peer, oldest first. file: where it is on disk, without .pcap or .json.
    {.id = CommandId::show_spi,
     .path = "show spi",
     .where = Where::answer,
     .summary = "The life story of one SPI",
     .help =
         "What the SPI is now, whose it is or was, and what happened to it: allocated, installed, replaced\n"
         "by a rekey, deleted, packets that came too early or too late; of the newest flows of those, what\n"
         "IKE did with the peer around that time. `export evidence` has the packets.",
     .example = "show spi 0x1001",
     .result = R"({"spi": "0x00001001", "state": "retired", "direction": "in", "connection": "branch",
                   "local": "192.0.2.1", "remote": "192.0.2.2", "replaced_by": "0x00001002",
                   "explanation": "replaced by a rekey 12 s ago", "invalid_packets": 4,
                   "packets": 800, "bytes": 67200, "last": "2025-03-01T12:00:00Z",
                   "faults": [{"number": 62, "name": "IN_CD_SW_IPSEC_MAC_EXCEPTION", "packets": 1}],
                   "events": [{"time": "2025-03-01T12:00:00Z", "event": "installed",
                               "detail": "from the configuration"}],
                   "evidence": [{"number": 17, "time": "2025-03-01T12:00:00.123Z", "source": "192.0.2.2",
                                 "destination": "192.0.2.1", "spi": "0x00001001", "class": "just rekeyed",
                                 "repair": "the peer was told", "connection": "branch", "port": "outside",
                                 "packets": 4, "file": "/var/lib/espgate/invalid-spi/17",
                                 "ike": [{"time": "2025-03-01T11:59:00.123Z", "last": "2025-03-01T11:59:00.456Z",
                                          "event": "SA made",
                                          "detail": "SPIs 0x00001002 in, 0x00002002 out"}]}]})",
     .arguments = spi_arguments},

    // One item a flow. protocol: 50 (ESP) or 17 (UDP-encapsulated; else the ports are null). connection: that
    // the SPI belongs or belonged to, or else the sender. class: one of recovery::Class; explanation: what to
    // do about it; repair: what espgate did about it last, or why not, one of recovery::Repair. packets:
    // those
    // sampled. logged: whether a log line told of the flow. found: flows that were asked for, of which at
    // most
    // 4096 are shown; evicted: flows that had to make room; unsampled: packets that the workers did not
    // report,
    // by their limits. classes, repairs: of all packets that were sampled since the start.
    {.id = CommandId::show_invalid_spi,
     .path = "show invalid-spi",
     .where = Where::stream,
     .summary = "ESP flows whose SPI led to no active SA, and why",
     .help =
         "Each flow is classified: the SA is still being set up (larval), was just rekeyed, deleted, has\n"
         "expired, was of an espgated before this one (before restart), or the SPI was never issued here, to "
         "a\n"
         "known peer or to a stranger; a flood of those is named so. `show spi` tells more of one SPI. What\n"
         "peers with IKE send that has no SA any more is repaired: see invalid-spi-recovery in\n"
         "espgate.conf(5). The flow that was seen last comes first, those of a flood behind all others.",
     .example = "show invalid-spi --connection branch",
     .result = R"({"flows": [{"source": "192.0.2.2", "destination": "192.0.2.1", "spi": "0xdeadbeef",
                              "protocol": 17, "source_port": 4500, "destination_port": 4500, "port": "outside",
                              "connection": "branch", "class": "never issued", "explanation": "compare the SPIs of both sides",
                              "repair": "the peer was told", "packets": 12, "first": "2025-03-01T12:00:00Z", "last": "2025-03-01T12:00:09Z",
                              "logged": true}],
                   "found": 1, "limit": 4096, "evicted": 0, "unsampled": 0,
                   "classes": [{"class": "never issued", "packets": 12}],
                   "repairs": [{"repair": "the peer was told", "packets": 12}]})",
     .items = "flows",
     .options = invalid_spi_options},

    // link: up, down, gone; link_changes: how often since the start. twin: the TAP device in the kernel;
    // twin_gone: somebody removed it. offloads: those in use.
    {.id = CommandId::show_ports,
     .path = "show ports",
     .where = Where::answer,
     .summary = "Ports: link, counters, offloads",
     .help =
         "`missed` counts frames the NIC dropped because the workers did not take them in time. A port or a\n"
         "twin that is gone comes back with a restart of espgated.",
     .example = "show ports",
     .result = R"({"ports": [{"name": "outside", "device": "0000:3b:00.0", "driver": "net_ice", "link": "up",
                              "speed_mbps": 25000, "mac": "02:00:00:00:00:01", "mtu": 1500, "vlan": 0,
                              "service_vlan": 0, "ipsec": true, "twin": "outside", "twin_gone": false, "link_changes": 0,
                              "addresses": ["192.0.2.1/24"],
                              "rx": {"packets": 812, "bytes": 97440, "errors": 0, "missed": 0, "no_buffer": 0},
                              "tx": {"packets": 790, "bytes": 94800, "errors": 0},
                              "offloads": ["rx-ipv4-checksum"]}]})"},

    // packets: taken in. busy_cycles, idle_cycles: of rounds with packets and of those without, sleep
    // included,
    // since the start. idle_share: 0..1, part of the cycles without packets. cycles_per_packet: in stage
    // order. burst_histogram: polls that returned from..to packets. reassembling: packets whose fragments
    // wait for others. notices_lost: senders to be told, peers' moves, neighbours wanted and lifetimes
    // reached that the control core was not told of for want of room; the next packet tells again.
    // conservation: received + from_host + made =
    // tx + host + control + consumed + drops, read at a loop boundary; `control` is the control core's own.
    {.id = CommandId::show_workers,
     .path = "show workers",
     .where = Where::answer,
     .summary = "Workers: cycles a packet by stage, burst sizes, idle share",
     .help =
         "The balance line adds up what each worker took in and what became of it; the two sides must be\n"
         "equal. A worker whose idle share is near 0 and whose bursts are full is at its limit.\n"
         "Of the control core's loop: how long the rounds lasted in which it had something to do, since the\n"
         "start. Its work is how long its thread had a CPU in a round; the rest it waited. Of its tasks the\n"
         "five that took most time, and those with long rounds: these worked for over a millisecond, and\n"
         "are of the task whose call was the longest.",
     .example = "show workers",
     .result = R"({"workers": [{"worker": 0, "cpu": 1, "packets": 1602, "busy_cycles": 3000000,
                                "idle_cycles": 97000000, "idle_share": 0.97,
                                "cycles_per_packet": [{"stage": "parse", "cycles": 21.5}],
                                "burst_histogram": [{"from": 1, "to": 1, "bursts": 12}],
                                "reassembling": 1, "notices_lost": 0,
                                "conservation": {"received": 1600, "from_host": 2, "made": 0, "tx": 1590, "host": 4,
                                                 "control": 0, "consumed": 1, "drops": 7, "holds": true}}],
                   "control": {"cpu": 0,
                               "conservation": {"received": 0, "from_host": 2, "made": 0, "tx": 0, "host": 0, "control": 0,
                                                "consumed": 0, "drops": 0, "holds": true},
                               "loop": {"rounds": 5000, "half_us": 8, "p99_us": 80, "longest_us": 610,
                                        "histogram": [{"from_us": 8, "to_us": 10, "rounds": 4000}],
                                        "work": {"half_us": 7, "p99_us": 64, "longest_us": 420,
                                                 "histogram": [{"from_us": 6, "to_us": 7, "rounds": 4000}]},
                                        "tasks": [{"task": "commands", "calls": 40, "total_us": 9000, "longest_us": 600,
                                                   "long_rounds": 0}]}},
                   "tsc_hz": 2100000000})"},

    {.id = CommandId::show_status,
     .path = "show status",
     .where = Where::answer,
     .summary = "The daemon at a glance: uptime, configuration, use of its limits",
     .help = "Each `n of m` names a limit of the configuration and how much of it is in use.",
     .example = "show status",
     .result = R"({"version": "0.1.0", "pid": 4711, "started": "2025-03-01T12:00:00Z", "uptime_s": 3600,
                   "configuration": "/etc/espgate/espgate.conf", "socket": "/run/espgate/espgate.sock",
                   "crypto_engine": "ipsec-mb", "crypto_implementation": "AVX512 VAES", "hugepages": true,
                   "workers": 1, "ports": {"up": 2, "total": 2},
                   "inbound_sas": {"active": 1, "larval": 0, "retired": 0, "limit": 10000},
                   "outbound_sas": {"active": 1, "larval": 0, "retired": 0, "limit": 10000},
                   "ike_sas": {"in_use": 1, "limit": 20000}, "ike_half_open": {"in_use": 0, "limit": 5000},
                   "buffers": {"in_use": 300, "limit": 16384}, "routes": {"in_use": 4, "limit": 16384},
                   "policies": {"in_use": 1, "limit": 16384}, "tunnels": {"in_use": 1, "limit": 256},
                   "neighbours": {"in_use": 2, "limit": 4096}})"},

    {.id = CommandId::show_version,
     .path = "show version",
     .where = Where::answer,
     .summary = "Versions of the running daemon and of what it stands on",
     .help = "`espgatectl --version` is the client's own.",
     .example = "show version",
     .result = R"({"version": "0.1.0", "dpdk": "22.11.11", "crypto_engine": "ipsec-mb",
                   "crypto_implementation": "AVX512 VAES", "crypto_library": "IPsec-MB 1.3.0"})"},
};

}  // namespace

std::span<const Command> show_rows() {
  return rows;
}

}  // namespace espgate::cli
