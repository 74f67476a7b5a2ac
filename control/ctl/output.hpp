// What espgatectl prints: text for people, or with --json exactly one document on standard output.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/cli/command.hpp"
#include "datapath/base/expected.hpp"

namespace espgate::ctl {

// Exit status (espgatectl(8)).
inline constexpr int done = 0;
inline constexpr int failed = 1;
inline constexpr int wrong_usage = 2;

class Output {
 public:
  Output(bool as_json, bool no_color);

  bool json() const { return json_; }
  bool color() const { return color_; }

  // Each returns the exit status: `failed` when standard output takes no more.
  int text(const std::string& text);
  int document(const nlohmann::json& document);
  int result(const cli::Command& command, const nlohmann::json& arguments, const nlohmann::json& result);
  // To standard error, or as the JSON document; returns `status`.
  int error(const Error& error, int status = failed);
  // A remark for a person; with --json there is none.
  void remark(const std::string& text) const;

 private:
  bool json_;
  bool color_;        // standard output
  bool error_color_;  // standard error
};

// The items of a stream: printed as they come where that is what the command does, else collected into one
// table. With --json {"<items>": [...], keys of the closing result}, written as the items come.
class ItemOutput {
 public:
  ItemOutput(Output& output, const cli::Command& command, const nlohmann::json& arguments);

  // `failed` when standard output takes no more.
  int item(nlohmann::json item);
  // The stream's end; each returns the exit status.
  int finish(nlohmann::json result);
  int fail(const Error& error);

 private:
  std::string opening();

  Output& output_;
  const cli::Command& command_;
  const nlohmann::json& arguments_;
  bool opened_ = false;
  bool shown_ = false;  // an item as text
  nlohmann::json collected_ = nlohmann::json::array();
};

// The items of a stream as JSON, one document a line, whether or not --json is given.
class LineOutput {
 public:
  explicit LineOutput(Output& output) : output_(output) {}

  // As ItemOutput's.
  int item(const nlohmann::json& item);
  int finish(const nlohmann::json&) { return done; }
  int fail(const Error& error);

 private:
  Output& output_;
};

}  // namespace espgate::ctl
