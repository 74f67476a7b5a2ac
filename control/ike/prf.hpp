// Pseudo-random functions of IKEv2 (RFC 7296 2.13, RFC 4868) by OpenSSL. Any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

#include "datapath/base/secret.hpp"

namespace espgate::ike {

// IANA's transform ids.
enum class Prf : std::uint16_t { hmac_sha2_256 = 5, hmac_sha2_384 = 6, hmac_sha2_512 = 7 };

// By transform id; none: not one of ours.
std::optional<Prf> find_prf(std::uint16_t id);
// Of its output and of its keys, which is one number for these.
std::size_t prf_bytes(Prf prf);

// Of the parts one behind the other. Keys may be of any length.
Secret compute(Prf prf, std::span<const std::uint8_t> key,
               std::initializer_list<std::span<const std::uint8_t>> parts);
// prf+: at most 255 outputs' worth of bytes.
Secret expand(Prf prf, std::span<const std::uint8_t> key,
              std::initializer_list<std::span<const std::uint8_t>> seed, std::size_t bytes);

}  // namespace espgate::ike
