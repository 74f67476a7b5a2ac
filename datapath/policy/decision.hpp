// What a policy says of a packet: one word, as workers read it and control replaces it.
#pragma once

#include <cstdint>

namespace espgate::policy {

struct Decision {
  std::uint32_t value = 0;  // 0: no policy matches

  static constexpr std::uint32_t first_sa = 16;  // from here on: protect, by outbound SA value - first_sa

  static constexpr Decision none() { return {0}; }
  static constexpr Decision bypass() { return {1}; }
  static constexpr Decision discard() { return {2}; }
  static constexpr Decision protect_without_sa() { return {3}; }
  // The packet has no ports to judge, and a policy goes by them that would match in everything else. Only a
  // lookup says so.
  static constexpr Decision ports_unknown() { return {4}; }
  static constexpr Decision protect(std::uint32_t outbound_sa) { return {first_sa + outbound_sa}; }
  bool is_protect() const { return value >= first_sa; }
  bool demands_protection() const { return is_protect() || value == protect_without_sa().value; }
  std::uint32_t outbound_sa() const { return value - first_sa; }
  bool operator==(const Decision&) const = default;
};

}  // namespace espgate::policy
