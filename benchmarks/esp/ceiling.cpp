#include "benchmarks/esp/ceiling.hpp"

#include <rte_cycles.h>
#include <rte_malloc.h>

#include <array>
#include <memory>

#include "benchmarks/raw_ipsec_mb.hpp"

namespace espgate::bench {
namespace {

constexpr std::size_t headers_room = 64;  // in front of each text: ESP header and IV
constexpr std::size_t text_stride = headers_room + largest_inner_bytes / 64 * 64 + 3 * 64;

struct Packet {
  crypto::PreparedKey key;
  std::uint32_t text_bytes;
};

}  // namespace

std::optional<Distribution> measure_ceiling(const Scene& scene, const Load& load, const Traffic& traffic,
                                            Gateway& gateway, unsigned runs) {
  const auto& suite = crypto::suite(scene.suite);
  if (!RawIpsecMb::knows(suite)) return std::nullopt;
  const auto direction =
      scene.direction == Direction::inbound ? crypto::Direction::open : crypto::Direction::seal;

  std::vector<Packet> packets;
  for (const auto& frame : traffic.frames())
    packets.push_back({gateway.sas()[frame.sa].key, frame.text_bytes(suite)});
  // As many texts as the worker's bursts use again and again; twice, because jobs may still be at work on
  // the last burst's.
  std::array<crypto::Operation, 2 * burst_packets> operations{};
  const std::unique_ptr<std::uint8_t, void (*)(void*)> texts(
      static_cast<std::uint8_t*>(rte_zmalloc("texts", operations.size() * text_stride, 64)), rte_free);
  if (!texts) throw Failure("no memory for the texts");
  for (std::size_t i = 0; i < operations.size(); ++i) {
    operations[i].suite = scene.suite;
    operations[i].aad_bytes = 8;
    operations[i].text = texts.get() + i * text_stride + headers_room;
  }

  RawIpsecMb raw;  // behind what its last jobs work on
  std::size_t at = 0;
  return Runs(runs).measure([&] {
    const auto begin = rte_rdtsc();
    for (std::size_t done = 0; done < load.run_packets(scene.suite); done += burst_packets) {
      const auto burst =
          std::span(operations).subspan(done / burst_packets % 2 * burst_packets, burst_packets);
      for (auto& operation : burst) {
        operation.key = packets[at].key;
        operation.text_bytes = packets[at].text_bytes;
        if (++at == packets.size()) at = 0;
      }
      raw.run(burst, direction);
    }
    return static_cast<double>(rte_rdtsc() - begin) / static_cast<double>(load.run_packets(scene.suite));
  });
}

}  // namespace espgate::bench
