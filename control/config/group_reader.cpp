#include "control/config/group_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "control/config/literals.hpp"
#include "control/config/words.hpp"
#include "datapath/base/counted.hpp"

namespace espgate::config {
namespace {

constexpr std::size_t most_shown_choices = 8;

using libconfig::Setting;

// Zero for text that is no number: has_kind() has seen that it is one.
long long value_of(const Key& row, const Setting& setting) {
  if (setting.getType() == Setting::TypeString) return number_in_text(row, setting.c_str()).value_or(0);
  return setting.getType() == Setting::TypeInt64 ? static_cast<long long>(setting)
                                                 : static_cast<int>(setting);
}

bool is_integer(const Setting& setting) {
  return setting.getType() == Setting::TypeInt || setting.getType() == Setting::TypeInt64;
}

// libconfig calls `()` and `[]` lists and arrays; the scan has made them all lists.
bool is_list(const Setting& setting) {
  return setting.isList() || setting.isArray();
}

std::string shown_number(const Setting& setting) {
  if (setting.getType() == Setting::TypeString) return shown(setting.c_str());
  const auto value = value_of({}, setting);
  constexpr auto most = std::numeric_limits<long long>::max();
  if (value == most || value == -most) return "a number of more than 64 bits";
  return setting.getFormat() == Setting::FormatHex ? fmt::format("{:#x}", value) : std::to_string(value);
}

// What stands in the file, to begin a sentence with.
std::string found(const Setting& setting) {
  switch (setting.getType()) {
    case Setting::TypeInt:
    case Setting::TypeInt64:
      return "the number " + shown_number(setting);
    case Setting::TypeFloat:
      return fmt::format("the number {}", static_cast<double>(setting));
    case Setting::TypeString:
      return "the text " + shown(setting.c_str());
    case Setting::TypeBoolean:
      return static_cast<bool>(setting) ? "the truth value true" : "the truth value false";
    case Setting::TypeGroup:
      return "a group { ... }";
    case Setting::TypeArray:
    case Setting::TypeList:
      return setting.getLength() == 0 ? "an empty list" : "a list";
    case Setting::TypeNone:
      break;
  }
  return "nothing";
}

std::string place_of(const Group& group) {
  return group.path.empty() ? "outside of any group" : fmt::format("in {}", group.path);
}

std::string bound(const Key& key, long long value) {
  return key.hexadecimal ? fmt::format("{:#x}", value) : std::to_string(value);
}

std::string range(const Key& key) {
  if (key.least == key.most) return bound(key, key.least);
  return fmt::format("{} to {}{}{}", bound(key, key.least), bound(key, key.most), key.unit.empty() ? "" : " ",
                     key.unit);
}

std::string wanted(const Key& key, Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return "true or false";
    case Kind::integer:
      return key.least == key.most   ? range(key)
             : !key.word.empty()     ? fmt::format("a whole number from {}, or \"{}\"", range(key), key.word)
             : key.multiples.empty() ? "a whole number from " + range(key)
                                     : fmt::format("a number of {}, or one in quotes with {} behind it",
                                                   key.unit, names_of_multiples(key));
    case Kind::text:
      return "text in double quotes";
    case Kind::choice:
      return one_of(key.choices);
    case Kind::secret:
      return "hexadecimal digits in double quotes";
    case Kind::integers:
      return "a list of whole numbers";
    case Kind::texts:
      return "a list of texts";
    case Kind::group:
      return "a group { ... }";
    case Kind::groups:
      return "a list of groups ( { ... }, ... )";
  }
  return "";
}

std::string correct_form(const Key& key, Kind kind, const Setting& setting) {
  const bool wants_number = kind == Kind::integer;
  if (wants_number && !key.multiples.empty())
    return fmt::format("write it like {} = \"10 {}\";", key.name, key.multiples.back().name);
  const bool wants_text = kind == Kind::text || kind == Kind::secret;
  if (setting.getType() == Setting::TypeString && (wants_number || kind == Kind::boolean))
    return "write it without quotes";
  if (setting.isScalar() && wants_text) return "put it in double quotes";
  if (setting.getType() == Setting::TypeGroup && kind == Kind::groups)
    return fmt::format("put parentheses around it: {} = ( {{ ... }} );", key.name);
  if (kind == Kind::choice) return "write one of these";
  if (is_list(setting) && kind == Kind::group) return fmt::format("write {} = {{ ... }};", key.name);
  if (setting.isScalar() && (kind == Kind::texts || kind == Kind::integers))
    return fmt::format("put it in brackets: {} = [ ... ];", key.name);
  if (!key.preset.empty() && kind == key.kind && kind == Kind::integer)
    return fmt::format("write a whole number, such as {}", key.preset);
  return fmt::format("write {}", wanted(key, kind));
}

bool has_kind(const Key& row, const Setting& setting, Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return setting.getType() == Setting::TypeBoolean;
    case Kind::integer:
      return is_integer(setting) ||
             (setting.getType() == Setting::TypeString && number_in_text(row, setting.c_str()));
    case Kind::text:
    case Kind::choice:
    case Kind::secret:
      return setting.getType() == Setting::TypeString;
    case Kind::integers:
    case Kind::texts:
    case Kind::groups:
      return is_list(setting);
    case Kind::group:
      return setting.isGroup();
  }
  return false;
}

std::optional<Kind> element_kind(Kind kind) {
  switch (kind) {
    case Kind::integers:
      return Kind::integer;
    case Kind::texts:
      return Kind::text;
    case Kind::groups:
      return Kind::group;
    default:
      return std::nullopt;
  }
}

}  // namespace

Path Path::child(std::string_view name, int index) const {
  Path path = *this;
  path.steps_[path.depth_++] = {name, index};
  return path;
}

std::string Path::text() const {
  std::string text;
  for (unsigned i = 0; i < depth_; ++i) {
    text += i == 0 ? "" : ".";
    text += steps_[i].name;
    if (steps_[i].index >= 0) text += fmt::format("[{}]", steps_[i].index);
  }
  return text;
}

std::string Path::of(std::string_view key) const {
  const auto here = text();
  return here.empty() ? std::string(key) : fmt::format("{}.{}", here, key);
}

GroupReader::GroupReader(const Setting& group, const Group& schema, const Path& path,
                         const ScannedText& scanned, Report& report)
    : schema_(schema), path_(path), scanned_(scanned), report_(report), row_(group.getSourceLine()) {
  for (int i = 0; i < group.getLength(); ++i) {
    const Setting& setting = group[i];
    if (setting.getName()[0] == '*') continue;  // set twice, reported by the scan
    const auto* row = schema.find(setting.getName());
    if (row == nullptr) {
      unknown_key(setting);
      continue;
    }
    slots_[static_cast<std::size_t>(row - schema.keys.data())] = {&setting, check(*row, setting)};
  }
  for (std::size_t i = 0; i < schema.keys.size(); ++i)
    if (schema.keys[i].required && slots_[i].setting == nullptr) missing(schema.keys[i]);
}

void GroupReader::unknown_key(const Setting& setting) const {
  const std::string_view name = setting.getName();
  std::vector<std::string_view> names;
  for (const auto& row : schema_.keys) names.push_back(row.name);
  std::string remedy;
  if (const auto meant = nearest(name, names)) remedy = fmt::format("did you mean \"{}\"?", *meant);
  for (const auto* group : groups())
    if (remedy.empty() && group->find(name) != nullptr)
      remedy = fmt::format("\"{}\" belongs {}", name, place_of(*group));
  for (const auto* group : groups()) {
    std::vector<std::string_view> others;
    for (const auto& row : group->keys) others.push_back(row.name);
    if (const auto meant = nearest(name, others); meant && remedy.empty())
      remedy = fmt::format("did you mean \"{}\", which belongs {}?", *meant, place_of(*group));
  }
  if (remedy.empty()) remedy = fmt::format("the keys here are {}", fmt::join(names, ", "));
  report_.error(setting.getSourceLine(), path_of(name), "unknown key", remedy);
}

void GroupReader::missing(const Key& row) const {
  std::string remedy = row.kind == Kind::groups  ? fmt::format("add {} = ( {{ ... }} );", row.name)
                       : row.kind == Kind::texts ? fmt::format("add {} = [ ... ];", row.name)
                                                 : fmt::format("add {} = ...;", row.name);
  report_.error(row_, path_of(row.name), "missing", fmt::format("{} ({})", remedy, row.meaning));
}

bool GroupReader::check(const Key& row, const Setting& setting) const {
  if (!check_value(row, row.kind, setting, path_, false)) return false;
  return !element_kind(row.kind) || check_elements(row, setting);
}

bool GroupReader::check_elements(const Key& row, const Setting& list) const {
  const auto count = static_cast<std::size_t>(list.getLength());
  const auto complain = [&](std::string message, std::string remedy) {
    report_.error(list.getSourceLine(), path_of(row.name), std::move(message), std::move(remedy));
    return false;
  };
  if (count < row.fewest_elements)
    return complain("the list is empty", fmt::format("name at least one. {}", row.meaning));
  if (row.most_elements != 0 && count > row.most_elements)
    return complain(fmt::format("{} in the list", counted(count, "element")),
                    fmt::format("at most {} are possible", row.most_elements));
  return true;
}

bool GroupReader::check_value(const Key& row, Kind kind, const Setting& setting, const Path& path,
                              bool is_element) const {
  const auto complain = [&](std::string message, std::string remedy) {
    report_.error(setting.getSourceLine(), is_element ? path.text() : path.of(row.name), std::move(message),
                  std::move(remedy));
    return false;
  };
  if (!has_kind(row, setting, kind)) {
    const auto what = row.kind == Kind::secret ? "the value" : found(setting);
    return complain(fmt::format("{} is not {}", what, wanted(row, kind)), correct_form(row, kind, setting));
  }
  if (kind == Kind::integer) {
    const auto value = value_of(row, setting);
    if (setting.getType() == Setting::TypeString && row.word == setting.c_str()) return true;
    if (value >= row.least && value <= row.most) return true;
    if (row.least == row.most)
      return complain(fmt::format("{} is not {}: {}", shown_number(setting), range(row), row.reason),
                      fmt::format("write {}, or leave {} out", range(row), row.name));
    return complain(fmt::format("{} is not within {}{}{}", shown_number(setting), range(row),
                                row.reason.empty() ? "" : ": ", row.reason),
                    value < row.least ? fmt::format("choose {} or more", bound(row, row.least))
                                      : fmt::format("choose {} or less", bound(row, row.most)));
  }
  if (kind == Kind::choice) {
    const std::string_view value = setting.c_str();
    if (choice_of(row, value) < row.choices.size()) return true;
    const auto meant = nearest(value, row.choices);
    if (row.choices.size() > most_shown_choices)
      return complain(fmt::format("{} is not a known {}", shown(value), row.name),
                      meant
                          ? fmt::format("did you mean \"{}\"?", *meant)
                          : fmt::format("write one that espgate.conf(5) lists, such as \"{}\"", row.preset));
    return complain(fmt::format("{} is not {}", shown(value), one_of(row.choices)),
                    meant ? fmt::format("did you mean \"{}\"?", *meant) : "write one of these");
  }
  if (kind == Kind::text) {
    const std::string_view value = setting.c_str();
    const auto length = static_cast<long long>(value.size());
    if (length < row.least) return complain("the text is empty", "write a value between the quotes");
    if (length > row.most)
      return complain(
          fmt::format("{} has {}, and at most {} fit", shown(value), counted(length, "character"), row.most),
          "choose a shorter one");
  }
  return true;
}

const Key& GroupReader::key(std::string_view name) const {
  return *schema_.find(name);
}

const GroupReader::Slot& GroupReader::slot(std::string_view name) const {
  return slots_[static_cast<std::size_t>(&key(name) - schema_.keys.data())];
}

unsigned GroupReader::row_of(std::string_view name) const {
  const auto& [setting, usable] = slot(name);
  return setting != nullptr ? setting->getSourceLine() : row_;
}

void GroupReader::error(std::string_view name, std::string message, std::string remedy) const {
  report_.error(row_of(name), path_of(name), std::move(message), std::move(remedy));
}

void GroupReader::warning(std::string_view name, std::string message, std::string remedy) const {
  report_.warning(row_of(name), path_of(name), std::move(message), std::move(remedy));
}

bool GroupReader::number(std::string_view name, long long& out) const {
  const auto& [setting, usable] = slot(name);
  if (setting != nullptr) {
    if (usable) out = value_of(key(name), *setting);
    return usable;
  }
  const auto preset = key(name).preset;
  return std::from_chars(preset.data(), preset.data() + preset.size(), out).ec == std::errc{};
}

bool GroupReader::boolean(std::string_view name, bool& out) const {
  const auto& [setting, usable] = slot(name);
  if (!usable) return false;
  out = setting != nullptr ? static_cast<bool>(*setting) : key(name).preset == "true";
  return true;
}

bool GroupReader::text(std::string_view name, std::string& out) const {
  const auto& [setting, usable] = slot(name);
  const auto preset = key(name).preset;
  if (!usable || (setting == nullptr && preset.empty())) return false;
  out = setting != nullptr ? std::string_view(setting->c_str()) : preset;
  return true;
}

bool GroupReader::choice_index(std::string_view name, long long& out) const {
  std::string value;
  if (!text(name, value)) return false;
  out = static_cast<long long>(choice_of(key(name), value));
  return true;
}

const Secret* GroupReader::secret(std::string_view name) const {
  const auto& [setting, usable] = slot(name);
  if (setting == nullptr || !usable) return nullptr;
  const std::string_view index = setting->c_str();
  std::size_t number = 0;
  std::from_chars(index.data(), index.data() + index.size(), number);
  return &scanned_.keys[number];
}

std::vector<TextElement> GroupReader::texts(std::string_view name) const {
  std::vector<TextElement> result;
  const auto& [setting, usable] = slot(name);
  if (setting == nullptr || !usable) return result;
  const auto& row = key(name);
  for (int i = 0; i < setting->getLength(); ++i) {
    const Setting& element = (*setting)[i];
    const auto path = path_.child(row.name, i);
    if (check_value(row, Kind::text, element, path, true))
      result.push_back({element.c_str(), element.getSourceLine(), path});
  }
  return result;
}

std::vector<long long> GroupReader::integers(std::string_view name) const {
  std::vector<long long> result;
  const auto& [setting, usable] = slot(name);
  if (setting == nullptr || !usable) return result;
  const auto& row = key(name);
  for (int i = 0; i < setting->getLength(); ++i) {
    const Setting& element = (*setting)[i];
    if (check_value(row, Kind::integer, element, path_.child(row.name, i), true))
      result.push_back(value_of(row, element));
  }
  return result;
}

void GroupReader::visit(std::string_view name, const std::function<void(const GroupReader&)>& visit) const {
  const auto& [setting, usable] = slot(name);
  if (setting == nullptr || !usable) return;
  const auto& row = key(name);
  if (row.kind == Kind::group)
    return visit(GroupReader(*setting, *row.group, path_.child(row.name), scanned_, report_));
  for (int i = 0; i < setting->getLength(); ++i) {
    const Setting& element = (*setting)[i];
    const auto path = path_.child(row.name, i);
    if (check_value(row, Kind::group, element, path, true))
      visit(GroupReader(element, *row.group, path, scanned_, report_));
  }
}

}  // namespace espgate::config
