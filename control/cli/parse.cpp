#include "control/cli/parse.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "control/cli/arguments.hpp"
#include "control/cli/suggest.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

bool begins_with(std::span<const std::string_view> words, std::span<const std::string> path) {
  return words.size() >= path.size() && std::equal(path.begin(), path.end(), words.begin());
}

bool is_help(std::string_view word) {
  return word == "-h" || word == "?" || word == "help";
}

class Parser {
 public:
  explicit Parser(std::span<const std::string> words) : rest_(words) {}

  Expected<Invocation> run() {
    while (!rest_.empty()) {
      const std::string word = take();
      if (auto done = verbatim_ ? positional(word) : token(word); !done) return done.error();
      if (command_ != nullptr && takes_words()) return with_words();
    }
    return finish();
  }

 private:
  std::string take() {
    std::string word = rest_.front();
    rest_ = rest_.subspan(1);
    return word;
  }

  Expected<void> token(const std::string& word) {
    if (word == "--") {
      verbatim_ = true;
      return {};
    }
    if (is_help(word) && (word != "help" || path_open_)) {
      result_.kind = Invocation::Kind::help;
      return {};
    }
    if (word.starts_with("--")) return option(word.substr(2));
    if (word.size() > 1 && word[0] == '-') return unknown_option(word);
    return path_open_ && extends_path(word) ? command_word(word) : positional(word);
  }

  // A command's words end at the first word that cannot be one of them, once they are a command.
  bool extends_path(const std::string& word) const {
    if (command_ == nullptr) return true;
    return !match_word(word, candidates()).empty();
  }

  // Hidden commands are known by their full name only.
  std::vector<std::string_view> candidates() const { return next_words(result_.words); }

  Expected<void> command_word(const std::string& word) {
    const auto choices = candidates();
    std::string_view match = match_word(word, choices);
    if (match.empty() && result_.words.empty() && find_command(word) != nullptr) match = word;
    if (match.empty()) return unknown_word(word, choices);
    result_.words.emplace_back(match);
    command_ = find_command(fmt::format("{}", fmt::join(result_.words, " ")));
    return {};
  }

  Error unknown_word(const std::string& word, std::span<const std::string_view> choices) const {
    std::vector<std::string_view> matching;
    for (const auto choice : choices) {
      if (choice.starts_with(word)) matching.push_back(choice);
    }
    const std::string before =
        fmt::format("{}{}", fmt::join(result_.words, " "), result_.words.empty() ? "" : " ");
    if (matching.size() > 1) {
      return {fmt::format("`{}{}` is ambiguous", before, word),
              fmt::format("it may be {}", fmt::join(matching, ", "))};
    }
    const std::string near = suggest(word, choices);
    return {fmt::format("unknown command `{}{}`", before, word),
            near.empty() ? fmt::format("`espgatectl {}--help` lists what there is", before)
                         : fmt::format("did you mean `{}{}`?", before, near)};
  }

  Expected<void> option(const std::string& text) {
    const auto equals = text.find('=');
    const std::string typed = text.substr(0, equals);
    const auto names = option_names();
    const std::string_view name = match_word(typed, names);
    if (name.empty()) return unknown_option("--" + typed);
    const Parameter* parameter = command_option(name);
    const bool global = parameter == nullptr;
    if (global) parameter = &*std::ranges::find(global_options, name, &Parameter::name);
    auto value = option_value(
        *parameter, equals == std::string::npos ? std::nullopt : std::optional(text.substr(equals + 1)));
    if (!value) return value.error();
    if (global) return set_global(name, *value);
    path_open_ = false;
    return set(*parameter, std::move(*value));
  }

  const Parameter* command_option(std::string_view name) const {
    if (command_ == nullptr) return nullptr;
    const auto found = std::ranges::find(command_->options, name, &Parameter::name);
    return found == command_->options.end() ? nullptr : &*found;
  }

  std::vector<std::string_view> option_names() const {
    std::vector<std::string_view> names;
    for (const auto& option : global_options) names.push_back(option.name);
    if (command_ != nullptr) {
      for (const auto& option : command_->options) names.push_back(option.name);
    }
    return names;
  }

  Expected<json> option_value(const Parameter& parameter, std::optional<std::string> attached) {
    const std::string shown = fmt::format("--{}", parameter.name);
    if (parameter.kind == ValueKind::flag) {
      if (!attached) return json(true);
      return Error{shown + " takes no value", "write " + shown + " alone"};
    }
    if (attached) return json(*attached);
    if (rest_.empty()) {
      return Error{shown + " needs a value", fmt::format("write {} {}", shown, parameter.value_name)};
    }
    return json(take());
  }

  Expected<void> set_global(std::string_view name, const json& value) {
    if (name == "socket" && value.get<std::string>().empty()) {
      return Error{"--socket needs a path", "write --socket PATH, or leave it out for the default"};
    }
    if (name == "socket") result_.socket = value.get<std::string>();
    if (name == "json") result_.json = true;
    if (name == "no-color") result_.no_color = true;
    if (name == "help") result_.kind = Invocation::Kind::help;
    if (name == "version") result_.kind = Invocation::Kind::version;
    return {};
  }

  Expected<void> unknown_option(const std::string& option) const {
    const auto names = option_names();
    const std::string near = suggest(option.substr(option.find_first_not_of('-')), names);
    const std::string where = command_ == nullptr ? "" : fmt::format(" of `{}`", command_->path);
    if (!near.empty())
      return Error{fmt::format("no option {}{}", option, where), "did you mean --" + near + "?"};
    const std::string remedy = command_ == nullptr ? "a command's own options stand behind its words"
                                                   : "usage: espgatectl " + usage(*command_);
    return Error{fmt::format("no option {}{}", option, where), remedy};
  }

  Expected<void> positional(const std::string& word) {
    if (command_ == nullptr) return command_word(word);
    path_open_ = false;
    for (const auto& argument : command_->arguments) {
      if (argument.many) {
        result_.arguments[std::string(argument.name)].push_back(word);
        return {};
      }
      if (!result_.arguments.contains(argument.name)) return set(argument, word);
    }
    return unexpected(word);
  }

  Error unexpected(const std::string& word) const {
    const std::string near = suggest(word, candidates());
    return {fmt::format("`{}` takes no argument {}", command_->path, json(word).dump()),
            near.empty() ? "usage: espgatectl " + usage(*command_)
                         : fmt::format("did you mean `{} {}`?", command_->path, near)};
  }

  Expected<void> set(const Parameter& parameter, json value) {
    if (result_.arguments.contains(parameter.name) && parameter.kind != ValueKind::flag) {
      return Error{fmt::format("--{} given twice", parameter.name), "give it once"};
    }
    result_.arguments[std::string(parameter.name)] = std::move(value);
    return {};
  }

  bool takes_words() const {
    return !command_->arguments.empty() && command_->arguments[0].kind == ValueKind::words;
  }

  Invocation with_words() {
    result_.command = command_;
    result_.arguments["words"] = std::vector<std::string>(rest_.begin(), rest_.end());
    return std::move(result_);
  }

  Expected<Invocation> finish() {
    result_.command = command_;
    if (result_.kind != Invocation::Kind::run) return std::move(result_);
    if (command_ == nullptr && result_.words.empty()) {
      return Error{"no command given", "`espgatectl --help` lists the commands"};
    }
    if (command_ == nullptr) return incomplete();
    auto checked = check_arguments(*command_, result_.arguments);
    if (!checked) return checked.error();
    result_.arguments = std::move(*checked);
    return std::move(result_);
  }

  Error incomplete() const {
    const std::string path = fmt::format("{}", fmt::join(result_.words, " "));
    return {fmt::format("`{}` is incomplete", path),
            fmt::format("it goes on with one of: {}", fmt::join(candidates(), ", "))};
  }

  std::span<const std::string> rest_;
  Invocation result_;
  const Command* command_ = nullptr;
  bool path_open_ = true;  // further words may belong to the command's path
  bool verbatim_ = false;  // behind "--"
};

}  // namespace

Expected<Invocation> parse(std::span<const std::string> words) {
  return Parser(words).run();
}

bool wants_json(std::span<const std::string> words) {
  const auto end = std::ranges::find(words, "--");
  return std::find_if(words.begin(), end, [](const std::string& word) {
           return word.size() > 2 && std::string_view("--json").starts_with(word);
         }) != end;
}

std::vector<const Command*> commands_under(std::span<const std::string> path) {
  std::vector<const Command*> found;
  for (const auto& entry : commands()) {
    if (!entry.hidden && begins_with(path_words(entry), path)) found.push_back(&entry);
  }
  return found;
}

std::vector<std::string_view> next_words(std::span<const std::string> path) {
  std::vector<std::string_view> words;
  for (const auto* entry : commands_under(path)) {
    const auto all = path_words(*entry);
    if (all.size() > path.size()) words.push_back(all[path.size()]);
  }
  std::ranges::sort(words);
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

std::string_view match_word(std::string_view typed, std::span<const std::string_view> choices) {
  std::string_view match;
  for (const auto choice : choices) {
    if (choice == typed) return choice;
    if (typed.empty() || !choice.starts_with(typed)) continue;
    if (!match.empty()) return {};
    match = choice;
  }
  return match;
}

}  // namespace espgate::cli
