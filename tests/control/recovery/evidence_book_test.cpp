#include "control/recovery/evidence_book.hpp"

#include <catch2/catch.hpp>
#include <cstring>

#include "tests/control/recovery/knowledge.hpp"

using namespace espgate;
using namespace espgate::recovery;

namespace evidence_book_test {
namespace {

Flow flow(std::uint32_t spi, Class kind) {
  Flow result;
  result.key.spi = spi;
  result.kind = kind;
  return result;
}

std::vector<std::uint64_t> numbers_of(EvidenceBook& book, std::uint32_t spi) {
  std::vector<std::uint64_t> numbers;
  for (const auto* one : book.of_spi(spi)) numbers.push_back(one->number);
  return numbers;
}

}  // namespace

TEST_CASE("strangers push out no peer's evidence, and the oldest of each sort makes room") {
  EvidenceBook book(100);
  CHECK(book.open(flow(1, Class::before_restart), "branch", {}).number == 101);
  for (std::uint32_t i = 0; i < 1'000; ++i) book.open(flow(2, Class::stranger), "", {});
  CHECK(book.size() == 1 + EvidenceBook::kept_of_strangers);
  REQUIRE(book.find(101) != nullptr);
  CHECK(book.find(101)->connection == "branch");
  CHECK(book.find(102) == nullptr);
  CHECK(numbers_of(book, 2).front() == 1'101 - EvidenceBook::kept_of_strangers + 1);
  for (std::size_t i = 0; i < EvidenceBook::kept_of_peers; ++i)
    book.open(flow(3, Class::deleted), "branch", {});
  CHECK(book.find(101) == nullptr);
  CHECK(book.size() == EvidenceBook::kept_of_peers + EvidenceBook::kept_of_strangers);
}

TEST_CASE(
    "made up SPIs in a peer's name push out others of that kind, and no evidence of an SA that is gone") {
  EvidenceBook book;
  for (std::uint32_t spi = 1; spi <= 10; ++spi) book.open(flow(spi, Class::before_restart), "branch", {});
  for (std::uint32_t i = 0; i < 1'000; ++i) book.open(flow(1'000 + i, Class::never_issued), "branch", {});
  for (std::uint32_t spi = 1; spi <= 10; ++spi) CHECK(numbers_of(book, spi).size() == 1);
  CHECK(numbers_of(book, 1'999).size() == 1);
  CHECK(book.size() == EvidenceBook::kept_of_peers);
  for (std::uint32_t spi = 11; spi <= 100; ++spi) book.open(flow(spi, Class::deleted), "branch", {});
  CHECK(numbers_of(book, 1'999).empty());
  CHECK(numbers_of(book, 1).empty());
  CHECK(numbers_of(book, 100).size() == 1);
  CHECK(book.size() == EvidenceBook::kept_of_peers);
}

TEST_CASE("what is due is a peer's before a stranger's, the oldest first") {
  EvidenceBook book;
  book.open(flow(1, Class::stranger), "", {});
  book.open(flow(2, Class::deleted), "", {});
  book.open(flow(3, Class::deleted), "", {});
  const auto due = [&](std::uint32_t without) {
    const auto* found = book.oldest([&](const Case& one) { return one.key.spi != without; });
    return found == nullptr ? 0 : found->key.spi;
  };
  CHECK(due(0) == 2);
  CHECK(due(2) == 3);
  CHECK(book.oldest([](const Case& one) { return one.key.spi == 1; })->key.spi == 1);
  CHECK(book.oldest([](const Case&) { return false; }) == nullptr);
}

TEST_CASE("packets are kept as frames, up to a number of them") {
  EvidenceBook book;
  auto& one = book.open(flow(1, Class::deleted), "", {});
  auto miss = recovery::test::miss("192.0.2.2", "192.0.2.1", 1);
  miss.link_bytes = 14;
  miss.head_bytes = 60;
  miss.frame_bytes = 1'000;
  std::memset(miss.head, 7, sizeof miss.head);
  EvidenceBook::add_packet(one, miss, {});
  CHECK(one.packets[0].frame == std::vector<std::uint8_t>(60, 7));
  CHECK(one.packets[0].frame_bytes == 1'000);
  miss.link_bytes = 0;  // without Ethernet header: one of zeros
  EvidenceBook::add_packet(one, miss, {});
  REQUIRE(one.packets[1].frame.size() == 74);
  CHECK(one.packets[1].frame[11] == 0);
  CHECK(one.packets[1].frame[12] == 0x08);
  CHECK(one.packets[1].frame[14] == 7);
  CHECK(one.packets[1].frame_bytes == 1'014);
  miss.head_bytes = 60'000;  // never read past what there is
  for (int i = 0; i < 10; ++i) EvidenceBook::add_packet(one, miss, {});
  CHECK(one.packets.size() == EvidenceBook::packets_each);
  CHECK(one.packets[2].frame.size() == 14 + sizeof miss.head);
}

}  // namespace evidence_book_test
