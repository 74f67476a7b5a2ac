// Who else could put other files in the place of ours.
#pragma once

#include <filesystem>
#include <optional>

namespace espgate::config {

// The file or folder, or one above it, in which others than root and ourselves can change what is there;
// none: in none of them. `path` is there and has no symbolic links. Errors of looking count as one that
// others can change.
std::optional<std::filesystem::path> place_that_others_write(const std::filesystem::path& path);

}  // namespace espgate::config
