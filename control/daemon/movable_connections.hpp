// The connections that have several addresses of ours, and which of them have to look again where they are,
// since the kernel's links, addresses or routes changed: those that a change may concern, once each, in the
// order of the changes.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "drivers/host/kernel_values.hpp"

namespace espgate::daemon {

// One owner, one thread.
class MovableConnections {
 public:
  struct Connection {
    std::string name;
    std::vector<net::Address> ours;  // the preferred one first
    net::Address peer;
  };
  void clear() { *this = {}; }
  // It has to look.
  void add(Connection connection);
  // Logarithmic in their number, but for what the event concerns.
  void note(const host::Event& event);
  // The next that has to look; null: none. Good until `clear`.
  const Connection* next();

 private:
  using Key = std::pair<net::Family, net::Address>;  // so that a prefix is without gaps
  struct Entry {
    Connection connection;
    bool has_to_look = false;
  };
  void mark(std::size_t index);

  std::vector<Entry> entries_;
  std::multimap<net::Address, std::size_t> by_own_;
  std::multimap<Key, std::size_t> by_peer_;
  std::deque<std::size_t> waiting_;
};

}  // namespace espgate::daemon
