// The secrets of the tokens by which peers know that we started anew (RFC 6290): in a file, so that they
// outlive us, and another one now and then.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "datapath/base/expected.hpp"
#include "datapath/base/secret.hpp"

namespace espgate::recovery {

// How long one is given out, counted while it is: no clock of the day has a say in it, which starts at 1970
// or jumps where none is kept. It is good for as long again, which is longer than IKE SAs live.
inline constexpr std::chrono::hours secret_life{24 * 30};

struct TokenSecrets {
  std::vector<Secret>
      secrets;  // the newest first: two at most, which differ in the lowest bit of the first byte
  std::optional<Error> problem;  // what an operator should know: the file was damaged
};

// Another one is made in `folder` where the file is missing, has none that is good, or its newest was given
// out for too long. `given_out`: for so long, since the last time that this was asked; none at a start.
// `random` fills the bytes with what nobody can foresee. May wait for the disk. Errors: the file cannot be
// read or written, or others may have read or written it.
Expected<TokenSecrets> token_secrets(const std::string& folder, std::chrono::seconds given_out,
                                     const std::function<void(std::span<std::uint8_t>)>& random);

}  // namespace espgate::recovery
