// The crypto engines by name, as `crypto-engine` in the configuration gives it.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "datapath/base/expected.hpp"
#include "datapath/crypto/engine.hpp"

namespace espgate::crypto {

// "ipsec-mb", "openssl".
std::span<const std::string_view> engine_names();

// Errors: no such engine, or it cannot run on this machine.
Expected<std::unique_ptr<Engine>> make_engine(std::string_view name);

}  // namespace espgate::crypto
