// Helpers for tests inside a network namespace of their own.
#pragma once

#include <poll.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "datapath/net/address.hpp"
#include "drivers/host/tap.hpp"

namespace espgate::test {

inline int run_quietly(const std::string& command) {
  const int status = std::system((command + " >/dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

inline void run(const std::string& command) {
  INFO(command);
  REQUIRE(run_quietly(command) == 0);
}

inline std::string output_of(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>/dev/null").c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4096> piece;
  while (const auto bytes = std::fread(piece.data(), 1, piece.size(), pipe)) text.append(piece.data(), bytes);
  ::pclose(pipe);
  return text;
}

// Turns `turn` until it says true or the time is over.
inline bool wait_for(const std::function<bool()>& turn,
                     std::chrono::milliseconds limit = std::chrono::seconds(3)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  do {
    if (turn()) return true;
    ::poll(nullptr, 0, 2);
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

inline net::Address address(const std::string& text) {
  const auto parsed = net::parse_address(text);
  REQUIRE(parsed);
  return *parsed;
}

inline net::Prefix prefix(const std::string& text) {
  const auto parsed = net::parse_prefix(text);
  REQUIRE(parsed);
  return *parsed;
}

inline net::InterfaceAddress interface_address(const std::string& text) {
  const auto parsed = net::parse_interface_address(text);
  REQUIRE(parsed);
  return *parsed;
}

inline host::Tap make_tap(const std::string& name, std::uint8_t last_mac_byte) {
  auto tap = host::Tap::create({name, {2, 0, 0, 0, 0, last_mac_byte}, 1500});
  if (!tap) FAIL(tap.error().text());
  REQUIRE(tap->set_carrier(true));
  return std::move(tap).value();
}

using Frame = std::vector<std::uint8_t>;

// The next frame from the kernel that `wanted` accepts; empty if none comes within the time.
inline Frame next_frame(host::Tap& tap, const std::function<bool(const Frame&)>& wanted,
                        std::chrono::milliseconds limit = std::chrono::seconds(3)) {
  Frame result;
  wait_for(
      [&] {
        Frame frame(2048);
        const auto bytes = tap.read(frame);
        REQUIRE(bytes);
        if (*bytes == 0) return false;
        frame.resize(*bytes);
        if (wanted(frame)) result = frame;
        return !result.empty();
      },
      limit);
  return result;
}

// RFC 826: Ethernet/IPv4, padded to the minimum frame.
inline Frame arp(std::uint8_t operation, const host::Mac& sender_mac, const net::Address& sender,
                 const host::Mac& target_mac, const net::Address& target) {
  const host::Mac broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  const auto& destination = operation == 1 ? broadcast : target_mac;
  const std::array<std::uint8_t, 10> fixed{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, operation};
  Frame frame(60);
  auto at = std::copy(destination.begin(), destination.end(), frame.begin());
  at = std::copy(sender_mac.begin(), sender_mac.end(), at);
  at = std::copy(fixed.begin(), fixed.end(), at);
  at = std::copy(sender_mac.begin(), sender_mac.end(), at);
  at = std::copy_n(sender.bytes.begin(), 4, at);
  at = std::copy(target_mac.begin(), target_mac.end(), at);
  std::copy_n(target.bytes.begin(), 4, at);
  return frame;
}

inline bool is_arp(const Frame& frame, std::uint8_t operation, const net::Address& target) {
  return frame.size() >= 42 && frame[12] == 0x08 && frame[13] == 0x06 && frame[21] == operation &&
         std::equal(frame.begin() + 38, frame.begin() + 42, target.bytes.begin());
}

}  // namespace espgate::test
