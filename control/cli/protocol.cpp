#include "control/cli/protocol.hpp"

#include <fmt/format.h>

#include "control/cli/arguments.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

// Nesting a request can need; more is hostile.
constexpr int deepest = 8;

json parse_bounded(std::string_view line) {
  bool too_deep = false;
  const auto watch = [&](int depth, json::parse_event_t, json&) {
    too_deep = too_deep || depth > deepest;
    return !too_deep;
  };
  json document = json::parse(line, watch, false);
  return too_deep ? json(json::value_t::discarded) : document;
}

Error bad_request(std::string what) {
  return {std::move(what),
          "requests look like {\"version\": 1, \"command\": \"show drops\", \"arguments\": {}}"};
}

std::string line_of(std::string_view key, const json& body) {
  return fmt::format("{{\"{}\":{}}}\n", key, json_text(body));
}

}  // namespace

std::optional<std::uint64_t> Request::number(std::string_view name) const {
  const auto found = arguments.find(name);
  if (found == arguments.end() || !found->is_number_unsigned()) return {};
  return found->get<std::uint64_t>();
}

std::optional<std::uint32_t> Request::spi() const {
  const auto value = number("spi");
  if (!value) return {};
  return static_cast<std::uint32_t>(*value);
}

std::optional<std::string> Request::text(std::string_view name) const {
  const auto found = arguments.find(name);
  if (found == arguments.end() || !found->is_string()) return {};
  return found->get<std::string>();
}

std::string json_text(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

json error_json(const Error& error) {
  return {{"message", error.what}, {"remedy", error.remedy}};
}

Error error_from_json(const json& error) {
  if (!error.is_object()) return {"espgated answered with an error it did not name", ""};
  return {error.value("message", "unnamed error"), error.value("remedy", "")};
}

std::string request_line(const Command& command, const json& arguments) {
  return json_text({{"version", protocol_version}, {"command", command.path}, {"arguments", arguments}}) +
         "\n";
}

std::string item_line(const json& item) {
  return line_of("item", item);
}
std::string result_line(const json& result) {
  return line_of("result", result);
}
std::string error_line(const Error& error) {
  return line_of("error", error_json(error));
}

Expected<Request> parse_request(std::string_view line) {
  const json document = parse_bounded(line);
  if (!document.is_object()) return bad_request("the request is not a JSON object on one line");
  const auto version = document.find("version");
  if (version == document.end() || *version != protocol_version) {
    return Error{fmt::format("the request is not of protocol version {}", protocol_version),
                 "use the espgatectl that came with this espgated"};
  }
  const auto path = document.find("command");
  if (path == document.end() || !path->is_string()) return bad_request("the request names no command");
  const Command* found = find_command(path->get_ref<const std::string&>());
  if (found == nullptr || found->where == Where::client) {
    return bad_request("espgated knows no command " + json_text(*path));
  }
  const auto arguments = document.find("arguments");
  auto checked = check_arguments(*found, arguments == document.end() ? json::object() : *arguments);
  if (!checked) return checked.error();
  return Request{found->id, std::move(*checked), {}};
}

Expected<Message> parse_message(std::string_view line) {
  json document = json::parse(line, nullptr, false);
  if (document.is_object() && document.size() == 1) {
    auto& body = document.begin().value();
    if (document.begin().key() == "item") return Message{Message::Kind::item, std::move(body)};
    if (document.begin().key() == "result") return Message{Message::Kind::result, std::move(body)};
    if (document.begin().key() == "error") return Message{Message::Kind::error, std::move(body)};
  }
  return Error{"espgated's answer is not understood", "use the espgatectl that came with this espgated"};
}

}  // namespace espgate::cli
