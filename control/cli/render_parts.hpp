// The renderers by subject, and what they share. Internal to control/cli.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "control/cli/command.hpp"

namespace espgate::cli {

// The value at `path` ("rx.packets") as text: "-" when it is null or missing, "yes"/"no" for booleans, an
// array's elements joined by ", ". Control characters become "?", so that no value commands the terminal.
std::string text_at(const nlohmann::json& object, std::string_view path);
// The same as a count, 0 when it is no integer or negative.
std::uint64_t count_at(const nlohmann::json& object, std::string_view path);
// An array to go through: empty when it is missing or something else.
const nlohmann::json& array_at(const nlohmann::json& object, std::string_view path);
// "12 of 4096"
std::string part_of(const nlohmann::json& object, std::string_view part, std::string_view whole);
// "  key            value\n"
std::string detail_line(std::string_view key, const std::string& value);
// RFC 3339 as people read it: "2025-03-01 12:00:00".
std::string time_at(const nlohmann::json& object, std::string_view path);
// "192.0.2.1", with a port "192.0.2.1:4500" or "[2001:db8::1]:4500".
std::string endpoint_at(const nlohmann::json& object, std::string_view address, std::string_view port);
// Of seconds: "90 s", "90 min", "30 h", "3 d"; "-" where there are none.
std::string short_time(const nlohmann::json& object, std::string_view path);
// Of what has a `state` and a `reason`: "up", "up, but its keys were not replaced", "down: no answer".
std::string standing_of(const nlohmann::json& object, bool color);

std::string render_drop_groups(const nlohmann::json& result, bool color);
std::string render_drop_reasons(const nlohmann::json& arguments, const nlohmann::json& result, bool color);
std::string render_drop_history(const nlohmann::json& result, bool color);
std::string render_thresholds(const nlohmann::json& result, bool color);
std::string render_event(const nlohmann::json& item, bool color);
std::string render_connections(const nlohmann::json& result, bool color);
std::string render_sas(const nlohmann::json& arguments, const nlohmann::json& result, bool color);
std::string render_spi(const nlohmann::json& result, bool color);
std::string render_invalid_spi(const nlohmann::json& result, bool color);
std::string render_ports(const nlohmann::json& result, bool color);
std::string render_workers(const nlohmann::json& result, bool color);
std::string render_routes(const nlohmann::json& result, bool color);
std::string render_tunnels(const nlohmann::json& result, bool color);
std::string render_ike(const nlohmann::json& result, bool color);
std::string render_proposals(const nlohmann::json& result, bool color);
std::string render_explanation(const nlohmann::json& result, bool color);
std::string render_diagnosis(const nlohmann::json& result, bool color);
std::string render_policies(const nlohmann::json& result, bool color);
std::string render_policy_changes(const Command& command, const nlohmann::json& result, bool color);
std::string render_policy_match(const nlohmann::json& result, bool color);
std::string render_status(const nlohmann::json& result, bool color);
std::string render_version(const nlohmann::json& result, bool color);
std::string render_reload(const nlohmann::json& result, bool color);
std::string render_traced_packet(const nlohmann::json& item, bool color);
std::string render_frame(const nlohmann::json& item, bool color);

}  // namespace espgate::cli
