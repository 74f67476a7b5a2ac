// SPI knowledge as two maps, and misses made by hand.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/recovery/invalid_spi_handler.hpp"

namespace espgate::recovery::test {

struct FakeKnowledge : sa::SpiKnowledge {
  sa::SpiFacts about(std::uint32_t spi) const override {
    const auto found = spis.find(spi);
    return found == spis.end() ? sa::SpiFacts{} : found->second;
  }
  std::string_view connection_of_peer(const net::Address& remote) const override {
    const auto found = peers.find(remote);
    return found == peers.end() ? std::string_view{} : found->second;
  }

  std::map<std::uint32_t, sa::SpiFacts> spis;
  std::map<net::Address, std::string> peers;
};

// Says that it did what `answer` says, as often as `tokens` let it, and remembers for whom.
struct FakeRepairer : Repairer {
  Repair repair(std::string_view connection, const sa::SpiMiss& miss, Moment now) override {
    const auto peer = net::Address::from_bytes(miss.family, miss.source);
    asked.push_back({std::string(connection), net::to_string(peer), miss.spi});
    return tokens && !tokens->take(now.steady) ? Repair::limited : answer;
  }

  struct Asked {
    std::string connection;
    std::string peer;
    std::uint32_t spi;
  };
  std::vector<Asked> asked;
  Repair answer = Repair::no_ike;
  std::optional<TokenBucket> tokens;
};

inline sa::SpiMiss miss(const char* source, const char* destination, std::uint32_t spi,
                        sa::Encapsulation encapsulation = sa::Encapsulation::none) {
  sa::SpiMiss result{};
  const auto from = net::parse_address(source).value();
  const auto to = net::parse_address(destination).value();
  std::ranges::copy(from.bytes, result.source);
  std::ranges::copy(to.bytes, result.destination);
  result.family = from.family;
  result.spi = spi;
  result.encapsulation = encapsulation;
  if (encapsulation == sa::Encapsulation::udp) result.source_port = result.destination_port = 4500;
  return result;
}

// The flows with that SPI, the most recently seen first.
inline std::vector<Flow> flows_of(const InvalidSpiHandler& handler, std::uint32_t spi) {
  std::vector<Flow> flows;
  handler.table().visit([&](const Flow& flow) {
    if (flow.key.spi == spi) flows.push_back(flow);
    return true;
  });
  return flows;
}

}  // namespace espgate::recovery::test
