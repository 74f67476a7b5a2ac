// The commands that espgatectl answers by itself.
#include "control/cli/command_rows.hpp"

namespace espgate::cli {
namespace {

constexpr std::string_view shells[] = {"bash", "zsh"};
constexpr Parameter completion_arguments[] = {
    {.name = "shell",
     .kind = ValueKind::choice,
     .value_name = "bash|zsh",
     .help = "for which shell",
     .required = true,
     .choices = shells},
};
constexpr Parameter complete_arguments[] = {
    {.name = "words",
     .kind = ValueKind::words,
     .value_name = "WORD...",
     .help = "the command line so far; the last word is the one to complete"},
};

constexpr Command rows[] = {
    {.id = CommandId::completion,
     .path = "completion",
     .where = Where::client,
     .summary = "Print the completion script for a shell",
     .help = "For one session: `source <(espgatectl completion bash)`. Packages install it for all users.",
     .example = "completion bash",
     .result = R"({"script": "complete -F _espgatectl espgatectl"})",
     .arguments = completion_arguments},

    {.id = CommandId::complete,
     .path = "complete",
     .where = Where::client,
     .summary = "Print how the last word of a command line may go on",
     .help = "The completion scripts call it; each line is a word, a tab and its description.",
     .example = "complete show dr",
     .result = R"({"words": [{"word": "drops", "description": "Dropped packets by group"}]})",
     .arguments = complete_arguments,
     .hidden = true},

    {.id = CommandId::manual,
     .path = "manual",
     .where = Where::client,
     .summary = "Print the man page espgatectl(8)",
     .help = "docs/man/espgatectl.8 is its output.",
     .example = "manual",
     .result = R"({"page": ".TH ESPGATECTL 8"})",
     .hidden = true},
};

}  // namespace

std::span<const Command> client_rows() {
  return rows;
}

}  // namespace espgate::cli
