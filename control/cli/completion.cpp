#include "control/cli/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "control/cli/parse.hpp"
#include "datapath/verdict/verdict.hpp"

namespace espgate::cli {
namespace {

constexpr std::string_view bash_script =
    R"(# bash completion for espgatectl, as `espgatectl completion bash` prints it.
_espgatectl() {
  local word program=${COMP_WORDS[0]/#\~/$HOME}
  COMPREPLY=()
  while IFS=$'\t' read -r word _; do
    COMPREPLY+=("$word")
  done < <("$program" complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _espgatectl espgatectl
)";

constexpr std::string_view zsh_script = R"(#compdef espgatectl
# zsh completion for espgatectl, as `espgatectl completion zsh` prints it.
_espgatectl() {
  local word description
  local -a candidates
  while IFS=$'\t' read -r word description; do
    candidates+=("${word//:/\\:}:$description")
  done < <("${words[1]/#\~/$HOME}" complete "${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( ${#candidates} )); then
    _describe 'espgatectl' candidates
  else
    _files
  fi
}
if [[ ${funcstack[1]} == _espgatectl ]]; then
  _espgatectl "$@"
else
  compdef _espgatectl espgatectl
fi
)";

// What the words before the one to complete amount to.
class Line {
 public:
  explicit Line(std::span<const std::string> words) {
    for (const auto& word : words) take(word);
  }

  std::vector<Candidate> candidates(const std::string& last, const Names& names) const {
    std::vector<Candidate> found;
    if (lost_) return found;
    if (value_of_ != nullptr) {
      add_values(found, *value_of_, names);
    } else if (last.starts_with('-')) {
      add_options(found);
    } else {
      if (path_open_) add_words(found);
      if (const auto* argument = next_argument()) add_values(found, *argument, names);
      if (found.empty() && command_ != nullptr) add_options(found);
    }
    std::erase_if(found, [&](const Candidate& candidate) { return !candidate.word.starts_with(last); });
    return found;
  }

 private:
  void take(const std::string& word) {
    if (value_of_ != nullptr) {
      if (value_of_->name == "socket") socket_ = word;
      value_of_ = nullptr;
    } else if (word.starts_with("--")) {
      take_option(word.substr(2));
    } else if (!take_word(word)) {
      path_open_ = false;
      if (next_argument() == nullptr) lost_ = true;
      ++arguments_;
    }
  }

  void take_option(const std::string& text) {
    const auto all = options();
    const std::string typed = text.substr(0, text.find('='));
    std::vector<std::string_view> option_names;
    for (const auto* option : all) option_names.push_back(option->name);
    const auto name = match_word(typed, option_names);
    const auto found = std::ranges::find(all, name, &Parameter::name);
    if (found == all.end()) {
      lost_ = true;
      return;
    }
    given_.emplace_back(name);
    if ((*found)->kind != ValueKind::flag && text.size() == typed.size()) value_of_ = *found;
  }

  bool take_word(const std::string& word) {
    if (!path_open_) return false;
    const auto match = match_word(word, next_words(path_));
    if (match.empty()) return false;
    path_.emplace_back(match);
    command_ = find_command(fmt::format("{}", fmt::join(path_, " ")));
    return true;
  }

  const Parameter* next_argument() const {
    if (command_ == nullptr || command_->arguments.empty()) return nullptr;
    const auto& arguments = command_->arguments;
    if (arguments.back().many) return &arguments[std::min(arguments_, arguments.size() - 1)];
    return arguments_ < arguments.size() ? &arguments[arguments_] : nullptr;
  }

  std::vector<const Parameter*> options() const {
    std::vector<const Parameter*> all;
    if (command_ != nullptr) {
      for (const auto& option : command_->options) all.push_back(&option);
    }
    for (const auto& option : global_options) all.push_back(&option);
    return all;
  }

  void add_words(std::vector<Candidate>& found) const {
    for (const auto word : next_words(path_)) {
      auto longer = path_;
      longer.emplace_back(word);
      const auto* full = find_command(fmt::format("{}", fmt::join(longer, " ")));
      const auto further = next_words(longer);
      found.push_back({std::string(word), full != nullptr ? std::string(full->summary)
                                                          : fmt::format("{}", fmt::join(further, ", "))});
    }
  }

  void add_options(std::vector<Candidate>& found) const {
    for (const auto* option : options()) {
      if (std::ranges::find(given_, option->name) != given_.end()) continue;
      found.push_back({fmt::format("--{}", option->name), std::string(option->help)});
    }
  }

  void add_values(std::vector<Candidate>& found, const Parameter& parameter, const Names& names) const {
    switch (parameter.kind) {
      case ValueKind::choice:
        for (const auto choice : parameter.choices) found.push_back({std::string(choice), ""});
        return;
      case ValueKind::drop:
        for (const auto& row : verdict_rows()) {
          if (row.outcome == Outcome::drop)
            found.push_back({std::string(row.name), std::string(row.meaning)});
        }
        return;
      case ValueKind::port:
      case ValueKind::connection:
      case ValueKind::spi:
      case ValueKind::stray_spi:
      case ValueKind::any_spi:
        for (auto& name : names(parameter.kind, socket_)) found.push_back({std::move(name), ""});
        return;
      case ValueKind::protocol:
        for (const auto* name : {"tcp", "udp", "icmp", "icmpv6"}) found.push_back({name, ""});
        return;
      case ValueKind::flag:
      case ValueKind::number:
      case ValueKind::address:
      case ValueKind::file:
      case ValueKind::text:
      case ValueKind::words:
        return;
    }
  }

  std::vector<std::string> path_;
  const Command* command_ = nullptr;
  std::size_t arguments_ = 0;
  std::vector<std::string_view> given_;
  const Parameter* value_of_ = nullptr;  // the option whose value comes next
  std::string socket_;
  bool path_open_ = true;
  bool lost_ = false;
};

}  // namespace

std::vector<Candidate> complete(std::span<const std::string> words, const Names& names) {
  if (words.empty()) return Line({}).candidates("", names);
  return Line(words.first(words.size() - 1)).candidates(words.back(), names);
}

std::string completion_script(std::string_view shell) {
  return std::string(shell == "zsh" ? zsh_script : bash_script);
}

}  // namespace espgate::cli
