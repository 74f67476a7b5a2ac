// Shell completion: the scripts are a few lines that call `espgatectl complete`, so that what they offer is
// always this program's command table, with names from the running daemon.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/cli/command.hpp"

namespace espgate::cli {

struct Candidate {
  std::string word;
  std::string description;
};

// Names of a kind that only the daemon knows (ports, connections, SPIs); `socket` as typed, or "".
using Names = std::function<std::vector<std::string>(ValueKind kind, const std::string& socket)>;

// How the last of `words` may go on. The words before it may be abbreviated; nothing is offered behind
// words that make no sense. File names are left to the shell: nothing is offered either.
std::vector<Candidate> complete(std::span<const std::string> words, const Names& names);

// `shell`: "bash" or "zsh".
std::string completion_script(std::string_view shell);

}  // namespace espgate::cli
