#include "control/config/others_write.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace espgate::config {
namespace {

// In a folder with the sticky bit nobody replaces what is another's.
bool others_write(const struct stat& status) {
  const bool is_shared_folder = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  const bool own = status.st_uid == 0 || status.st_uid == geteuid();
  return !own || (!is_shared_folder && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0);
}

}  // namespace

std::optional<std::filesystem::path> place_that_others_write(const std::filesystem::path& path) {
  for (auto place = path;; place = place.parent_path()) {
    struct stat status {};
    if (stat(place.c_str(), &status) != 0 || others_write(status)) return place;
    if (place == place.root_path()) return std::nullopt;
  }
}

}  // namespace espgate::config
