// Every key of the configuration file, once: the loader checks files against this table, fills in its
// defaults, and the manual page is printed from it.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace espgate::config {

enum class Kind {
  boolean,
  integer,
  text,
  choice,    // text, one of `choices`
  secret,    // text that is never shown
  integers,  // list of integers, each within least..most
  texts,     // list of texts
  group,     // { ... } with the keys of `group`
  groups,    // list of such groups
};

struct Group;

// A unit that may stand behind a number, in quotes: with {"h", 3600}, "2 h" is 7200.
struct Multiple {
  std::string_view name;
  long long of;
};

struct Key {
  std::string_view name;
  Kind kind;
  std::string_view unit = "";  // "bytes", "packets/s"
  long long least = 0;         // integers: the value; texts: how many characters
  long long most = 0;
  bool hexadecimal = false;                  // show the range so
  std::span<const Multiple> multiples = {};  // integers
  std::string_view word = "";                // integers: a text that may stand instead of a number,
  long long word_is = 0;                     // and which one it stands for, outside of least..most
  std::string_view preset = "";              // default as written in a file; empty: none
  bool required = false;
  std::size_t fewest_elements = 0;  // lists
  std::size_t most_elements = 0;    // lists; 0: any number
  std::span<const std::string_view> choices = {};
  std::string_view (*canonical)(std::string_view) = nullptr;  // from another accepted form to the choice
  const Group* group = nullptr;
  std::string_view reason = "";   // why the range is what it is, for messages
  std::string_view meaning = "";  // one sentence or two
};

struct Group {
  std::string_view path;  // "connections[].inbound"; empty: top level
  std::string_view meaning;
  std::span<const Key> keys;

  const Key* find(std::string_view name) const;
};

// The index of the choice that `value` is, or another form of; choices.size() if there is none.
std::size_t choice_of(const Key& key, std::string_view value);

// "s, min, h, d"
std::string names_of_multiples(const Key& key);

const Group& top_level();
// All groups in the order of the manual, the top level first.
std::span<const Group* const> groups();

// The keys as mdoc, group by group.
std::string schema_reference();
// The whole page espgate.conf(5).
std::string manual_page();

}  // namespace espgate::config
