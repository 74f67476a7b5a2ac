// What was typed, as a command with its arguments.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "control/cli/command.hpp"
#include "datapath/base/expected.hpp"

namespace espgate::cli {

struct Invocation {
  enum class Kind : std::uint8_t { run, help, version };

  Kind kind = Kind::run;
  std::string socket;  // "" when --socket was not given
  bool json = false;
  bool no_color = false;
  const Command* command = nullptr;                     // null only for help on several commands
  std::vector<std::string> words;                       // the command words that were recognised, in full
  nlohmann::json arguments = nlohmann::json::object();  // as check_arguments() returns them
};

// `words` is argv without the program's name. Command words and options may be abbreviated as long as
// they are unambiguous; a word that is complete wins over longer ones. Errors are errors of usage.
Expected<Invocation> parse(std::span<const std::string> words);

// Whether the words ask for --json, even when they cannot be parsed.
bool wants_json(std::span<const std::string> words);

// The words that may follow `path` (full command words), without those of hidden commands; sorted.
std::vector<std::string_view> next_words(std::span<const std::string> path);
// The word among `choices` that `typed` is or abbreviates; "" when there is none or more than one.
std::string_view match_word(std::string_view typed, std::span<const std::string_view> choices);
// The commands whose path begins with these words and that are not hidden.
std::vector<const Command*> commands_under(std::span<const std::string> path);

}  // namespace espgate::cli
