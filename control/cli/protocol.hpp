// The lines on the socket: one JSON document each, ended by "\n".
//
//   request   {"version": 1, "command": "show sa", "arguments": {"connection": "branch"}}
//   answer    {"item": {...}}                           any number of them, streams only
//             {"result": {...}}                         the last line of a good answer
//             {"error": {"message": …, "remedy": …}}    the last line of a bad one
//
// A connection carries one request after the other. Closing it ends a stream.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "control/cli/command.hpp"
#include "datapath/base/expected.hpp"

namespace espgate::cli {

inline constexpr int protocol_version = 1;

// Who is at the other end, from the kernel (SO_PEERCRED).
struct Peer {
  pid_t pid = 0;
  uid_t uid = 0;
};

// What a handler gets: the arguments are checked and canonical (check_arguments()).
struct Request {
  CommandId command{};
  nlohmann::json arguments = nlohmann::json::object();
  Peer peer;

  bool flag(std::string_view name) const { return arguments.value(std::string(name), false); }
  std::optional<std::uint64_t> number(std::string_view name) const;
  std::optional<std::uint32_t> spi() const;                      // the argument or option "spi"
  std::optional<std::string> text(std::string_view name) const;  // port, connection, drop
};

struct Message {
  enum class Kind : std::uint8_t { item, result, error };

  Kind kind = Kind::result;
  nlohmann::json body;  // for an error {"message", "remedy"}
};

// Lines, with the line end. Bytes that are not UTF-8 are replaced, so a line is always valid JSON.
std::string request_line(const Command& command, const nlohmann::json& arguments);
std::string item_line(const nlohmann::json& item);
std::string result_line(const nlohmann::json& result);
std::string error_line(const Error& error);

// Errors say what is wrong with the line, for the client to read.
Expected<Request> parse_request(std::string_view line);
Expected<Message> parse_message(std::string_view line);

// {"message": what, "remedy": remedy}
nlohmann::json error_json(const Error& error);
Error error_from_json(const nlohmann::json& error);
// dump() that never throws.
std::string json_text(const nlohmann::json& value, int indent = -1);

}  // namespace espgate::cli
