// diagnose.
#include <algorithm>
#include <memory>
#include <utility>

#include "control/daemon/diagnosis_facts.hpp"
#include "control/daemon/found_stream.hpp"
#include "control/daemon/services.hpp"
#include "control/daemon/standing.hpp"
#include "control/recovery/foremost.hpp"

namespace espgate::daemon {
namespace {

using nlohmann::json;
using recovery::Cause;
using recovery::Facts;
using recovery::Finding;

std::string_view text(Facts::State state) {
  switch (state) {
    case Facts::State::up:
      return "up";
    case Facts::State::connecting:
      return "connecting";
    case Facts::State::down:
      break;
  }
  return "down";
}

struct Diagnosis {
  std::vector<Finding> findings;
  json described;
};

Diagnosis diagnose_one(const Services& services, const config::Connection& connection,
                       const IkeService::Peer* peer, const RecentEsp& recent) {
  const auto facts = diagnosis_facts(services, connection, peer, recent);
  Diagnosis result{recovery::diagnose(facts), {}};
  auto causes = json::array();
  for (const auto& finding : result.findings)
    causes.push_back({{"cause", recovery::name(finding.cause)},
                      {"weight", finding.weight},
                      {"evidence", finding.evidence},
                      {"remedy", finding.remedy}});
  result.described = {{"connection", peer == nullptr ? connection.name : peer->name},
                      {"state", text(facts.state)},
                      {"reason", facts.reason.empty() ? json(nullptr) : json(facts.reason)},
                      {"causes", std::move(causes)}};
  return result;
}

// Goes through all connections, and then through the peers of those that have them at any address, one at a
// time, and keeps the worst: the surest trouble first.
class Troubled {
 public:
  struct Entry {
    unsigned weight;  // of the likeliest cause
    json described;
  };

  explicit Troubled(const Services& services) : services_(services), recent_(recent_esp(services)) {}

  // At the next one. False: there is none. A reload meanwhile may take some away, so they are found anew by
  // their place.
  bool look() {
    const auto& connections = services_.configuration->connections;
    if (place_ < connections.size()) {
      judge(connections[place_++], nullptr);
      return true;
    }
    const auto* peer = services_.ike->next_peer_after(last_peer_);
    if (peer == nullptr) return false;
    last_peer_ = peer->name;
    if (const auto* connection = find_connection(services_, peer->connection)) judge(*connection, peer);
    return true;
  }
  std::optional<Entry> take() { return worst_.take(); }
  json result() const { return {{"looked_at", looked_at_}, {"left_off", worst_.left_off()}}; }

 private:
  static constexpr std::size_t most = 64;
  struct Before {
    bool operator()(const Entry& one, const Entry& other) const { return one.weight > other.weight; }
  };

  void judge(const config::Connection& connection, const IkeService::Peer* peer) {
    auto diagnosis = diagnose_one(services_, connection, peer, recent_);
    ++looked_at_;
    const auto& likeliest = diagnosis.findings.front();
    const bool is_meant = likeliest.cause == Cause::well || likeliest.cause == Cause::waiting ||
                          likeliest.cause == Cause::terminated;
    if (!is_meant) worst_.offer(Entry{likeliest.weight, std::move(diagnosis.described)});
  }

  const Services& services_;
  RecentEsp recent_;
  std::size_t place_ = 0;
  std::string last_peer_;
  std::uint64_t looked_at_ = 0;
  recovery::Foremost<Entry, Before> worst_{most};
};

Expected<void> diagnose(const Services& services, const cli::Request& request, const cli::StreamPtr& stream) {
  const auto name = request.text("connection");
  if (!name) {
    const auto troubled = std::make_shared<Troubled>(services);
    stream_found(
        *stream, troubled, [](Troubled::Entry found) { return std::move(found.described); },
        [troubled] { return troubled->result(); });
    return {};
  }
  const auto found = named(services, *name);
  if (!found) return found.error();
  stream->push(diagnose_one(services, *found->connection, found->peer, recent_esp(services)).described);
  stream->finish({{"looked_at", 1}, {"left_off", 0}});
  return {};
}

}  // namespace

void add_diagnose_command(Services& services, cli::Handlers& handlers) {
  handlers.stream(cli::CommandId::diagnose,
                  [&services](const cli::Request& request, const cli::StreamPtr& stream) {
                    return diagnose(services, request, stream);
                  });
}

}  // namespace espgate::daemon
