// One group of the libconfig tree, checked against its rows of the schema: from here on there are values
// of the right type and range, or a reported error. Nothing else touches libconfig's settings.
#pragma once

#include <array>
#include <concepts>
#include <functional>
#include <libconfig.h++>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/problem.hpp"
#include "control/config/scan.hpp"
#include "control/config/schema.hpp"

namespace espgate::config {

// Where a group or an element of a list stands; turned into text only when something is wrong. Names are
// the schema's.
class Path {
 public:
  Path child(std::string_view name, int index = -1) const;  // -1: not in a list
  std::string text() const;
  std::string of(std::string_view key) const;
  // The index in the top-level list that it is part of.
  int first_index() const { return steps_[0].index; }

 private:
  struct Step {
    std::string_view name;
    int index;
  };
  std::array<Step, 3> steps_{};
  unsigned depth_ = 0;
};

// A text in a list, with where it stands.
struct TextElement {
  std::string text;
  unsigned row = 0;
  Path path;
};

class GroupReader {
 public:
  // Checks all of the group's own keys at once and reports what is wrong. `scanned` and `report` outlive
  // the reader.
  GroupReader(const libconfig::Setting& group, const Group& schema, const Path& path,
              const ScannedText& scanned, Report& report);

  // The calls below take names from the schema. Each returns false, and leaves `out` alone, when what the
  // file says is unusable (already reported) or when an absent key has no default.
  template <std::integral T>
  bool integer(std::string_view name, T& out) const {
    long long value = 0;
    if (!number(name, value)) return false;
    out = static_cast<T>(value);  // the schema's range fits T
    return true;
  }
  bool boolean(std::string_view name, bool& out) const;
  bool text(std::string_view name, std::string& out) const;
  // The index among the key's choices.
  template <typename T>
  bool choice(std::string_view name, T& out) const {
    long long index = 0;
    if (!choice_index(name, index)) return false;
    out = static_cast<T>(index);
    return true;
  }
  // nullptr when absent or unusable.
  const Secret* secret(std::string_view name) const;
  // Usable elements of a list.
  std::vector<TextElement> texts(std::string_view name) const;
  std::vector<long long> integers(std::string_view name) const;
  // Calls `visit` for a group, or for each group of a list.
  void visit(std::string_view name, const std::function<void(const GroupReader&)>& visit) const;

  bool given(std::string_view name) const { return slot(name).setting != nullptr; }
  unsigned row() const { return row_; }
  // The group's row when the key is absent.
  unsigned row_of(std::string_view name) const;
  const Path& path() const { return path_; }
  std::string path_of(std::string_view name) const { return path_.of(name); }
  Report& report() const { return report_; }
  void error(std::string_view name, std::string message, std::string remedy) const;
  void warning(std::string_view name, std::string message, std::string remedy) const;
  // For keys that only some of the group's uses require.
  void missing(std::string_view name) const { missing(key(name)); }

 private:
  struct Slot {
    const libconfig::Setting* setting = nullptr;
    bool usable = true;
  };

  const Key& key(std::string_view name) const;
  const Slot& slot(std::string_view name) const;
  bool number(std::string_view name, long long& out) const;
  bool choice_index(std::string_view name, long long& out) const;

  void unknown_key(const libconfig::Setting& setting) const;
  bool check(const Key& key, const libconfig::Setting& setting) const;
  bool check_elements(const Key& key, const libconfig::Setting& list) const;
  bool check_value(const Key& key, Kind kind, const libconfig::Setting& setting, const Path& path,
                   bool is_element) const;
  void missing(const Key& key) const;

  const Group& schema_;
  Path path_;
  const ScannedText& scanned_;
  Report& report_;
  unsigned row_;
  std::array<Slot, 64> slots_;  // by index in the schema's keys
};

}  // namespace espgate::config
