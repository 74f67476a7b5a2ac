// The two ports of a measurement: net_pcap, which repeats the traffic's frames for ever, and net_null,
// which discards what it is given.
#pragma once

#include <memory>
#include <string>

#include "benchmarks/esp/gateway.hpp"
#include "benchmarks/esp/traffic.hpp"
#include "drivers/port/open_port.hpp"

namespace espgate::bench {

class Ports {
 public:
  // Opens them and puts them into gateway.shared. While they are open the pcap's frames are in buffers.
  Ports(const Scene& scene, const Load& load, const Traffic& traffic, Gateway& gateway);
  ~Ports();
  Ports(const Ports&) = delete;
  Ports& operator=(const Ports&) = delete;
  static std::size_t memory_bytes(const Scene& scene, const Load& load);

  std::uint16_t source() const { return source_; }  // DPDK port ids
  std::uint16_t sink() const { return sink_; }
  unsigned buffers_in_use() const;

 private:
  std::uint16_t open(std::uint8_t port, const std::string& name, const std::string& arguments);

  Gateway& gateway_;
  rte_mempool* buffers_;
  std::unique_ptr<port::OpenPort> open_[2];
  std::string names_[2];
  std::uint16_t source_ = 0;
  std::uint16_t sink_ = 0;
};

}  // namespace espgate::bench
