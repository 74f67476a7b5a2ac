// The tunnel rig with SAs in transport mode and GRE between packet and SA.
#pragma once

#include "tests/datapath/worker/tunnel_rig.hpp"

namespace espgate::test {

inline constexpr std::uint8_t gre_protocol = net::protocol_gre;

struct GreRig : TunnelRig {
  net::gre::Options gre;

  explicit GreRig(const net::gre::Options& gre_options = {}, net::Family outer = net::Family::v4,
                  const sa::OuterFields& outer_fields = {})
      : TunnelRig({.outer = outer, .mode = sa::Mode::transport, .outer_fields = outer_fields},
                  {.gre = true, .options = gre_options}),
        gre(gre_options) {}

  static Bytes wrapped(const Bytes& packet, const net::gre::Options& gre_options) {
    Bytes result(net::gre::header_bytes(gre_options));
    result.insert(result.end(), packet.begin(), packet.end());
    net::gre::write(result, gre_options, packet[0] >> 4 == 4 ? net::Family::v4 : net::Family::v6);
    return result;
  }
  Output gre_from_peer(const Bytes& gre_packet) {
    return run(outside, esp_frame(++sequence_, gre_packet, gre_protocol));
  }
  std::string verdicts_of(const Bytes& gre_packet) {
    const auto before = drops();
    gre_from_peer(gre_packet);
    CHECK(drops() == before + 1);
    return verdicts();
  }

 private:
  std::uint64_t sequence_ = 0;
};

}  // namespace espgate::test
