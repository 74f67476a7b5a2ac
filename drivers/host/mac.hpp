// Ethernet addresses as the kernel and the ports exchange them.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace espgate::host {

using Mac = std::array<std::uint8_t, 6>;

// "02:00:00:00:00:01"
std::string to_string(const Mac& mac);

}  // namespace espgate::host
