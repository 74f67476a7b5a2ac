// Configurations with one mistake each, and what must be said about it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "control/config/load.hpp"

namespace espgate::config::test {

struct Case {
  std::string_view text;  // from line 2 on; line 1 is test::minimal's port
  unsigned line;
  std::string_view path;
  std::string_view message;  // a part of it
  std::string_view remedy;   // a part of it
};

// Loads each; `first_line` is line 1 of the file.
void check(std::span<const Case> cases, std::string_view first_line);

}  // namespace espgate::config::test

// Two different keys for aes128-gcm16.
#define KEY_A "\"0x47e9a2f10c6b35d88e1f7a02d4c9b3605b21e6f4\""
#define KEY_B "\"0x9d30b6c85af2417e63c1d80f2b94e7a50e7fc813\""
#define KEY_C "\"0xc05d1e8f3a926b47d7f08c31a5e42b960c4d8e1f\""
#define KEY_D "\"0x13579bdf02468ace5c3a1f7e9d8b6042a1b2c3d4\""

// A connection with line breaks before the SAs, and with room for more keys at its end.
#define OUTER(name, remote, network)                                 \
  "{ name = \"" name "\"; local = \"192.0.2.1\"; remote = \"" remote \
  "\"; local-networks = [ \"10.1.0.0/24\" ]; remote-networks = [ \"" network "\" ];\n"
#define INBOUND(spi, key) "inbound = { spi = " spi "; key = " key "; };\n"
#define OUTBOUND(spi, key) "outbound = { spi = " spi "; key = " key "; };\n"
#define ONE(more) "connections = ( " OUTER("a", "192.0.2.2", "10.2.0.0/24") more "} );"
