// A value or an error, after C++23's std::expected, which the reference compilers do not both have.
// Only what the project uses is here; when the baseline moves to C++23 this file becomes an alias.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace espgate {

// What went wrong, in words for the person who has to act: `what` names the thing and its value,
// `remedy` says what to do about it. Either may end up in a log, on a terminal or in a JSON document.
struct Error {
  std::string what;
  std::string remedy;
  bool is_shortage = false;  // something of this gateway's is used up: the places of a table, or memory

  static Error shortage(std::string what, std::string remedy) {
    return {std::move(what), std::move(remedy), true};
  }
  std::string text() const { return remedy.empty() ? what : what + "; " + remedy; }
};

template <typename T>
class [[nodiscard]] Expected {
 public:
  Expected(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Expected(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Expected<void> {
 public:
  Expected() = default;
  Expected(Error error) : error_(std::move(error)) {}

  bool has_value() const { return !error_; }
  explicit operator bool() const { return has_value(); }
  const Error& error() const { return *error_; }
  Error& error() { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace espgate
