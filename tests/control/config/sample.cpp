#include "tests/control/config/sample.hpp"

#include <fmt/format.h>

#include <cstdint>

// libconfig 1.5 loses the last text before a syntax error. Only the leak checker of a sanitizer build asks.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:strbuf_append\n";
}

namespace espgate::config::test {
namespace {

// SplitMix64: distinct inputs give distinct outputs, which is all that the keys need.
std::uint64_t mixed(std::uint64_t value) {
  value += 0x9e37'79b9'7f4a'7c15;
  value = (value ^ (value >> 30)) * 0xbf58'476d'1ce4'e5b9;
  value = (value ^ (value >> 27)) * 0x94d0'49bb'1331'11eb;
  return value ^ (value >> 31);
}

std::string key(std::uint64_t sa) {
  return fmt::format("0x{:016x}{:016x}{:08x}", mixed(2 * sa), mixed(2 * sa + 1), sa & 0xffff'ffff);
}

}  // namespace

std::string all(const std::vector<Problem>& problems) {
  std::string text;
  for (const auto& problem : problems) text += problem.text() + "\n";
  return text;
}

std::string generated(std::size_t connections) {
  std::string text = fmt::format(
      "limits = {{ inbound-sas = {0}; outbound-sas = {0}; policies = {1}; }};\n"
      "ports = ( {{ name = \"outside\"; device = \"0000:3b:00.0\"; ipsec = true; "
      "addresses = [ \"192.0.2.1/24\" ]; }} );\n"
      "connections = (\n",
      connections + 16, 2 * connections + 16);
  for (std::size_t i = 0; i < connections; ++i)
    text += fmt::format(
        "  {{ name = \"c{0}\"; local = \"192.0.2.1\"; remote = \"198.{1}.{2}.{3}\"; "
        "local-networks = [ \"10.0.0.0/8\" ]; remote-networks = [ \"2001:db8:{4:x}:{5:x}::/64\", "
        "\"172.{6}.{2}.{3}/32\" ]; suite = \"aes128-gcm16\"; replay-window = 1024; "
        "inbound = {{ spi = {7:#x}; key = \"{8}\"; }}; outbound = {{ spi = {7:#x}; key = \"{9}\"; }}; "
        "}}{10}\n",
        i, 18 + i / 65536 % 2, i / 256 % 256, i % 256, i / 65536, i % 65536, 16 + i / 65536, 0x1000 + i,
        key(2 * i), key(2 * i + 1), i + 1 < connections ? "," : "");
  return text + ");\n";
}

}  // namespace espgate::config::test
