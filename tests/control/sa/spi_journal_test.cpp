#include "control/sa/spi_journal.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include "tests/control/sa/surroundings.hpp"

using namespace espgate;
using namespace espgate::sa;
using namespace std::chrono_literals;

namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/espgate-journal-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file() const { return path + "/spi-journal"; }
  std::unique_ptr<SpiJournal> open(std::uint32_t most = 8) const {
    auto opened = SpiJournal::open(path, most);
    REQUIRE(opened);
    return std::move(*opened);
  }
  std::string path;
};

const auto peer4 = net::parse_address("198.51.100.7").value();
const auto peer6 = net::parse_address("2001:db8::7").value();
// Nothing tells that anything is missing.
bool is_cut_between(const std::string& text, const std::string& before) {
  return text.size() % 128 == 0 && before.starts_with(text);
}

const Moment noon{1s, std::chrono::system_clock::time_point(1'700'000'000'123ms)};

}  // namespace

TEST_CASE("what was noted is known after a restart, and not before") {
  const Folder folder;
  auto journal = folder.open();
  REQUIRE(journal->note(0x1001, {peer4, "site", 0x1111, 0x2222, true}, noon));
  const std::string long_name(200, 'x');
  REQUIRE(journal->note(0x1002, {peer6, long_name}, noon));
  CHECK_FALSE((journal->find(0x1001)->is_before_restart || journal->was_before("site")));
  journal.reset();
  journal = folder.open();
  CHECK(journal->size() == 2);
  CHECK((journal->find(0x1001)->is_before_restart && journal->was_before(long_name)));
  CHECK((journal->was_before("site") && !journal->was_before("sit")));
  const auto first = journal->find(0x1001), second = journal->find(0x1002);
  REQUIRE((first && second));
  CHECK(first->peer == peer4);
  CHECK(first->connection == "site");
  CHECK((first->ike_initiator == 0x1111 && first->ike_responder == 0x2222 && first->we_began));
  CHECK(first->when == noon.wall);
  CHECK(second->peer == peer6);
  CHECK(second->connection == std::string(69, 'x'));
  CHECK_FALSE(journal->find(0x1003));
  CHECK((std::filesystem::status(folder.file()).permissions() & std::filesystem::perms::mask) ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}

TEST_CASE("the newest have the room, over any number of restarts, and the file never grows") {
  const Folder folder;
  std::uint32_t spi = 1000;
  for (int life = 0; life < 5; ++life) {
    auto journal = folder.open();
    for (int i = 0; i < 3; ++i) REQUIRE(journal->note(spi++, {peer4, "site"}, noon));
  }
  {
    const auto journal = folder.open();
    CHECK(journal->size() == 8);
    for (std::uint32_t i = 1000; i < spi; ++i) CHECK(journal->find(i).has_value() == (i >= spi - 8));
    CHECK(std::filesystem::file_size(folder.file()) == 8 * 128);
    // A new one takes the place of the oldest.
    REQUIRE(journal->note(spi, {peer4, "site"}, noon));
    CHECK_FALSE(journal->find(spi - 8));
    CHECK(journal->find(spi - 7));
  }
  CHECK(folder.open(3)->size() == 3);
  CHECK(folder.open(1'000)->size() == 3);
}

TEST_CASE("what cannot be written is known all the same, and said") {
  const Folder folder;
  REQUIRE(folder.open()->note(0x1001, {peer4, "site", 0x1111, 0x2222, true}, noon));
  CHECK(folder.open()->problems().empty());
  const auto child = fork();
  if (child == 0) {  // as with a full disk
    signal(SIGXFSZ, SIG_IGN);
    const rlimit none{0, 0};
    setrlimit(RLIMIT_FSIZE, &none);
    const auto journal = SpiJournal::open(folder.path, 8);
    const bool is_known = journal && (*journal)->find(0x1001) && (*journal)->find(0x1001)->is_before_restart;
    const bool goes_on =
        is_known && (*journal)->note(0x1002, {peer4, "site"}, noon) && (*journal)->find(0x1002);
    const auto& problems = (*journal)->problems();
    const bool is_said = goes_on && problems.size() == 1 &&
                         problems[0].text().find("cannot write " + folder.file()) != std::string::npos;
    _exit(is_said && !std::filesystem::exists(folder.file() + ".new") ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(folder.open()->find(0x1001));
}

TEST_CASE("a damaged file tells what of it is good, and no more") {
  const Folder folder;
  for (std::uint32_t spi = 1000; spi < 1008; ++spi) REQUIRE(folder.open()->note(spi, {peer4, "site"}, noon));
  const auto before = [&] {
    std::ifstream in(folder.file(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }();
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    auto text = before;
    const auto place = random() % text.size();
    switch (i % 3) {
      case 0:
        text[place] = static_cast<char>(text[place] ^ (1 << random() % 8));
        break;
      case 1:
        text.resize(place);
        break;
      default:
        text.insert(place, 1, 'x');
    }
    std::ofstream(folder.file(), std::ios::binary) << text;
    const auto journal = folder.open();
    CAPTURE(i, place);
    CHECK((journal->problems().size() == 1) == (text != before && !is_cut_between(text, before)));
    if (i % 3 == 0) CHECK(journal->size() >= 7);  // the rest of the last slot is not looked at
    for (std::uint32_t spi = 0; spi < 2000; ++spi)
      if (const auto entry = journal->find(spi)) {
        REQUIRE((spi >= 1000 && spi < 1008));
        REQUIRE((entry->peer == peer4 && entry->connection == "site" && entry->when == noon.wall));
      }
  }
}

TEST_CASE("a file that cannot be read or trusted is told, and left as it is") {
  const Folder folder;
  REQUIRE(folder.open()->note(0x1001, {peer4, "site"}, noon));
  const auto said = [&] {
    const auto journal = folder.open();
    CHECK(journal->size() == 0);
    CHECK(journal->note(0x1002, {peer4, "site"}, noon));  // in memory
    REQUIRE(journal->problems().size() == 1);
    return journal->problems()[0].text();
  };
  std::filesystem::permissions(folder.file(), std::filesystem::perms::group_write,
                               std::filesystem::perm_options::add);
  CHECK_THAT(said(), Catch::Contains("cannot trust " + folder.file()) && Catch::Contains("left as it is"));
  std::filesystem::permissions(folder.file(), std::filesystem::perms::group_write,
                               std::filesystem::perm_options::remove);
  const auto elsewhere = folder.path + "/elsewhere";
  std::filesystem::rename(folder.file(), elsewhere);
  std::filesystem::create_symlink(elsewhere, folder.file());
  CHECK_THAT(said(), Catch::Contains("cannot open " + folder.file()));
  std::filesystem::rename(elsewhere, folder.file());
  CHECK(folder.open()->find(0x1001));
}

// Needs the right to mount, and is left out without it.
TEST_CASE("a file that fails as it is read is told, and a folder that is read-only is used") {
  const Folder folder;
  REQUIRE(folder.open()->note(0x1001, {peer4, "site"}, noon));
  const auto child = fork();
  if (child == 0) {
    const auto* path = folder.path.c_str();
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", "", MS_REC | MS_PRIVATE, "") != 0 ||
        mount(path, path, "", MS_BIND, "") != 0)
      _exit(2);
    const auto file = folder.file();
    if (mount("/proc/self/mem", file.c_str(), "", MS_BIND, "") != 0) _exit(2);  // nothing can be read at 0
    auto failing = SpiJournal::open(folder.path, 8);
    const bool is_said = failing && (*failing)->problems().size() == 1 &&
                         (*failing)->problems()[0].what == "cannot read " + file + ": Input/output error";
    if (failing) failing->reset();
    umount(file.c_str());
    if (mount("", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY, "") != 0) _exit(2);
    const auto fixed = SpiJournal::open(folder.path, 8);
    _exit(is_said && fixed && (*fixed)->find(0x1001) && (*fixed)->problems().size() == 1 ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WEXITSTATUS(status) == 2)
    WARN("no right to mount");
  else
    CHECK(status == 0);
}

TEST_CASE("what was noted survives a process that is killed") {
  const Folder folder;
  const auto child = fork();
  if (child == 0) {
    const auto journal = SpiJournal::open(folder.path, 8);
    if (journal) (void)(*journal)->note(0x4711, {peer4, "site"}, noon);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(folder.open()->find(0x4711));
}

TEST_CASE("a folder that is in use, or not there, is an error that says so") {
  const Folder folder;
  const auto first = folder.open();
  const auto second = SpiJournal::open(folder.path, 8, 40ms);
  REQUIRE_FALSE(second);
  CHECK_THAT(second.error().text(), Catch::Contains(folder.path + "/lock"));
  CHECK_FALSE(SpiJournal::open(folder.path + "/not-there", 8));
}

TEST_CASE("who comes while a process that had the folder is on its way out waits for it") {
  const Folder folder;
  auto first = folder.open();
  std::thread leaving([&] {
    std::this_thread::sleep_for(200ms);
    first.reset();
  });
  CHECK(SpiJournal::open(folder.path, 8));
  leaving.join();
}

TEST_CASE("a file that somebody cuts off under us, or that cannot be written, does no harm") {
  const Folder folder;
  auto journal = folder.open();
  REQUIRE(journal->note(0x1001, {peer4, "site"}, noon));
  std::filesystem::resize_file(folder.file(), 0);
  REQUIRE(journal->note(0x1002, {peer4, "site"}, noon));
  CHECK(journal->find(0x1001));
  journal.reset();
  CHECK(folder.open()->find(0x1002));
  // As a full or broken disk would: no file may grow any more, and this one has to.
  journal = folder.open();
  std::filesystem::resize_file(folder.file(), 0);
  const auto child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit none{0, 0};
    setrlimit(RLIMIT_FSIZE, &none);
    const auto noted = journal->note(0x1003, {peer4, "site"}, noon);
    _exit(!noted && journal->find(0x1003) ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("without tombstones the journal tells what was ours, and without both nothing does") {
  const Folder folder;
  const auto journal = folder.open();
  const bool is_kept = GENERATE(false, true);
  using sa::test::Surroundings;
  auto options = Surroundings::default_options();
  options.tombstones = 0;
  Surroundings surroundings({64, 32, 2}, options, is_kept ? journal.get() : nullptr);
  surroundings.configuration.connections = {sa::test::connection(1)};
  surroundings.configure();
  REQUIRE(journal->note(0x1001, {peer4, "one"}, noon));
  REQUIRE(surroundings.manager.retire_inbound(0x1001, Reason::expired, surroundings.now));
  const auto facts = surroundings.manager.about(0x1001);
  CHECK(facts.standing == (is_kept ? SpiFacts::Standing::retired : SpiFacts::Standing::unknown));
  CHECK(facts.connection == (is_kept ? "one" : ""));
  if (is_kept) CHECK(facts.reason == Reason::deleted);
}

TEST_CASE("what was deleted before a restart is told from what was in use then") {
  const Folder folder;
  auto journal = folder.open();
  for (const auto spi : {0x2001u, 0x2002u}) REQUIRE(journal->note(spi, {peer4, "gone", 1, 2, true}, noon));
  REQUIRE(journal->end(0x2001));
  REQUIRE(journal->end(0x9999));  // never noted
  journal.reset();
  journal = folder.open();
  CHECK(journal->size() == 2);
  CHECK((journal->find(0x2001)->has_ended && journal->find(0x2001)->we_began));
  CHECK_FALSE(journal->find(0x2002)->has_ended);
  using sa::test::Surroundings;
  Surroundings surroundings({64, 32, 2}, Surroundings::default_options(), journal.get());
  surroundings.configuration.connections = {sa::test::connection(1)};
  surroundings.configure();
  const auto facts = surroundings.manager.about(0x2001);
  CHECK(facts.standing == SpiFacts::Standing::retired);
  CHECK(facts.reason == Reason::deleted);
  CHECK(facts.peer == peer4);
  CHECK(surroundings.manager.about(0x2002).standing == SpiFacts::Standing::before_restart);
  // Workers know what was left behind, and no more.
  CHECK_FALSE(surroundings.store->is_earlier(0x2001));
  CHECK(surroundings.store->is_earlier(0x2002));
  // Given out again, it is in use.
  REQUIRE(journal->note(0x2001, {peer4, "site"}, noon));
  CHECK_FALSE(journal->find(0x2001)->has_ended);
}

TEST_CASE("SPIs of before a restart are known by the manager, and not given out") {
  const Folder folder;
  auto journal = folder.open();
  REQUIRE(journal->note(0x2001, {peer4, "gone"}, noon));
  journal.reset();
  journal = folder.open();
  using sa::test::Surroundings;
  Surroundings surroundings({64, 32, 2}, Surroundings::default_options(), journal.get());
  surroundings.configuration.connections = {sa::test::connection(1)};
  surroundings.configure();
  const auto facts = surroundings.manager.about(0x2001);
  CHECK(facts.standing == SpiFacts::Standing::before_restart);
  CHECK(facts.connection == "gone");
  CHECK(facts.since.wall == noon.wall);
  CHECK(surroundings.manager.about(0x1001).standing == SpiFacts::Standing::active);
  CHECK(surroundings.manager.report(0x2001).events.empty());
  CHECK(surroundings.manager.use(Direction::inbound).retired == 0);
  // Whatever the journal has no room for any more.
  for (std::uint32_t spi = 0x9000; spi < 0x9008; ++spi) REQUIRE(journal->note(spi, {peer4, "new"}, noon));
  CHECK_FALSE(journal->find(0x2001));
  CHECK(surroundings.manager.about(0x2001).standing == SpiFacts::Standing::before_restart);
  CHECK(surroundings.manager.about(0x2001).connection.empty());
}

TEST_CASE("a new SA may have an SPI of before a restart, and is told from it as long as anything is known") {
  const Folder folder;
  auto journal = folder.open();
  for (const auto spi : {0x1001u, 0x1002u}) REQUIRE(journal->note(spi, {peer4, "gone"}, noon));
  journal.reset();
  journal = folder.open();
  using sa::test::Surroundings;
  Surroundings surroundings({64, 32, 2}, Surroundings::default_options(), journal.get());
  CHECK(surroundings.store->is_earlier(0x1001));
  surroundings.configuration.connections = {sa::test::connection(1)};
  CHECK(surroundings.configure().problems.empty());
  CHECK_FALSE(surroundings.store->is_earlier(0x1001));
  CHECK(surroundings.inbound_state(0x1001) == State::active);
  REQUIRE(surroundings.manager.reserve("c1", 0x1002, surroundings.now));
  CHECK(surroundings.inbound_state(0x1002) == State::larval);
  REQUIRE(surroundings.manager.retire_inbound(0x1001, Reason::expired, surroundings.now));
  CHECK(surroundings.manager.about(0x1001).reason == Reason::expired);
  CHECK(surroundings.inbound_state(0x1001) == State::retired);
  surroundings.settle();
  CHECK_FALSE(surroundings.store->is_earlier(0x1001));
  CHECK(surroundings.manager.about(0x1001).standing == SpiFacts::Standing::retired);
}

TEST_CASE("SPIs of before a restart leave all room to new SAs, those of peers that are back first") {
  const Folder folder;
  constexpr std::uint32_t count = 100'000, room = 110'000, first = 0x100'000;
  {
    const auto journal = folder.open(room);
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto peer = i % 4 == 0 ? sa::test::connection(1).remote : peer4;
      REQUIRE(journal->note(first + i, {peer, "any"}, noon));
    }
  }
  const auto journal = folder.open(room);
  using sa::test::Surroundings;
  const auto begin = std::clock();
  Surroundings surroundings({room, 32, 2}, Surroundings::default_options(), journal.get());
  std::cout << count << " SPIs of before a restart: " << 1'000 * (std::clock() - begin) / CLOCKS_PER_SEC
            << " ms\n";
  const auto& table = surroundings.store->table();
  CHECK(table.size() == count);
  surroundings.configuration.connections = {sa::test::connection(1)};
  surroundings.configure();
  const auto known = [&](bool is_back) {
    std::uint32_t found = 0;
    for (std::uint32_t i = 0; i < count; ++i)
      found += (i % 4 == 0) == is_back && surroundings.store->is_earlier(first + i);
    return found;
  };
  std::uint32_t next = 0x800'000;
  const auto take = [&](std::uint32_t entries) {
    for (; entries != 0; --entries) REQUIRE(surroundings.manager.reserve("", next++, surroundings.now));
  };
  take(room - count - 1);
  CHECK(table.size() == room);
  CHECK(known(true) == count / 4);
  take(count / 4);
  CHECK(known(true) == 0);
  CHECK(known(false) == count - count / 4);
  take(count - count / 4);
  CHECK(table.size() == room);
  CHECK(known(false) == 0);
  CHECK_FALSE(surroundings.manager.reserve("", next, surroundings.now));
}
