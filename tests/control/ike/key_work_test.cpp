#include "control/ike/key_work.hpp"

#include <poll.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <latch>
#include <new>
#include <string>

#include "control/ike/key_exchange.hpp"

using namespace espgate::ike;

namespace {

void nothing() {}

// As an event loop does: sleeps until the descriptor is readable. False: nothing came for long.
bool wait(KeyWork& pool) {
  pollfd readable{pool.descriptor(), POLLIN, 0};
  for (int i = 0; i < 10'000; ++i) {
    pool.hand_over();
    if (poll(&readable, 1, 1) == 1) return true;
  }
  return false;
}

unsigned deliver(KeyWork& pool, unsigned count) {
  unsigned delivered = 0;
  while (delivered < count && wait(pool)) delivered += pool.deliver();
  return delivered;
}

// Keeps the one thread of a pool busy until it is let go.
class Busy {
 public:
  explicit Busy(KeyWork& pool) {
    ticket = pool.submit(
                     Urgency::established,
                     [this] {
                       started_.count_down();
                       release_.wait();
                     },
                     [](bool) {})
                 .value();
    while (!started_.try_wait()) pool.hand_over();
  }
  void let_go() { release_.count_down(); }

  KeyWork::Ticket ticket = 0;

 private:
  std::latch started_{1}, release_{1};
};

}  // namespace

TEST_CASE("work is done on another thread, and told of on ours") {
  KeyWork pool(2, 100);
  const auto control = std::this_thread::get_id();
  std::string result;
  bool elsewhere = false, back = false;
  pool.submit(
      Urgency::newcomer,
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
  KeyWork pool(3, peers);
  const auto& method = *find_key_exchange(31);
  const KeyExchangeHalf ours(method);
  std::vector<std::optional<KeyExchangeAnswer>> answers(peers);
  unsigned good = 0;
  for (auto& answer : answers)
    REQUIRE(pool.submit(
        Urgency::newcomer, [&] { answer = answer_key_exchange(method, ours.value()); },
        [&](bool) { good += answer && *ours.shared_secret(answer->value) == answer->shared; }));
  CHECK(deliver(pool, peers) == peers);
  CHECK(good == peers);
}

TEST_CASE("a full line refuses, for its class alone") {
  KeyWork pool(1, 2);
  Busy busy(pool);
  int done = 0;
  const auto submit = [&](Urgency urgency) {
    return pool.submit(urgency, nothing, [&](bool) { ++done; }).has_value();
  };
  CHECK(submit(Urgency::newcomer));
  CHECK(submit(Urgency::newcomer));
  CHECK_FALSE(submit(Urgency::newcomer));
  CHECK(pool.waiting(Urgency::newcomer) == 2);
  CHECK(submit(Urgency::established));
  CHECK(submit(Urgency::established));
  CHECK_FALSE(submit(Urgency::established));
  busy.let_go();
  CHECK(deliver(pool, 5) == 5);
  CHECK(done == 4);
  CHECK(submit(Urgency::newcomer));
  CHECK(deliver(pool, 1) == 1);
}

TEST_CASE("what SAs that are up need goes before newcomers") {
  KeyWork pool(1, 10);
  Busy busy(pool);
  std::string order;
  const auto submit = [&](Urgency urgency, char name) {
    pool.submit(urgency, nothing, [&order, name](bool) { order += name; });
  };
  submit(Urgency::newcomer, 'a');
  submit(Urgency::newcomer, 'b');
  submit(Urgency::established, 'c');
  submit(Urgency::established, 'd');
  busy.let_go();
  CHECK(deliver(pool, 5) == 5);
  CHECK(order == "cdab");
}

TEST_CASE("what is cancelled is not told of, wherever it is") {
  KeyWork pool(1, 10);
  int done = 0;
  std::atomic<int> worked = 0;
  const auto submit = [&] {
    return pool
        .submit(
            Urgency::established, [&] { ++worked; }, [&](bool) { ++done; })
        .value();
  };
  const auto finished = submit();
  REQUIRE(wait(pool));
  Busy busy(pool);
  const auto waiting = submit();
  const auto last = submit();
  for (const auto ticket : {finished, busy.ticket, waiting}) pool.cancel(ticket);
  CHECK(pool.waiting(Urgency::established) == 1);
  busy.let_go();
  CHECK(deliver(pool, 1) == 1);
  CHECK(done == 1);
  CHECK(worked == 2);
  pool.cancel(last);  // too late, which is no matter
  pool.cancel(9'999);
}

TEST_CASE("work that throws is told of as such, and its thread lives on") {
  KeyWork pool(1, 10);
  std::string told;
  pool.submit(
      Urgency::newcomer, [] { throw std::bad_alloc(); }, [&](bool good) { told += good ? "good" : "bad"; });
  CHECK(deliver(pool, 1) == 1);
  pool.submit(Urgency::newcomer, nothing, [&](bool good) { told += good ? " good" : " bad"; });
  CHECK(deliver(pool, 1) == 1);
  CHECK(told == "bad good");
}

TEST_CASE("who is told may submit and cancel") {
  KeyWork pool(2, 10);
  int done = 0;
  pool.submit(Urgency::newcomer, nothing, [&](bool) {
    ++done;
    pool.cancel(pool.submit(Urgency::newcomer, nothing, [&](bool) { ++done; }).value());
    pool.submit(Urgency::newcomer, nothing, [&](bool) { ++done; });
  });
  CHECK(deliver(pool, 2) == 2);
  CHECK(done == 2);
}

TEST_CASE("a pool that goes waits for what is under way and tells nobody") {
  int done = 0;
  std::atomic<int> worked = 0;
  {
    KeyWork pool(2, 100);
    for (int i = 0; i < 50; ++i)
      pool.submit(
          Urgency::newcomer, [&] { ++worked; }, [&](bool) { ++done; });
  }
  CHECK(done == 0);
  CHECK(worked <= 50);
}
