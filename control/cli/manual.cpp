#include "control/cli/manual.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "control/cli/command.hpp"

namespace espgate::cli {
namespace {

constexpr std::string_view head = R"(.\" Printed by `espgatectl manual` from the command table; edit that.
.TH ESPGATECTL 8 "" "espgate" "System Administration"
.SH NAME
espgatectl \- show and steer the ESP security gateway espgated
.SH SYNOPSIS
.B espgatectl
.RB [ \-\-socket
.IR PATH ]
.RB [ \-\-json ]
.IR COMMAND ...
.SH DESCRIPTION
.B espgatectl
sends one command to a running
.BR espgated (8)
over its Unix socket and prints the answer.
Command words and options may be abbreviated as long as they are unambiguous:
.B espgatectl sh dr ip
is
.BR "espgatectl show drops ipsec" .
.B \-\-help
behind any words explains the commands that begin with them.
)";

constexpr std::string_view tail = R"(.SH JSON
With
.B \-\-json
standard output is always exactly one JSON document, also when the command fails:
.PP
.EX
{"error": {"message": "what is wrong", "remedy": "what to do"}}
.EE
.PP
SPIs are strings of eight hexadecimal digits, times are RFC 3339 in UTC, and a key whose value is unknown
or does not apply is null.
Commands that send items one by one print them inside their array as they come; when such a command
fails half-way, the document has the key
.B error
besides the items.
.SH EXIT STATUS
.TP
.B 0
The command did what it should. A capture or a trace that was ended with Ctrl-C did, too.
.TP
.B 1
It failed: espgated is not running, answered with an error (a thing named does not exist, for one), or the
output could not be written.
.TP
.B 2
Wrong usage: an unknown command or option, a malformed or missing argument.
.SH ENVIRONMENT
.TP
.B ESPGATE_SOCKET
The socket to use when
.B \-\-socket
is not given.
.TP
.B NO_COLOR
When not empty, no colors.
.SH FILES
.TP
.I /run/espgate/espgate.sock
The daemon's socket; mode 0600, so only root may use it.
.SH SEE ALSO
.BR espgated (8),
.BR tshark (1)
)";

// Plain text as roff: `word` becomes bold, and nothing of it is taken for a request.
std::string roff(std::string_view text) {
  std::string out;
  bool bold = false;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '`') {
      out += bold ? "\\fR" : "\\fB";
      bold = !bold;
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\\') {
      out += "\\e";
    } else {
      out += c;
    }
  }
  return out;
}

std::string example(std::string_view text) {
  return ".PP\n.EX\n" + roff(text) + "\n.EE\n";
}

std::string parameter_text(const Parameter& parameter, bool option) {
  std::string name = option ? fmt::format("\\fB\\-\\-{}\\fR", roff(parameter.name)) : "";
  if (parameter.kind != ValueKind::flag) {
    name += fmt::format("{}\\fI{}\\fR", option ? " " : "", roff(parameter.value_name));
  }
  return fmt::format(".TP\n{}\n{}.\n", name, roff(parameter.help));
}

std::string command_text(const Command& command) {
  std::string text =
      fmt::format(".SS {}\n{}.\n{}\n", roff(usage(command)), roff(command.summary), roff(command.help));
  for (const auto& argument : command.arguments) text += parameter_text(argument, false);
  for (const auto& option : command.options) text += parameter_text(option, true);
  text += ".PP\nExample:\n" + example(fmt::format("espgatectl {}", command.example));
  if (command.where == Where::client) return text;
  return text + ".PP\nWith \\fB\\-\\-json\\fR:\n" +
         example(nlohmann::ordered_json::parse(command.result).dump(2));
}

}  // namespace

std::string manual_page() {
  std::string text{head};
  text += ".SH OPTIONS\n";
  for (const auto& option : global_options) text += parameter_text(option, true);
  text += ".SH COMMANDS\n";
  for (const auto& entry : commands()) {
    if (!entry.hidden) text += command_text(entry);
  }
  return text + std::string(tail);
}

}  // namespace espgate::cli
