// The daemon's Unix socket: listening on it, and who is there already.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "control/cli/protocol.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/base/unique_fd.hpp"

namespace espgate::cli {

// A listening socket at `path`; the file goes when this does, unless somebody put another in its place.
class ListeningSocket {
 public:
  // Takes the place of a stale socket that a killed daemon left. One that was killed just now still listens:
  // its end is waited for. Errors: another espgated listens there (its pid is named), the path holds
  // something else, is too long or may not be written. The folder is made if only its last part is missing.
  // `mode` is the file's from the first moment on.
  static Expected<ListeningSocket> open(const std::string& path, mode_t mode,
                                        std::chrono::milliseconds patience = std::chrono::seconds(1));

  ListeningSocket(ListeningSocket&& other) noexcept;
  ListeningSocket& operator=(ListeningSocket&&) = delete;
  ~ListeningSocket();

  int fd() const { return fd_.get(); }

 private:
  ListeningSocket(UniqueFd fd, std::string path);

  UniqueFd fd_;
  std::string path_;
  dev_t device_ = 0;  // which file at path_ is ours
  ino_t inode_ = 0;
};

// Whether a socket could be made at `path`, as far as can be told without making it: the name fits, a folder
// is there or can be made, and nothing but a socket has the name.
Expected<void> check_socket_path(const std::string& path);

// A connected, non-blocking socket. The error's `what` is "" when nobody listens there (no such file, or a
// stale one); for other errors it says what is wrong.
Expected<UniqueFd> connect_unix(const std::string& path);

// Who is at the other end; zeroes when the kernel does not say.
Peer peer_of(int fd);

}  // namespace espgate::cli
