#include "control/daemon/hook_runner.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

namespace espgate::daemon {
namespace {

constexpr auto patience = HookProcess::timeout + HookProcess::kill_after + std::chrono::seconds(3);

// Each line by itself, as one that cannot command a terminal.
template <typename Use>
void each_line(std::string_view text, Use&& use) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    std::ranges::replace_if(
        line, [](unsigned char byte) { return std::isprint(byte) == 0; }, '?');
    if (!line.empty()) use(line);
  }
}

}  // namespace

HookRunner::~HookRunner() {
  if (process_) let_go();
}

bool HookRunner::has_room(std::uint32_t most, Moment now) {
  if (now.steady - minute_ >= std::chrono::minutes(1)) {
    minute_ = now.steady;
    in_minute_ = 0;
  }
  return !is_stopped_ && !is_starting_ && !process_ && in_minute_ < most;
}

// What the two lambdas share ends the process if nobody takes it over any more.
void HookRunner::start(HookCommand command, std::string about, Moment now) {
  const auto result = std::make_shared<std::optional<Expected<HookProcess>>>();
  about_ = std::move(about);
  output_.clear();
  began_ = now.steady;
  ++in_minute_;
  is_starting_ =
      work_
          .submit(
              0, [result, command = std::move(command)] { result->emplace(HookProcess::start(command)); },
              [this, result](bool) { started(std::exchange(*result, std::nullopt)); })
          .has_value();
}

void HookRunner::started(std::optional<Expected<HookProcess>> result) {
  is_starting_ = false;
  if (is_stopped_) return;
  if (!result || !*result)
    return log_(sa::Severity::warning, fmt::format("on-invalid-spi for {}: {}", about_,
                                                   result ? result->error().text() : "out of memory"));
  process_.emplace(std::move(**result));
  hearing_ = Output::watched;
  loop_.watch("on-invalid-spi", process_->ended(), [this] { on_end(); });
  loop_.watch("on-invalid-spi output", process_->output(), [this] { on_output(); });
}

// A little of it; what is more than is kept is lost. As read(2) has it: 0 at its end.
std::ptrdiff_t HookRunner::hear() {
  std::array<char, 4'096> buffer;
  const auto got = read(process_->output(), buffer.data(), buffer.size());
  if (got > 0)
    output_.append(buffer.data(),
                   std::min(static_cast<std::size_t>(got), most_output_bytes - output_.size()));
  return got;
}

void HookRunner::on_output() {
  const auto got = hear();
  if (got < 0) return;
  if (got > 0 && output_.size() < most_output_bytes) return;
  loop_.unwatch(process_->output());
  hearing_ = got == 0 ? Output::over : Output::dropped;
}

void HookRunner::drop_output() {
  for (std::size_t dropped = 0; dropped < most_dropped_bytes_a_tick;) {
    const auto got = hear();
    if (got == 0) hearing_ = Output::over;
    if (got <= 0) return;
    dropped += static_cast<std::size_t>(got);
  }
}

void HookRunner::on_end() {
  if (hearing_ == Output::watched) hear();
  const auto end = process_->reap();
  log_(end.good ? sa::Severity::info : sa::Severity::warning,
       fmt::format("on-invalid-spi for {}: the program {}", about_, end.text));
  each_line(output_, [&](const std::string& line) {
    log_(sa::Severity::info, fmt::format("on-invalid-spi for {}: it says: {}", about_, line));
  });
  let_go();
}

void HookRunner::let_go() {
  if (hearing_ == Output::watched) loop_.unwatch(process_->output());
  loop_.unwatch(process_->ended());
  hearing_ = Output::over;
  process_.reset();
}

void HookRunner::tick(Moment now) {
  if (!process_) return;
  if (hearing_ == Output::dropped) drop_output();
  if (now.steady - began_ >= patience) process_->kill();
}

void HookRunner::stop() {
  is_stopped_ = true;
  if (process_) process_->kill();
}

}  // namespace espgate::daemon
