// show invalid-spi.
#include <algorithm>
#include <memory>
#include <utility>

#include "control/cli/values.hpp"
#include "control/daemon/found_stream.hpp"
#include "control/daemon/services.hpp"
#include "control/daemon/standing.hpp"
#include "control/recovery/flow_search.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;
using recovery::Flow;
using recovery::FlowSearch;

constexpr std::size_t most_shown = 4'096;

json flow_json(const Flow& flow, const std::string& connection) {
  const bool udp = flow.key.encapsulation == sa::Encapsulation::udp;
  return {{"source", net::to_string(flow.key.source)},
          {"destination", net::to_string(flow.key.destination)},
          {"spi", cli::spi_text(flow.key.spi)},
          {"protocol", udp ? 17 : 50},
          {"source_port", udp ? json(flow.source_port) : json(nullptr)},
          {"destination_port", udp ? json(4500) : json(nullptr)},
          {"port", flow.port_name()},
          {"connection", connection.empty() ? json(nullptr) : json(connection)},
          {"class", recovery::name(flow.kind)},
          {"explanation", recovery::remedy(flow.kind)},
          {"repair", recovery::name(flow.repair)},
          {"packets", flow.packets},
          {"first", cli::time_text(flow.first.wall)},
          {"last", cli::time_text(flow.last.wall)},
          {"logged", flow.was_logged}};
}

// Those of `counts`, which are by `Of`, that are not 0.
template <typename Of>
json by_kind(const char* what, const auto& counts) {
  json list = json::array();
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] != 0) list.push_back({{what, recovery::name(static_cast<Of>(i))}, {"packets", counts[i]}});
  return list;
}

json summary(const Services& services, std::uint64_t found) {
  const auto& handler = *services.invalid_spi;
  std::uint64_t unsampled = 0;
  for (const auto& worker : services.gateway->workers()) unsampled += worker->load().spi_samples_lost.value();
  return {{"found", found},
          {"limit", handler.table().capacity()},
          {"evicted", handler.table().evicted()},
          {"unsampled", unsampled},
          {"classes", by_kind<recovery::Class>("class", handler.packets())},
          {"repairs", by_kind<recovery::Repair>("repair", handler.repairs())}};
}

// `name`: a connection, also one with peers at any address ("site"), or such a peer ("site#7").
bool belongs_to(const std::string& owner, const std::string& name) {
  return owner == name || owner.substr(0, owner.find('#')) == name;
}

Expected<void> show_invalid_spi(const Services& services, const cli::Request& request,
                                const cli::StreamPtr& stream) {
  const auto connection = request.text("connection");
  if (connection)
    if (const auto found = named(services, *connection); !found) return found.error();
  const auto top = request.number("top");
  const auto search = std::make_shared<FlowSearch>(
      services.invalid_spi->table(), top ? FlowSearch::Order::packets : FlowSearch::Order::last_seen,
      top.value_or(most_shown), [&services, connection](const Flow& flow) {
        return !connection || belongs_to(services.invalid_spi->owner_of(flow), *connection);
      });
  stream_found(
      *stream, search,
      [&services](const Flow& flow) { return flow_json(flow, services.invalid_spi->owner_of(flow)); },
      [&services, search] { return summary(services, search->found()); });
  return {};
}

}  // namespace

void add_invalid_spi_commands(Services& services, cli::Handlers& handlers) {
  handlers.stream(cli::CommandId::show_invalid_spi,
                  [&services](const cli::Request& request, const cli::StreamPtr& stream) {
                    return show_invalid_spi(services, request, stream);
                  });
}

}  // namespace espgate::daemon
