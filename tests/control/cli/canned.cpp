#include "tests/control/cli/canned.hpp"

#include <array>
#include <list>

#include "control/cli/drops.hpp"
#include "tests/control/cli/canned_ike.hpp"

namespace espgate::test {
namespace {

using cli::CommandId;
using nlohmann::json;

constexpr const char* since = "2025-03-01T12:00:00Z";

std::array<std::uint64_t, verdict_count> counts() {
  std::array<std::uint64_t, verdict_count> all{};
  all[index_of(Verdict::FORWARDED)] = 1'000'000;
  all[index_of(Verdict::IN_US_V4_PKT_SA_NOT_FOUND_SPI)] = 67'643;
  all[index_of(Verdict::IN_CD_SW_IPSEC_MAC_EXCEPTION)] = 3;
  all[index_of(Verdict::IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL)] = 12;
  all[index_of(Verdict::TTL_EXPIRED)] = 1;
  return all;
}

json sa(const char* direction, const char* spi, bool udp, int integrity_faults) {
  const bool inbound = direction[0] == 'i';
  return {{"connection", udp ? "road-warrior" : "branch"},
          {"direction", direction},
          {"spi", spi},
          {"state", "active"},
          {"suite", "aes128-gcm16"},
          {"local", udp ? "2001:db8::1" : "192.0.2.1"},
          {"remote", udp ? "2001:db8::2" : "192.0.2.2"},
          {"encapsulation", udp ? "udp" : "none"},
          {"local_port", udp ? json(4500) : json()},
          {"remote_port", udp ? json(61'000) : json()},
          {"esn", udp},
          {"window_packets", inbound ? json(1024) : json()},
          {"path_mtu", 1500},
          {"sequence", 812},
          {"selectors", json::array({{{"source", "10.2.0.0/24"},
                                      {"destination", "10.1.0.0/24"},
                                      {"protocol", nullptr},
                                      {"source_ports", nullptr},
                                      {"destination_ports", nullptr},
                                      {"icmp_type", nullptr}}})},
          {"packets", 800},
          {"bytes", 67'200},
          {"last", udp ? json() : json("2025-03-01T12:30:00Z")},
          {"faults",
           integrity_faults == 0
               ? json::array()
               : json::array({{{"number", 19}, {"name", "IN_CD_SW_IPSEC_ANTI_REPLAY_FAIL"}, {"packets", 1}},
                              {{"number", 62},
                               {"name", "IN_CD_SW_IPSEC_MAC_EXCEPTION"},
                               {"packets", integrity_faults}}})},
          {"lifetime", udp ? json()
                           : json{{"packets", 800},
                                  {"bytes", 67'200},
                                  {"seconds", 1'800},
                                  {"soft_packets", nullptr},
                                  {"hard_packets", 1'000},
                                  {"soft_bytes", nullptr},
                                  {"hard_bytes", nullptr},
                                  {"soft_seconds", 3'000},
                                  {"hard_seconds", 3'600}}},
          {"rekey_in_s", udp && inbound ? json(2'700) : json()},
          {"since", since}};
}

json sas() {
  return {{"sas", json::array({sa("in", "0x00001001", false, 3), sa("out", "0x00002001", false, 0),
                               sa("in", "0x00001002", true, 0)})},
          {"total", 3}};
}

json flow(const char* spi, bool udp) {
  return {{"source", udp ? "2001:db8::2" : "192.0.2.2"},
          {"destination", udp ? "2001:db8::1" : "192.0.2.1"},
          {"spi", spi},
          {"protocol", udp ? 17 : 50},
          {"source_port", udp ? json(61'000) : json()},
          {"destination_port", udp ? json(4500) : json()},
          {"port", "outside"},
          {"connection", udp ? "branch" : json()},
          {"class", udp ? "just rekeyed" : "never issued"},
          {"explanation", udp ? "replaced by 0x00001002 2 s ago" : "no SA has had this SPI"},
          {"repair", udp ? "nothing was done" : "the peer was told"},
          {"packets", 12},
          {"first", since},
          {"last", "2025-03-01T12:00:09Z"},
          {"logged", !udp}};
}

json conservation(int received, int tx) {
  return {{"received", received},
          {"from_host", 2},
          {"made", 0},
          {"tx", tx},
          {"host", 4},
          {"control", 0},
          {"consumed", 1},
          {"drops", 7},
          {"holds", received + 2 == tx + 12}};
}

json ports() {
  json outside = json::parse(cli::command(CommandId::show_ports).result)["ports"][0];
  json inside = outside;
  inside.update(
      {{"name", "inside"}, {"device", "net_af_packet0,iface=veth-in"}, {"driver", "net_af_packet"}});
  inside.update({{"link", "down"}, {"speed_mbps", nullptr}, {"ipsec", false}});
  inside.update({{"twin", "inside"}, {"twin_gone", true}, {"link_changes", 3}});
  inside["addresses"] = {"10.1.0.1/24", "2001:db8:1::1/64"};
  inside["offloads"] = json::array();
  return {{"ports", {outside, inside}}};
}

json workers() {
  json document = json::parse(cli::command(CommandId::show_workers).result);
  document["workers"][0]["cycles_per_packet"] = {{{"stage", "parse"}, {"cycles", 21.5}},
                                                 {{"stage", "decrypt"}, {"cycles", 210.25}}};
  document["workers"][0]["burst_histogram"] = {{{"from", 1}, {"to", 1}, {"bursts", 12}},
                                               {{"from", 2}, {"to", 3}, {"bursts", 40}}};
  document["workers"][0]["conservation"] = conservation(1600, 1590);
  document["workers"].push_back(document["workers"][0]);
  document["workers"][1]["worker"] = 1;
  document["workers"][1]["conservation"] = conservation(1600, 1589);
  return document;
}

json routes() {
  json document = json::parse(cli::command(CommandId::show_routes).result);
  document["routes"].push_back({{"prefix", "192.0.2.0/24"},
                                {"via", nullptr},
                                {"port", "outside"},
                                {"state", "connected"},
                                {"mac", nullptr},
                                {"source", "kernel"}});
  return document;
}

json tunnels() {
  json document = json::parse(cli::command(CommandId::show_tunnels).result);
  auto second = document["tunnels"][0];
  auto another = document["tunnels"][0]["peers"][0];
  another.update({{"connection", "depot"}, {"next_hops", {"10.255.0.3", "2001:db8:f::3"}}, {"state", "up"}});
  document["tunnels"][0]["peers"].push_back(another);
  second["name"] = "dc";
  second["kind"] = "gre";
  second["peers"][0]["connection"] = "data-centre";
  second["state"] = "up";
  second["reason"] = nullptr;
  second["addresses"] = {"169.254.9.2/30", "2001:db8:f::2/64"};
  second["drops"] = 0;
  document["tunnels"].push_back(second);
  return document;
}

json policies() {
  json document = json::parse(cli::command(CommandId::show_policies).result);
  auto& first = document["policies"][0];
  auto second = first;
  first["icmp_type"] = nullptr;
  for (const auto* key : {"from_ports", "to_ports", "connection", "spi", "comment"}) second[key] = nullptr;
  second.update({{"priority", 2000},
                 {"from", "0.0.0.0/0"},
                 {"protocol", "icmp"},
                 {"action", "discard"},
                 {"packets", 7}});
  document["policies"].push_back(second);
  document["total"] = 2;
  return document;
}

json policy_match() {
  json document = json::parse(cli::command(CommandId::show_policy_match).result);
  document["policy"]["icmp_type"] = nullptr;
  return document;
}

json traced(int number, const char* verdict) {
  json item = json::parse(cli::command(CommandId::trace_show).result)["packets"][0];
  item.update({{"number", number}, {"verdict", verdict}});
  item["stages"].push_back({{"stage", "lookup"}, {"cycles", nullptr}, {"text", "SA of connection branch"}});
  return item;
}

json frame(std::uint64_t number) {
  json item = json::parse(cli::command(CommandId::capture).result)["frames"][0];
  item["time_ns"] = item["time_ns"].get<std::uint64_t>() + number;
  item["data"] = "AgAAAAABAgAAAAACCABFAAAoAAAAAEAyAADAAAICwAACAQAAEAEAAAABAAAAAAAAAAAAAAAA";
  item["length_bytes"] = 54;
  return item;
}

// Streams that a handler keeps open until the client goes.
void keep(const cli::StreamPtr& stream) {
  static std::list<cli::StreamPtr> open;
  const auto place = open.insert(open.end(), stream);
  stream->when_closed([place] { open.erase(place); });
}

Expected<void> answer_sas(const cli::Request& request, const cli::StreamPtr& stream) {
  if (request.text("connection") == "nobody" || request.spi() == 0xffffu) {
    return Error{"no SA of that name", "`show sa` lists them"};
  }
  stream->pull(
      [rows = sas()["sas"], next = std::size_t{0}]() mutable -> std::optional<json> {
        if (next == rows.size()) return {};
        return rows[next++];
      },
      [] {
        return json{{"total", 3}};
      });
  return {};
}

Expected<void> answer_policies(const cli::Request&, const cli::StreamPtr& stream) {
  stream->pull(
      [rows = policies()["policies"], next = std::size_t{0}]() mutable -> std::optional<json> {
        if (next == rows.size()) return {};
        return rows[next++];
      },
      [] {
        return json{{"total", 2}};
      });
  return {};
}

// Sends the items of an answer and the rest of it at the end.
void pull_all(const cli::StreamPtr& stream, json document, const std::string& items) {
  auto rows = document[items];
  document.erase(items);
  stream->pull(
      [rows, next = std::size_t{0}]() mutable -> std::optional<json> {
        if (next == rows.size()) return {};
        return rows[next++];
      },
      [document] { return document; });
}

Expected<void> answer_trace(const cli::Request& request, const cli::StreamPtr& stream) {
  stream->push(traced(1, "FORWARDED"));
  stream->push(traced(2, "TTL_EXPIRED"));
  if (request.flag("follow")) {
    keep(stream);
  } else {
    stream->finish({{"armed", 8}});
  }
  return {};
}

Expected<void> answer_capture(const cli::Request& request, const cli::StreamPtr& stream) {
  const auto count = request.number("count");
  for (std::uint64_t i = 0; i < count.value_or(1); ++i) stream->push(frame(i));
  if (count) {
    stream->finish({{"lost", 0}});
  } else {
    keep(stream);
  }
  return {};
}

Expected<void> answer_export(const cli::Request&, const cli::StreamPtr& stream) {
  const auto document = canned(CommandId::export_wireshark);
  for (const auto& sa : document["sas"]) stream->push(sa);
  stream->finish({{"total", document["total"]}});
  return {};
}

}  // namespace

json canned(CommandId id) {
  const auto all = counts();
  switch (id) {
    case CommandId::show_drops:
      return cli::drops_by_group(all, json::object(), since);
    case CommandId::show_drops_ipsec:
      return cli::drops_by_reason(all, {{"nonzero", true}}, since);
    case CommandId::show_drops_history: {
      json document = json::parse(cli::command(id).result);
      document["reasons"].push_back({{"number", 322},
                                     {"name", "TTL_EXPIRED"},
                                     {"group", "Forward"},
                                     {"last_1_min", 0},
                                     {"last_5_min", 0},
                                     {"last_30_min", 1}});
      return document;
    }
    case CommandId::show_thresholds: {
      json document = json::parse(cli::command(id).result);
      document["thresholds"].push_back({{"name", "IpsecInput"},
                                        {"number", nullptr},
                                        {"per_minute", 1'000},
                                        {"last_minute", 140},
                                        {"crossed", false},
                                        {"since", nullptr},
                                        {"line", 21}});
      return document;
    }
    case CommandId::show_sa:
      return sas();
    case CommandId::show_invalid_spi:
      return {{"flows", {flow("0xdeadbeef", false), flow("0x00001001", true)}},
              {"found", 3},
              {"limit", 4096},
              {"evicted", 0},
              {"unsampled", 5},
              {"classes",
               {{{"class", "just rekeyed"}, {"packets", 12}}, {{"class", "never issued"}, {"packets", 13}}}},
              {"repairs",
               {{{"repair", "nothing was done"}, {"packets", 12}},
                {{"repair", "the peer was told"}, {"packets", 13}}}}};
    case CommandId::show_ports:
      return ports();
    case CommandId::show_workers:
      return workers();
    case CommandId::show_routes:
      return routes();
    case CommandId::show_tunnels:
      return tunnels();
    case CommandId::show_connections:
      return canned_connections();
    case CommandId::show_ike:
      return canned_ike_sas();
    case CommandId::show_proposals:
      return canned_proposals();
    case CommandId::diagnose:
      return canned_diagnosis();
    case CommandId::show_policies:
      return policies();
    case CommandId::show_policy_match:
      return policy_match();
    case CommandId::trace_show:
      return {{"packets", {traced(1, "FORWARDED"), traced(2, "TTL_EXPIRED")}}, {"armed", 8}};
    case CommandId::capture:
      return {{"frames", {frame(0), frame(1)}}, {"lost", 0}};
    case CommandId::export_wireshark: {
      auto document = json::parse(cli::command(id).result);
      document["sas"][0]["line"] = R"("IPv4","192.0.2.2","192.0.2.1","0x00001001","NULL","","NULL","")";
      document["sas"][0]["ended_s"] = nullptr;
      document["sas"].push_back(document["sas"][0]);
      document["sas"][1].update({{"suite", "chacha20-poly1305"}, {"line", nullptr}});
      document["sas"].push_back(document["sas"][0]);
      document["sas"][2].update({{"direction", nullptr}, {"ended_s", 12}});
      document["total"] = 3;
      return document;
    }
    default:
      return json::parse(cli::command(id).result);
  }
}

cli::Handlers canned_handlers() {
  cli::Handlers handlers;
  for (const auto& command : cli::commands()) {
    if (command.where != cli::Where::answer) continue;
    handlers.answer(command.id,
                    [id = command.id](const cli::Request&) -> Expected<json> { return canned(id); });
  }
  handlers.stream(CommandId::show_sa, answer_sas);
  handlers.stream(CommandId::show_policies, answer_policies);
  for (const auto id :
       {CommandId::show_connections, CommandId::show_events, CommandId::monitor, CommandId::show_ike,
        CommandId::export_evidence, CommandId::diagnose, CommandId::show_invalid_spi})
    handlers.stream(id, [id](const cli::Request&, const cli::StreamPtr& stream) -> Expected<void> {
      pull_all(stream, canned(id), std::string(cli::command(id).items));
      return {};
    });
  handlers.stream(CommandId::trace_show, answer_trace);
  handlers.stream(CommandId::capture, answer_capture);
  handlers.stream(CommandId::export_wireshark, answer_export);
  return handlers;
}

}  // namespace espgate::test
