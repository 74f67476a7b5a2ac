// The secrets of the tokens by which peers know that we started anew (RFC 6290): in a file, so that they
// outlive us, and another one now and then.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "control/sa/moment.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/base/secret.hpp"

namespace espgate::recovery {

// How long one is given out. It is good for as long again, which is longer than IKE SAs live.
inline constexpr std::chrono::hours secret_life{24 * 30};

// The newest first: two at most, which differ in the lowest bit of the first byte. Made anew in `folder`
// where the file is missing, is not what it should be, or its newest is too old. `random` fills the bytes
// with what nobody can foresee. Errors: the file cannot be read or written.
Expected<std::vector<Secret>> token_secrets(const std::string& folder, WallTime now,
                                            const std::function<void(std::span<std::uint8_t>)>& random);

}  // namespace espgate::recovery
