// A client's end of the stream that a journal tells its events on.
#pragma once

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "control/daemon/journal.hpp"
#include "tests/control/daemon/stream_client.hpp"

namespace espgate::daemon::test {

class EventClient : public StreamClient {
 public:
  // Each line so far.
  std::vector<nlohmann::json> documents() {
    text_ += arrived();
    std::stringstream lines(text_);
    std::vector<nlohmann::json> all;
    for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
  // The events' subjects so far, and "end" for the closing result.
  std::string subjects() {
    std::string all;
    for (const auto& document : documents())
      all += document.contains("item") ? document["item"]["subject"].get<std::string>() + " " : "end";
    return all;
  }
  // Of each event so far.
  std::vector<std::string> texts() {
    std::vector<std::string> all;
    for (const auto& document : documents())
      if (document.contains("item")) all.push_back(document["item"]["text"]);
    return all;
  }

 private:
  std::string text_;
};

}  // namespace espgate::daemon::test
