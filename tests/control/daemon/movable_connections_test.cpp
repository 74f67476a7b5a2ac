// Which connections look where they are when the kernel's links, addresses and routes change.
#include "control/daemon/movable_connections.hpp"

#include <catch2/catch.hpp>

using namespace espgate;
using namespace espgate::daemon;

namespace {

net::Address place(std::string_view text) {
  return *net::parse_address(text);
}

// Two peers of one family between which the other family's bytes lie.
struct Three : MovableConnections {
  Three() {
    add({"one", {place("192.0.2.1"), place("203.0.113.1")}, place("10.0.0.1")});
    add({"two", {place("192.0.2.1"), place("203.0.113.2")}, place("10.0.9.1")});
    add({"six", {place("2001:db8::1")}, place("a00:5::1")});
  }
  std::vector<std::string> looking() {
    std::vector<std::string> names;
    while (const auto* each = next()) names.push_back(each->name);
    return names;
  }
  std::vector<std::string> after(const host::Event& event) {
    looking();
    note(event);
    return looking();
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a movable connection looks at first, and then not without a reason") {
  Three movable;
  CHECK(movable.looking() == Names{"one", "two", "six"});
  CHECK(movable.looking().empty());
  CHECK(movable.after(host::NeighbourChanged{{place("10.0.0.1"), 1}}).empty());
}

TEST_CASE("an address that comes or goes concerns those that have it") {
  Three movable;
  CHECK(movable.after(host::AddressAdded{1, {place("192.0.2.1"), 24}}) == Names{"one", "two"});
  CHECK(movable.after(host::AddressRemoved{1, {place("203.0.113.2"), 32}}) == Names{"two"});
  CHECK(movable.after(host::AddressAdded{1, {place("192.0.2.9"), 24}}).empty());
}

TEST_CASE("routes concern those whose peers they lead to, and links all") {
  Three movable;
  const auto route = [&](std::string_view to) {
    return movable.after(host::RoutesChanged{*net::parse_prefix(to)});
  };
  CHECK(route("10.0.0.0/8") == Names{"one", "two"});
  CHECK(route("10.0.9.0/24") == Names{"two"});
  CHECK(route("0.0.0.0/0") == Names{"one", "two"});
  CHECK(route("::/0") == Names{"six"});
  CHECK(route("10.0.5.0/24").empty());
  CHECK(movable.after(host::LinkChanged{7}) == Names{"one", "two", "six"});
}

TEST_CASE("what is noted twice looks once, and the first noted first") {
  Three movable;
  movable.looking();
  movable.note(host::RoutesChanged{*net::parse_prefix("10.0.9.0/24")});
  movable.note(host::AddressAdded{1, {place("192.0.2.1"), 24}});
  CHECK(movable.looking() == Names{"two", "one"});
}
