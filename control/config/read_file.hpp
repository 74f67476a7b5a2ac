// Reads small files whole, with the checks that keep a wrong path from hanging or filling memory.
#pragma once

#include <cstddef>
#include <string>

#include "datapath/base/expected.hpp"

namespace espgate::config {

struct FileText {
  std::string text;  // may hold secrets: the caller cleanses it
  unsigned mode;     // permission bits, 0777
};

// Errors: cannot be opened (says why), not a regular file, more than `most_bytes`.
Expected<FileText> read_file(const std::string& path, std::size_t most_bytes);

// `path` as seen from the directory of `from`; an absolute path is itself.
std::string beside(const std::string& from, const std::string& path);

// Overwrites the characters, then empties the string.
void cleanse(std::string& text);

}  // namespace espgate::config
