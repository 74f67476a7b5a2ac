#include "control/daemon/work_threads.hpp"

#include <poll.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <latch>
#include <new>
#include <string>
#include <thread>

#include "control/ike/key_exchange.hpp"

using espgate::daemon::WorkThreads;
using namespace espgate::ike;

namespace {

constexpr std::size_t urgent = 0, later = 2;  // lines

void nothing() {}

// As an event loop does: sleeps until the descriptor is readable. False: nothing came for long.
bool wait(WorkThreads& pool) {
  pollfd readable{pool.descriptor(), POLLIN, 0};
  for (int i = 0; i < 10'000; ++i) {
    pool.hand_over();
    if (poll(&readable, 1, 1) == 1) return true;
  }
  return false;
}

unsigned deliver(WorkThreads& pool, unsigned count) {
  unsigned delivered = 0;
  while (delivered < count && wait(pool)) delivered += pool.deliver();
  return delivered;
}

// Keeps the one thread of a pool busy until it is let go.
class Busy {
 public:
  explicit Busy(WorkThreads& pool) {
    ticket = pool.submit(
                     urgent,
                     [this] {
                       started_.count_down();
                       release_.wait();
                     },
                     [](bool) {})
                 .value();
    while (!started_.try_wait()) pool.hand_over();
  }
  void let_go() { release_.count_down(); }

  WorkThreads::Ticket ticket = 0;

 private:
  std::latch started_{1}, release_{1};
};

}  // namespace

TEST_CASE("work is done on another thread, and told of on ours") {
  WorkThreads pool(2, 100);
  const auto control = std::this_thread::get_id();
  std::string result;
  bool elsewhere = false, back = false;
  pool.submit(
      later,
      [&] {
        elsewhere = std::this_thread::get_id() != control;
        result = "done";
      },
      [&](bool good) { back = good && std::this_thread::get_id() == control; });
  CHECK_FALSE(back);
  CHECK(deliver(pool, 1) == 1);
  CHECK(result == "done");
  CHECK(elsewhere);
  CHECK(back);
  pollfd readable{pool.descriptor(), POLLIN, 0};
  CHECK(poll(&readable, 1, 0) == 0);
  CHECK(pool.deliver() == 0);
}

TEST_CASE("key exchanges of many peers run on the pool at once") {
  constexpr std::size_t peers = 200;
  WorkThreads pool(3, peers);
  const auto& method = *find_key_exchange(31);
  const KeyExchangeHalf ours(method);
  std::vector<std::optional<KeyExchangeAnswer>> answers(peers);
  unsigned good = 0;
  for (auto& answer : answers)
    REQUIRE(pool.submit(
        later, [&] { answer = answer_key_exchange(method, ours.value()); },
        [&](bool) { good += answer && *ours.shared_secret(answer->value) == answer->shared; }));
  CHECK(deliver(pool, peers) == peers);
  CHECK(good == peers);
}

TEST_CASE("results that take long are delivered over several calls, all of them") {
  constexpr unsigned count = 20;
  WorkThreads pool(1, count);
  unsigned done = 0;
  for (unsigned i = 0; i < count; ++i)
    REQUIRE(pool.submit(
        later, [] {},
        [&](bool) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          ++done;
        }));
  while (done < count) {
    const auto before = done;
    REQUIRE(wait(pool));
    pool.deliver();
    CHECK(done <= before + 1);
  }
}

TEST_CASE("a full line refuses, for itself alone") {
  WorkThreads pool(1, 2);
  Busy busy(pool);
  int done = 0;
  const auto submit = [&](std::size_t line) {
    return pool.submit(line, nothing, [&](bool) { ++done; }).has_value();
  };
  CHECK(submit(later));
  CHECK(submit(later));
  CHECK_FALSE(submit(later));
  CHECK(pool.waiting(later) == 2);
  CHECK(submit(urgent));
  CHECK(submit(urgent));
  CHECK_FALSE(submit(urgent));
  busy.let_go();
  CHECK(deliver(pool, 5) == 5);
  CHECK(done == 4);
  CHECK(submit(later));
  CHECK(deliver(pool, 1) == 1);
}

TEST_CASE("what waits in the first line goes before all others") {
  WorkThreads pool(1, 10);
  Busy busy(pool);
  std::string order;
  const auto submit = [&](std::size_t line, char name) {
    pool.submit(line, nothing, [&order, name](bool) { order += name; });
  };
  submit(later, 'a');
  submit(later, 'b');
  submit(urgent, 'c');
  submit(urgent, 'd');
  busy.let_go();
  CHECK(deliver(pool, 5) == 5);
  CHECK(order == "cdab");
}

TEST_CASE("what is cancelled is not told of, wherever it is") {
  WorkThreads pool(1, 10);
  int done = 0;
  std::atomic<int> worked = 0;
  const auto submit = [&] {
    return pool
        .submit(
            urgent, [&] { ++worked; }, [&](bool) { ++done; })
        .value();
  };
  const auto finished = submit();
  REQUIRE(wait(pool));
  Busy busy(pool);
  const auto waiting = submit();
  const auto last = submit();
  for (const auto ticket : {finished, busy.ticket, waiting}) pool.cancel(ticket);
  busy.let_go();
  CHECK(deliver(pool, 1) == 1);
  CHECK(pool.waiting(urgent) == 0);
  CHECK(done == 1);
  CHECK(worked == 2);
  pool.cancel(last);  // too late, which is no matter
  pool.cancel(9'999);
}

TEST_CASE("work that throws is told of as such, and its thread lives on") {
  WorkThreads pool(1, 10);
  std::string told;
  pool.submit(
      later, [] { throw std::bad_alloc(); }, [&](bool good) { told += good ? "good" : "bad"; });
  CHECK(deliver(pool, 1) == 1);
  pool.submit(later, nothing, [&](bool good) { told += good ? " good" : " bad"; });
  CHECK(deliver(pool, 1) == 1);
  CHECK(told == "bad good");
}

TEST_CASE("who is told may submit and cancel") {
  WorkThreads pool(2, 10);
  int done = 0;
  pool.submit(later, nothing, [&](bool) {
    ++done;
    pool.cancel(pool.submit(later, nothing, [&](bool) { ++done; }).value());
    pool.submit(later, nothing, [&](bool) { ++done; });
  });
  CHECK(deliver(pool, 2) == 2);
  CHECK(done == 2);
}

TEST_CASE("a pool that goes waits for what is under way and tells nobody") {
  int done = 0;
  std::atomic<int> worked = 0;
  {
    WorkThreads pool(2, 100);
    for (int i = 0; i < 50; ++i)
      pool.submit(
          later, [&] { ++worked; }, [&](bool) { ++done; });
  }
  CHECK(done == 0);
  CHECK(worked <= 50);
}
