// trace add, trace show, trace clear, capture, export evidence.
#include "control/daemon/services.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;

Expected<std::uint8_t> port_index(const Services& services, const std::string& name) {
  const auto& ports = services.gateway->ports();
  for (std::size_t i = 0; i < ports.size(); ++i)
    if (ports[i]->port().name == name) return static_cast<std::uint8_t>(i);
  return Error{"no port is called " + name, "`show ports` lists them"};
}

Expected<json> add_trace(Services& services, const cli::Request& request) {
  std::uint8_t port = worker::any_port;
  const auto name = request.text("port");
  if (name) {
    const auto index = port_index(services, *name);
    if (!index) return index.error();
    port = *index;
  }
  const auto armed = services.trace->add(*request.number("count"), port);
  return json{{"armed", armed}, {"port", name ? json(*name) : json(nullptr)}};
}

Expected<void> capture(Services& services, const cli::Request& request, const cli::StreamPtr& stream) {
  const auto count = request.number("count").value_or(0);
  if (const auto name = request.text("port")) {
    const auto index = port_index(services, *name);
    if (!index) return index.error();
    return services.capture->start_port(*index, count, stream);
  }
  const auto reason = request.text("drop").value_or("");
  const auto* drop = find_drop(reason);
  if (drop == nullptr)
    return Error{"no drop reason is called " + reason, "`show drops ipsec --all` lists them"};
  return services.capture->start_drop(drop->verdict, count, stream);
}

}  // namespace

void add_packet_commands(Services& services, cli::Handlers& handlers) {
  handlers.answer(cli::CommandId::trace_add,
                  [&services](const cli::Request& request) { return add_trace(services, request); });
  handlers.stream(cli::CommandId::trace_show,
                  [&services](const cli::Request& request, cli::StreamPtr stream) -> Expected<void> {
                    services.trace->show(request.flag("follow"), std::move(stream));
                    return {};
                  });
  handlers.answer(cli::CommandId::trace_clear, [&services](const cli::Request&) -> Expected<json> {
    return json{{"forgotten", services.trace->clear()}};
  });
  handlers.stream(cli::CommandId::capture, [&services](const cli::Request& request, cli::StreamPtr stream) {
    return capture(services, request, stream);
  });
  handlers.stream(cli::CommandId::export_evidence,
                  [&services](const cli::Request& request, const cli::StreamPtr& stream) {
                    return services.evidence->send_packets(*request.spi(), stream);
                  });
}

}  // namespace espgate::daemon
