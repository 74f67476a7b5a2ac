// The program that is run when something happens: that nobody but root can put another in its place, and that
// who it runs as can run it and is not root.
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <optional>
#include <system_error>

#include "control/config/others_write.hpp"
#include "control/config/read.hpp"
#include "control/config/words.hpp"

namespace espgate::config {
namespace {

struct User {
  std::uint32_t uid;
  std::uint32_t gid;
};

std::optional<User> find_user(const std::string& name) {
  std::array<char, 16'384> buffer;
  passwd entry{};
  passwd* found = nullptr;
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  return User{entry.pw_uid, entry.pw_gid};
}

// As the kernel judges it: by the first of the three that fits.
bool may_enter(const struct stat& status, User user) {
  if (status.st_uid == user.uid) return (status.st_mode & S_IXUSR) != 0;
  if (status.st_gid == user.gid) return (status.st_mode & S_IXGRP) != 0;
  return (status.st_mode & S_IXOTH) != 0;
}

std::optional<Error> fault_of(const std::string& program, User user) {
  std::error_code problem;
  const auto path = std::filesystem::canonical(program, problem);
  if (problem) return Error{fmt::format("cannot run {}: {}", program, problem.message()), "correct the path"};
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    return Error{fmt::format("{} is not a file", program), "name a program"};
  if (auto fault = others_write(path, "decide what is run")) return fault;
  for (auto place = path;; place = place.parent_path()) {
    if (stat(place.c_str(), &status) != 0)
      return Error{fmt::format("cannot look at {}", place.string()), "correct the path or its permissions"};
    if (!may_enter(status, user))
      return Error{
          fmt::format("hook-user may not {} {}", place == path ? "execute" : "enter", place.string()),
          fmt::format("chmod a+x {}", place.string())};
    if (place == place.root_path()) return std::nullopt;
  }
}

}  // namespace

void read_hook(const GroupReader& top, Hook& hook) {
  std::string program;
  std::string name;
  top.text("hook-user", name);
  if (!top.text("on-invalid-spi", program) || program.empty() || name.empty()) return;
  if (!program.starts_with('/'))
    return top.error("on-invalid-spi", fmt::format("{} is not an absolute path", shown(program)),
                     "write the path from the root directory, such as \"/usr/local/sbin/tell-operators\"");
  const auto user = find_user(name);
  if (!user)
    return top.error(
        "hook-user", fmt::format("there is no user {}", shown(name)),
        "name a user of this machine, or make one: useradd --system --shell /usr/sbin/nologin NAME");
  if (user->uid == 0 || user->gid == 0)
    return top.error("hook-user", fmt::format("{} is root, or of root's group", shown(name)),
                     "name a user that may do nothing, such as \"nobody\"");
  if (auto fault = fault_of(program, *user)) return top.error("on-invalid-spi", fault->what, fault->remedy);
  // What was looked at is run, wherever a symbolic link leads later.
  hook = {std::filesystem::canonical(program).string(), user->uid, user->gid};
}

}  // namespace espgate::config
