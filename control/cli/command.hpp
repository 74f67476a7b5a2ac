// Everything an operator can see or do, one row each. The socket protocol, `--help`, the completion, the
// man page and the renderers are made from this table; the daemon registers one handler a row.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace espgate::cli {

enum class CommandId : std::uint8_t {
  show_drops,
  show_drops_ipsec,
  show_drops_history,
  show_thresholds,
  show_events,
  monitor,
  show_sa,
  show_connections,
  show_spi,
  show_invalid_spi,
  show_ports,
  show_workers,
  show_routes,
  show_tunnels,
  show_ike,
  show_proposals,
  show_policies,
  show_policy_match,
  show_status,
  show_version,
  explain,
  diagnose,
  clear_drops,
  trace_add,
  trace_show,
  trace_clear,
  capture,
  export_wireshark,
  export_evidence,
  sa_reserve,
  sa_delete,
  initiate,
  terminate,
  rekey,
  policy_add,
  policy_delete,
  log_level,
  reload,
  completion,
  complete,
  manual,
};
inline constexpr std::size_t command_count = 41;

// What a parameter's value is: how it is checked, how it is completed, and its JSON type.
enum class ValueKind : std::uint8_t {
  flag,        // given or not: true
  number,      // integer within [least, most]
  spi,         // "0x1001" or "4097": integer 1..2^32-1; completion offers those of SAs
  stray_spi,   // the same; of packets that no SA was for
  any_spi,     // the same; of either
  port,        // name of a configured port: string
  connection,  // name of a connection: string
  drop,        // number or name of a drop reason: string, its name as in the verdict table
  address,     // of a host, IPv4 or IPv6: string
  protocol,    // name or number of an IP protocol: string
  file,        // path, or "-": string
  choice,      // one of the parameter's choices: string
  text,        // what the daemon makes of it: string
  words,       // all that follows, as it is: array of strings
};

struct Parameter {
  std::string_view name;  // the key among the JSON arguments; an option is typed as --name
  ValueKind kind = ValueKind::flag;
  std::string_view value_name{};  // what stands for the value in usage lines: "SPI"
  std::string_view help{};
  bool required = false;    // positional arguments only
  bool many = false;        // as well, the last one: any number, an array
  bool exclusive = false;   // at most one of a command's exclusive options may be given
  bool local = false;       // concerns the client alone; never sent to the daemon
  std::uint64_t least = 0;  // numbers only
  std::uint64_t most = 0;
  std::span<const std::string_view> choices{};
};

enum class Where : std::uint8_t {
  answer,  // the daemon answers once
  stream,  // the daemon sends items, then a result
  client,  // espgatectl answers by itself
};

struct Command {
  CommandId id;
  std::string_view path;  // "show drops ipsec"
  Where where;
  std::string_view summary;  // one line, no full stop
  std::string_view help;     // paragraphs
  std::string_view example;  // what one types after `espgatectl`
  // A result as the handler returns it (`answer`), or {"<items>": [an item], and the keys of the closing
  // result} (`stream`). It fixes the shape: every key is always there and of this type, or null when
  // unknown or not applicable. matches_shape() checks it.
  std::string_view result;
  std::string_view items{};  // streams: the key under which `--json` collects the items
  std::span<const Parameter> arguments{};
  std::span<const Parameter> options{};
  bool needs_exclusive = false;  // one of the exclusive options must be given
  bool changes = false;          // does something to the daemon: worth a log line
  bool hidden = false;           // not in help, completion or man page
};

// All rows, in CommandId order.
std::span<const Command> commands();
const Command& command(CommandId id);
// By its full path ("show drops"); nullptr when there is none.
const Command* find_command(std::string_view path);
// "show drops ipsec" -> {"show", "drops", "ipsec"}
std::vector<std::string_view> path_words(const Command& command);
// The parameter of that name, argument or option; nullptr when there is none.
const Parameter* find_parameter(const Command& command, std::string_view name);
// "show sa [--spi SPI | --connection NAME]"
std::string usage(const Command& command);

// Global options, typed before, between or after a command's words.
inline constexpr Parameter global_options[] = {
    {.name = "socket",
     .kind = ValueKind::file,
     .value_name = "PATH",
     .help = "the daemon's socket; default: $ESPGATE_SOCKET, then /run/espgate/espgate.sock"},
    {.name = "json", .help = "print one JSON document, errors included"},
    {.name = "no-color", .help = "no colors, even on a terminal ($NO_COLOR does the same)"},
    {.name = "help", .help = "what a command does and takes; alone: all commands"},
    {.name = "version", .help = "the version of espgatectl itself"},
};
inline constexpr std::string_view default_socket = "/run/espgate/espgate.sock";

}  // namespace espgate::cli
