#include "control/cli/unix_socket.hpp"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "control/cli/client.hpp"
#include "tests/control/cli/canned.hpp"
#include "tests/control/cli/running_server.hpp"

using namespace espgate;
using namespace espgate::cli;
using test::TemporaryFolder;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

// Bound; nobody listens.
UniqueFd bound(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  REQUIRE(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

// As a daemon that was killed leaves it.
void leave_stale(const std::string& path) {
  bound(path);
}

}  // namespace

TEST_CASE("the socket has its mode whatever the umask, and goes with its owner") {
  TemporaryFolder folder;
  const auto path = folder.path() + "/run/espgate.sock";
  for (const mode_t mode : {0600u, 0660u}) {
    {
      const mode_t before = umask(0077);
      const auto socket = ListeningSocket::open(path, mode);
      umask(before);
      REQUIRE(socket);
      CHECK(mode_of(path) == mode);
    }
    CHECK_FALSE(std::filesystem::exists(path));
  }
}

TEST_CASE("a second instance is told who is there, and the first is left alone") {
  test::RunningServer first(test::canned_handlers());
  const auto second = Server::start({.path = first.path()}, test::canned_handlers());
  REQUIRE_FALSE(second);
  CHECK(second.error().text() == "another espgated is running (pid " + std::to_string(getpid()) + ") on " +
                                     first.path() + "; stop it or set another socket");
  CHECK(
      ask(first.path(), command(CommandId::show_version), nlohmann::json::object(), std::chrono::seconds(5)));
}

TEST_CASE("a stale socket is replaced") {
  TemporaryFolder folder;
  const auto path = folder.path() + "/espgate.sock";
  leave_stale(path);
  const auto connected = connect_unix(path);
  REQUIRE_FALSE(connected);
  CHECK(connected.error().what.empty());
  const auto socket = ListeningSocket::open(path, 0600);
  REQUIRE(socket);
  CHECK(connect_unix(path));
}

TEST_CASE("a daemon that was killed and has not ended yet is waited for") {
  TemporaryFolder folder;
  const auto path = folder.path() + "/espgate.sock";
  auto killed = bound(path);
  REQUIRE(listen(killed.get(), 8) == 0);
  CHECK_FALSE(ListeningSocket::open(path, 0600, {}));
  const auto connected = connect_unix(path);  // what it has not accepted does not matter
  std::thread end([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    killed = {};
  });
  const auto socket = ListeningSocket::open(path, 0600, std::chrono::seconds(30));
  end.join();
  REQUIRE(socket);
  CHECK(connect_unix(path));
}

TEST_CASE("one that lives is not waited for longer than it is said, whatever it does with who connects") {
  TemporaryFolder folder;
  const auto path = folder.path() + "/espgate.sock";
  const auto alive = bound(path);
  REQUIRE(listen(alive.get(), 8) == 0);
  std::atomic<bool> stop = false;
  std::thread hangs_up([&] {
    while (!stop) {
      pollfd watched{alive.get(), POLLIN, 0};
      if (poll(&watched, 1, 5) == 1) close(accept(alive.get(), nullptr, nullptr));
    }
  });
  const auto socket = ListeningSocket::open(path, 0600, std::chrono::milliseconds(100));
  stop = true;
  hangs_up.join();
  REQUIRE_FALSE(socket);
  CHECK_THAT(socket.error().what, Catch::Contains("another espgated is running"));
}

TEST_CASE("what is not a socket is left alone") {
  TemporaryFolder folder;
  const auto path = folder.path() + "/notes.txt";
  std::ofstream(path) << "precious";
  const auto socket = ListeningSocket::open(path, 0600);
  REQUIRE_FALSE(socket);
  CHECK(socket.error().what == path + " exists and is not a socket");
  CHECK(std::filesystem::file_size(path) == 8);
}

TEST_CASE("paths that cannot be are refused with a reason") {
  for (const std::string& path :
       {std::string(), "/tmp/" + std::string(200, 'x'), std::string("/nonexistent/a/b.sock")}) {
    const auto socket = ListeningSocket::open(path, 0600);
    REQUIRE_FALSE(socket);
    CAPTURE(socket.error().text());
    CHECK_FALSE(socket.error().what.empty());
    CHECK_FALSE(socket.error().remedy.empty());
  }
}

TEST_CASE("a socket that somebody else put in our place is not removed") {
  TemporaryFolder folder;
  const auto path = folder.path() + "/espgate.sock";
  {
    const auto socket = ListeningSocket::open(path, 0600);
    REQUIRE(socket);
    std::filesystem::rename(path, path + ".old");
    leave_stale(path);
  }
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("two that start at once do not both win") {
  for (int round = 0; round < 50; ++round) {
    TemporaryFolder folder;
    const auto path = folder.path() + "/espgate.sock";
    leave_stale(path);
    std::vector<Expected<ListeningSocket>> results;
    std::mutex mutex;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        auto result = ListeningSocket::open(path, 0600, {});
        const std::lock_guard lock(mutex);
        results.push_back(std::move(result));
      });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(std::ranges::count_if(results, [](const auto& result) { return result.has_value(); }) == 1);
    REQUIRE(connect_unix(path));
  }
}

TEST_CASE("without a daemon the client says how to start it") {
  TemporaryFolder folder;
  const auto none = Client::connect(folder.path() + "/none.sock");
  REQUIRE_FALSE(none);
  CHECK(none.error().what == "espgated is not running (no socket at " + folder.path() + "/none.sock)");
  CHECK(none.error().remedy ==
        "start it with `systemctl start espgated` or `espgated --config FILE`, or name its socket with "
        "--socket");
  leave_stale(folder.path() + "/stale.sock");
  CHECK(Client::connect(folder.path() + "/stale.sock").error().what ==
        "espgated is not running (nobody listens at " + folder.path() + "/stale.sock)");
}
