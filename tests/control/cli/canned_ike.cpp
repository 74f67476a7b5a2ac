#include "tests/control/cli/canned_ike.hpp"

#include "control/cli/command.hpp"

namespace espgate::test {

using cli::CommandId;
using nlohmann::json;

json canned_connections() {
  json document = json::parse(cli::command(CommandId::show_connections).result);
  document["connections"][0]["reason"] = nullptr;
  auto down = document["connections"][0];
  down.update({{"connection", "depot"},
               {"state", "down"},
               {"reason", "no answer at all to IKE_SA_INIT"},
               {"inbound_spi", nullptr},
               {"outbound_spi", nullptr}});
  auto manual = document["connections"][0];
  manual.update({{"connection", "yard"}, {"keys", "manual"}});
  document["connections"].push_back(down);
  document["connections"].push_back(manual);
  document["total"] = 3;
  return document;
}

json canned_ike_sas() {
  json document = json::parse(cli::command(CommandId::show_ike).result);
  auto down = document["ike_sas"][0];
  down.update({{"connection", "depot"}, {"state", "down"}, {"reason", "no answer at all to IKE_SA_INIT"}});
  for (const auto* key : {"role", "local_port", "remote_port", "peer_id", "initiator_spi", "responder_spi",
                          "algorithms", "age_s", "rekey_in_s", "reauthentication_in_s", "expires_in_s"})
    down[key] = nullptr;
  down["children"] = json::array();
  document["ike_sas"].push_back(down);
  return document;
}

json canned_proposals() {
  json document = json::parse(cli::command(CommandId::show_proposals).result);
  document["algorithms"][0]["refused"] = nullptr;
  auto weak = document["algorithms"][0];
  weak.update(
      {{"name", "aes128-cbc-sha1"}, {"ike", nullptr}, {"traffic", nullptr}, {"refused", "SHA-1 is broken"}});
  weak["ike_allowed"] = weak["traffic_allowed"] = false;
  auto other = document["algorithms"][0];
  other.update({{"kind", "key-exchange"}, {"name", "x448"}, {"ike", nullptr}, {"traffic", 2}});
  document["algorithms"].push_back(weak);
  document["algorithms"].push_back(other);
  return document;
}

json canned_diagnosis() {
  json document = json::parse(cli::command(CommandId::diagnose).result);
  auto& firewall = document["connections"][0];
  firewall["causes"].push_back({{"cause", "peer down"},
                                {"weight", 50},
                                {"evidence", firewall["causes"][0]["evidence"]},
                                {"remedy", "see whether the peer's host runs"}});
  auto well = firewall;
  well.update({{"connection", "depot"}, {"state", "up"}, {"reason", nullptr}});
  well["causes"] = {{{"cause", "all well"},
                     {"weight", 100},
                     {"evidence", {"its SAs are in place, and nothing was sent yet"}},
                     {"remedy", "nothing"}}};
  document["connections"].push_back(well);
  document["left_off"] = 2;
  return document;
}

}  // namespace espgate::test
