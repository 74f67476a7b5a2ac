#include "control/ctl/output.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "control/cli/protocol.hpp"
#include "control/cli/render.hpp"
#include "control/cli/text_table.hpp"

namespace espgate::ctl {
namespace {

using cli::json_text;

bool write_all(int fd, const std::string& text) {
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t n = write(fd, text.data() + sent, text.size() - sent);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

bool wants_color(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(fd) && (no_color == nullptr || *no_color == '\0') &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

}  // namespace

Output::Output(bool as_json, bool no_color)
    : json_(as_json),
      color_(!as_json && !no_color && wants_color(STDOUT_FILENO)),
      error_color_(!no_color && wants_color(STDERR_FILENO)) {}

int Output::text(const std::string& text) {
  if (write_all(STDOUT_FILENO, text)) return done;
  write_all(STDERR_FILENO, fmt::format("error: cannot write to standard output: {}\n", std::strerror(errno)));
  return failed;
}

int Output::document(const nlohmann::json& document) {
  return text(json_text(document, 2) + "\n");
}

int Output::result(const cli::Command& command, const nlohmann::json& arguments,
                   const nlohmann::json& result) {
  return json_ ? document(result) : text(cli::render(command, arguments, result, color_));
}

int Output::error(const Error& error, int status) {
  if (json_) {
    document({{"error", cli::error_json(error)}});
    return status;
  }
  const std::string remedy = error.remedy.empty() ? "" : fmt::format("       {}\n", error.remedy);
  write_all(STDERR_FILENO, fmt::format("{} {}\n{}", cli::alarm("error:", error_color_), error.what, remedy));
  return status;
}

void Output::remark(const std::string& text) const {
  if (!json_) write_all(STDERR_FILENO, text);
}

ItemOutput::ItemOutput(Output& output, const cli::Command& command, const nlohmann::json& arguments)
    : output_(output), command_(command), arguments_(arguments) {}

std::string ItemOutput::opening() {
  return std::exchange(opened_, true) ? "" : fmt::format("{{\"{}\": [", command_.items);
}

int ItemOutput::item(nlohmann::json item) {
  if (output_.json()) {
    const std::string before = opened_ ? ",\n" : opening() + "\n";
    return output_.text(before + json_text(item));
  }
  if (cli::shows_items(command_)) {
    shown_ = true;
    return output_.text(cli::render_item(command_, item, output_.color()));
  }
  collected_.push_back(std::move(item));
  return done;
}

int ItemOutput::finish(nlohmann::json result) {
  if (output_.json()) {
    std::string text = opened_ ? "\n]" : opening() + "]";
    for (const auto& [key, value] : result.items()) {
      text += fmt::format(",\n{}: {}", json_text(nlohmann::json(key)), json_text(value));
    }
    return output_.text(text + "}\n");
  }
  if (shown_) return done;
  result[std::string(command_.items)] = std::move(collected_);
  return output_.result(command_, arguments_, result);
}

int ItemOutput::fail(const Error& error) {
  if (!output_.json() || !opened_) return output_.error(error);
  output_.text(fmt::format("\n],\n\"error\": {}}}\n", json_text(cli::error_json(error))));
  return failed;
}

int LineOutput::item(const nlohmann::json& item) {
  return output_.text(json_text(item) + "\n");
}

int LineOutput::fail(const Error& error) {
  if (!output_.json()) return output_.error(error);
  output_.text(json_text({{"error", cli::error_json(error)}}) + "\n");
  return failed;
}

}  // namespace espgate::ctl
