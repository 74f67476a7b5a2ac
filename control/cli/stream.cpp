#include "control/cli/stream.hpp"

#include <utility>

#include "control/cli/connection.hpp"

namespace espgate::cli {

Stream::~Stream() {
  if (connection_ != nullptr) fail({"espgated was stopped; the answer ends here", "start it and ask again"});
}

bool Stream::push(const nlohmann::json& item) {
  if (connection_ == nullptr) return false;
  if (!connection_->has_room()) {
    ++lost_;
    return false;
  }
  connection_->send(item_line(item));
  return true;
}

void Stream::pull(Next next, std::function<nlohmann::json()> result) {
  if (connection_ == nullptr) return;
  std::exchange(connection_, nullptr)->pull_from(std::move(next), std::move(result));
}

void Stream::pull_all(std::vector<nlohmann::json> items) {
  const auto total = items.size();
  // Behind a pointer, since a std::function copies what it holds.
  pull(
      [items = std::make_shared<std::vector<nlohmann::json>>(std::move(items)),
       next = std::size_t{0}]() mutable -> std::optional<nlohmann::json> {
        if (next == items->size()) return std::nullopt;
        return std::move((*items)[next++]);
      },
      [total] {
        return nlohmann::json{{"total", total}};
      });
}

void Stream::finish(const nlohmann::json& result) {
  if (connection_ == nullptr) return;
  std::exchange(connection_, nullptr)->end_stream(result_line(result));
}

void Stream::fail(const Error& error) {
  if (connection_ == nullptr) return;
  std::exchange(connection_, nullptr)->end_stream(error_line(error));
}

void Stream::client_gone() {
  connection_ = nullptr;
  if (const auto callback = std::exchange(closed_, {})) callback();
}

}  // namespace espgate::cli
