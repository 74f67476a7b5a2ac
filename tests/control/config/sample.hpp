// Configuration texts and files for tests.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/problem.hpp"

namespace espgate::config::test {

// A directory of its own that is gone when the test is.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "espgate-config-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Writes a file with `mode` and returns its path.
  std::string write(std::string_view name, std::string_view text, mode_t mode = 0600) const {
    const auto file = path(name);
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file, std::ios::binary) << text;
    chmod(file.c_str(), mode);
    return file;
  }

 private:
  std::string path_;
};

// The least that loads without a warning.
inline constexpr std::string_view minimal =
    R"(ports = ( { name = "p0"; device = "0000:3b:00.0"; ipsec = true; } );
)";

// Enough for `ike` of a connection.
inline constexpr std::string_view psk = "psk = \"correct horse battery\";";

// A line each.
std::string all(const std::vector<Problem>& problems);

// A valid file with `connections` tunnels of one inbound and one outbound SA each, a connection a line.
std::string generated(std::size_t connections);

}  // namespace espgate::config::test
