#include "control/cli/render.hpp"

#include <fmt/format.h>

#include "control/cli/protocol.hpp"
#include "control/cli/render_parts.hpp"

namespace espgate::cli {
namespace {

using nlohmann::json;

std::string render_no_items(const Command& command, const json& result) {
  if (command.id == CommandId::capture) return "no frames captured\n";
  if (command.id == CommandId::export_evidence) return "no packets kept\n";
  if (command.id == CommandId::show_events || command.id == CommandId::monitor) return "no events\n";
  if (count_at(result, "armed") == 0)
    return "no traced packets; `espgatectl trace add N` traces the next N\n";
  return fmt::format("no traced packets yet; waiting for {}\n", text_at(result, "armed"));
}

std::string render_items(const Command& command, const json& result, bool color) {
  if (array_at(result, command.items).empty()) return render_no_items(command, result);
  std::string text;
  for (const auto& item : array_at(result, command.items)) text += render_item(command, item, color);
  return text;
}

std::string render_words(const json& result) {
  std::string text;
  for (const auto& word : array_at(result, "words")) {
    text += text_at(word, "word") + "\t" + text_at(word, "description") + "\n";
  }
  return text;
}

std::string traced_port(const json& result) {
  const std::string port = text_at(result, "port");
  return port == "-" ? "any port" : "port " + port;
}

std::string of_connection(const json& result) {
  const std::string connection = text_at(result, "connection");
  return connection == "-" ? "" : " of connection " + connection;
}

}  // namespace

std::string render(const Command& command, const json& arguments, const json& result, bool color) {
  switch (command.id) {
    case CommandId::show_drops:
      return render_drop_groups(result, color);
    case CommandId::show_drops_ipsec:
      return render_drop_reasons(arguments, result, color);
    case CommandId::show_drops_history:
      return render_drop_history(result, color);
    case CommandId::show_thresholds:
      return render_thresholds(result, color);
    case CommandId::show_connections:
      return render_connections(result, color);
    case CommandId::show_sa:
      return render_sas(arguments, result, color);
    case CommandId::show_spi:
      return render_spi(result, color);
    case CommandId::show_invalid_spi:
      return render_invalid_spi(result, color);
    case CommandId::show_ports:
      return render_ports(result, color);
    case CommandId::show_workers:
      return render_workers(result, color);
    case CommandId::show_routes:
      return render_routes(result, color);
    case CommandId::show_tunnels:
      return render_tunnels(result, color);
    case CommandId::show_ike:
      return render_ike(result, color);
    case CommandId::show_proposals:
      return render_proposals(result, color);
    case CommandId::explain:
      return render_explanation(result, color);
    case CommandId::diagnose:
      return render_diagnosis(result, color);
    case CommandId::initiate:
    case CommandId::terminate:
    case CommandId::rekey:
      if (text_at(result, "command") == "initiate" && text_at(result, "before") == "up")
        return fmt::format("{} is up already, and stays as it is\n", text_at(result, "connection"));
      if (text_at(result, "command") == "terminate" && text_at(result, "before") == "down")
        return fmt::format("{} is down already, and stays so until `initiate` or the peer begins\n",
                           text_at(result, "connection"));
      return fmt::format("{} {}: begun; `espgatectl show ike` tells what comes of it\n",
                         text_at(result, "command"), text_at(result, "connection"));
    case CommandId::show_policies:
      return render_policies(result, color);
    case CommandId::show_policy_match:
      return render_policy_match(result, color);
    case CommandId::show_status:
      return render_status(result, color);
    case CommandId::show_version:
      return render_version(result, color);
    case CommandId::clear_drops:
      return fmt::format("drop counts start over; they had reached {}\n", text_at(result, "cleared"));
    case CommandId::trace_add:
      return fmt::format("tracing the next {} packets of {}; `espgatectl trace show` displays them\n",
                         text_at(result, "armed"), traced_port(result));
    case CommandId::show_events:
    case CommandId::monitor:
    case CommandId::trace_show:
    case CommandId::capture:
    case CommandId::export_evidence:
      return render_items(command, result, color);
    case CommandId::export_wireshark:
      return "";  // the keys go into a file, never onto a terminal
    case CommandId::trace_clear:
      return fmt::format("{} traced packets forgotten\n", text_at(result, "forgotten"));
    case CommandId::sa_reserve:
      return fmt::format("SPI {} reserved\n", text_at(result, "spi"));
    case CommandId::sa_delete:
      return fmt::format("SPI {}{} deleted, now {}\n", text_at(result, "spi"), of_connection(result),
                         text_at(result, "state"));
    case CommandId::policy_add:
    case CommandId::policy_delete:
      return render_policy_changes(command, result, color);
    case CommandId::log_level:
      return fmt::format("{} logged from {} on, until now from {}\n",
                         text_at(result, "topic") == "-" ? "everything is"
                                                         : "lines about " + text_at(result, "topic") + " are",
                         text_at(result, "level"), text_at(result, "before"));
    case CommandId::reload:
      return render_reload(result, color);
    case CommandId::completion:
      return result.value("script", "");
    case CommandId::complete:
      return render_words(result);
    case CommandId::manual:
      return result.value("page", "");
  }
  return result.dump(2) + "\n";
}

bool shows_items(const Command& command) {
  switch (command.id) {
    case CommandId::trace_show:
    case CommandId::capture:
    case CommandId::export_evidence:
    case CommandId::show_events:
    case CommandId::monitor:
      return true;
    default:
      return false;
  }
}

std::string render_item(const Command& command, const json& item, bool color) {
  switch (command.id) {
    case CommandId::show_events:
      return render_event(item, color);
    case CommandId::monitor:
      return json_text(item) + "\n";
    case CommandId::capture:
    case CommandId::export_evidence:
      return render_frame(item, color);
    default:
      return render_traced_packet(item, color);
  }
}

}  // namespace espgate::cli
