// One good frame of each kind: what the tests damage and the fuzzer starts from.
#pragma once

#include "tests/datapath/parse/frames.hpp"

namespace espgate::testing {

inline std::vector<Frame> one_of_each() {
  const Frame eth4 = ethernet(0x0800), eth6 = ethernet(0x86dd);
  return {
      eth4 + Ipv4{}(esp()),
      eth4 + Ipv4{.options = Frame(40, 1)}(esp()),
      eth4 + Ipv4{.fragment = 0x2000}(esp()),
      ethernet(0x0800, {7, 100}, 0x88a8) + Ipv4{}(esp()),
      eth4 + Ipv4{.protocol = 17}(udp(4500, 4500, esp())),
      eth4 + Ipv4{.protocol = 17}(udp(4500, 4500, Frame(32, 0))),
      eth4 + Ipv4{.protocol = 17}(udp(4500, 4500, {0xff})),
      eth4 + Ipv4{.protocol = 17}(udp(500, 500, Frame(28, 0))),
      eth4 + Ipv4{.protocol = 6}(Frame(40, 0)),
      eth6 + Ipv6{}(esp()),
      eth6 + Ipv6{.next_header = 0}(extension(60) + extension(43, 3) + extension(50) + esp()),
      eth6 + Ipv6{.next_header = 44}(fragment_header(50, 0, true) + esp()),
      eth6 + Ipv6{.next_header = 17}(udp(4500, 4500, esp())),
      ethernet(0x0806) + Frame(46, 0),
  };
}

}  // namespace espgate::testing
