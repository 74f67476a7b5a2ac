// Whether certificates are of any use today. What is found is for a warning: by another clock it may be good.
#pragma once

#include <ctime>
#include <optional>
#include <span>

#include "control/ike/certificate.hpp"
#include "datapath/base/expected.hpp"

namespace espgate::config {

// The first one that has expired or is not valid yet, and what to do; none: all are valid. Any thread.
std::optional<Error> not_valid(std::span<const ike::X509Certificate> certificates, std::time_t now);

}  // namespace espgate::config
