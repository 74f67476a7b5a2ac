#include "datapath/net/siphash.hpp"

#include <catch2/catch.hpp>

using namespace espgate::net;

TEST_CASE("SipHash-2-4 gives the value of its authors' paper, appendix A") {
  SipHash24 hash({0x0706'0504'0302'0100, 0x0f0e'0d0c'0b0a'0908});
  hash.add(0x0706'0504'0302'0100);
  CHECK(hash.finish(0x0f0e'0d0c'0b0a'0908) == 0xa129'ca61'49be'45e5);  // 15 bytes, and their number
}
