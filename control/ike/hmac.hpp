// HMAC of parts one behind the other. Not for users of control/ike.
#pragma once

#include <initializer_list>
#include <span>

#include "datapath/base/secret.hpp"

namespace espgate::ike {

// `digest`: OpenSSL's name. Throws std::bad_alloc when OpenSSL cannot, which only want of memory makes it.
Secret hmac(const char* digest, std::span<const std::uint8_t> key,
            std::initializer_list<std::span<const std::uint8_t>> parts);

}  // namespace espgate::ike
