#include "control/recovery/classify.hpp"

#include <catch2/catch.hpp>

using namespace espgate;
using namespace espgate::recovery;
using Standing = sa::SpiFacts::Standing;
using sa::Miss;
using sa::Reason;

namespace {

// The rules in words, one after the other; the table must agree in all cases.
Class expected(const Evidence& e) {
  if (e.standing == Standing::larval) return Class::larval;
  if (e.standing == Standing::active) {
    if (e.miss != Miss::mismatch) return Class::larval;  // it came a moment too early
    if (e.other_destination) return Class::wrong_destination;
    return e.flood ? Class::flood : Class::peer_moved;
  }
  if (e.standing == Standing::outbound) return Class::wrong_destination;
  if (e.standing == Standing::before_restart) return Class::before_restart;
  if (e.standing == Standing::retired) {
    if (e.reason == Reason::deleted) return Class::deleted;
    return e.reason == Reason::expired ? Class::expired : Class::just_rekeyed;
  }
  if (e.miss != Miss::not_found) return Class::deleted;  // it was ours a moment ago
  if (e.flood) return Class::flood;
  return e.known_peer ? Class::never_issued : Class::stranger;
}

}  // namespace

TEST_CASE("every combination of evidence has its class") {
  for (const auto miss : {Miss::not_found, Miss::larval, Miss::retired, Miss::mismatch})
    for (const auto standing : {Standing::unknown, Standing::larval, Standing::active, Standing::retired,
                                Standing::before_restart, Standing::outbound})
      for (const auto reason : {Reason::deleted, Reason::expired, Reason::rekeyed})
        for (const bool known_peer : {false, true})
          for (const bool flood : {false, true})
            for (const bool other_destination : {false, true}) {
              const Evidence evidence{miss, standing, reason, known_peer, flood, other_destination};
              CAPTURE(int(miss), int(standing), int(reason), known_peer, flood, other_destination);
              CHECK(classify(evidence) == expected(evidence));
            }
}

TEST_CASE("every class has a name and a remedy of its own") {
  for (std::size_t i = 0; i < class_count; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      const auto a = static_cast<Class>(i), b = static_cast<Class>(j);
      CHECK_FALSE(remedy(a).empty());
      CHECK((name(a) == name(b)) == (i == j));
      CHECK((remedy(a) == remedy(b)) == (i == j));
    }
}
