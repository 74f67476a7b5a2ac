// Who else could put other files in the place of ours.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "datapath/base/expected.hpp"

namespace espgate::config {

// That others than root and ourselves can change `path`, which has no symbolic links, or put something else
// in its place from a folder above it, and so do what `consequence` says; or that one of them cannot be
// looked at. None: nobody can.
std::optional<Error> others_write(const std::filesystem::path& path, std::string_view consequence);

}  // namespace espgate::config
