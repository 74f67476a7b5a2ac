#include "control/config/others_write.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace espgate::config {

std::optional<Error> others_write(const std::filesystem::path& path, std::string_view consequence) {
  for (auto place = path;; place = place.parent_path()) {
    struct stat status {};
    if (stat(place.c_str(), &status) != 0)
      return Error{
          fmt::format("cannot look at {}: {}", place.string(), std::generic_category().message(errno)),
          "correct the path or its permissions"};
    const bool is_own = status.st_uid == 0 || status.st_uid == geteuid();
    // In a folder with the sticky bit nobody replaces what is another's, but everybody makes new files.
    const bool keeps_what_is_there = place != path && (status.st_mode & S_ISVTX) != 0;
    if (!is_own || (!keeps_what_is_there && (status.st_mode & (S_IWGRP | S_IWOTH)) != 0))
      return Error{fmt::format("others than root can write to {}, and so {}", place.string(), consequence),
                   fmt::format("chown root {0}; chmod go-w {0}", place.string())};
    if (place == place.root_path()) return std::nullopt;
  }
}

}  // namespace espgate::config
