// The canned answers about connections and their negotiation.
#pragma once

#include <nlohmann/json.hpp>

namespace espgate::test {

nlohmann::json canned_connections();
nlohmann::json canned_ike_sas();
nlohmann::json canned_proposals();
nlohmann::json canned_diagnosis();

}  // namespace espgate::test
