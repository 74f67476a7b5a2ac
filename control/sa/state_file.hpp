// Files of the state directory, whose folder somebody else may have prepared: what is read was written by us,
// and what is written nobody else has open. All calls may wait for the disk.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>

#include "datapath/base/expected.hpp"
#include "datapath/base/unique_fd.hpp"

namespace espgate::sa {

// To read. Empty: there is none. Errors, with no remedy: it cannot be opened, is not a regular file of ours,
// or others than its owner have one of `forbidden_rights` (S_IRWXG, S_IWOTH and so on). Never waits for a
// writer.
Expected<UniqueFd> open_state_file(const std::string& path, mode_t forbidden_rights);

// To be locked: made where there is none, and read only where the disk is. Errors as above, of a file that
// others can read or write, too.
Expected<UniqueFd> open_lock_file(const std::string& path);

// To read and write: a new file, which only we can open, in the place of whatever was at `path`. Empty: it
// cannot be made, as errno says.
UniqueFd make_state_file(const std::string& path);

// How many bytes from where the file is at, fewer than `most` only at its end. None: it cannot be read, as
// errno says.
std::optional<std::size_t> read_up_to(int file, void* bytes, std::size_t most);

// All of them, from `place` in the file on. False: they cannot be written, as errno says.
bool write_all(int file, const void* bytes, std::size_t count, std::size_t place = 0);

}  // namespace espgate::sa
