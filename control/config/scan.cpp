#include "control/config/scan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>

#include "control/config/literals.hpp"
#include "control/config/read_file.hpp"
#include "control/config/words.hpp"

namespace espgate::config {
namespace {

constexpr std::size_t most_source_bytes = std::size_t{256} << 20;
constexpr std::size_t most_sources = 1000;
constexpr std::size_t most_include_depth = 10;
constexpr std::size_t most_nesting = 32;

char closing(char opening) {
  return opening == '{' ? '}' : opening == '(' ? ')' : ']';
}

class Scanner {
 public:
  Scanner(Places& places, Report& report, bool exact) : places_(places), report_(report), exact_(exact) {}

  void include(const std::string& file, unsigned from_row);
  ScannedText take();

 private:
  struct Bracket {
    char opening;
    unsigned row;
    std::size_t first_name;  // index into names_ of the first one inside
  };
  struct Name {
    std::string text;
    unsigned row;
  };

  void scan_text(std::string_view text);
  void next_token();
  void skip_block_comment();
  void string_token();
  void word_token();
  void include_directive();
  void open(char c);
  void close(char c);
  void assign(char c);
  std::string unique_name(const std::string& name, unsigned row);
  void end_of_file(std::size_t outer_brackets);

  // Appends a token to the canonical text and returns its row.
  unsigned emit(std::string_view token, std::string_view as_written, bool is_string = false);
  void flush_name();
  unsigned new_row();
  void malformed(unsigned row, std::string message, std::string remedy);

  Places& places_;
  Report& report_;
  const bool exact_;
  ScannedText out_;

  std::vector<std::string> including_;  // canonical paths of the files being read
  std::uint32_t file_ = 0;
  unsigned line_ = 1;
  std::string_view rest_;

  std::vector<Bracket> brackets_{{'\0', 0, 0}};  // the first stands for the top level
  std::vector<Name> names_;                      // of all groups that are open, inner ones last
  std::optional<Name> word_;                     // a name that may turn out to be set by what follows
  bool key_value_next_ = false;                  // after `key =`
  bool after_string_ = false;
  bool brackets_wrong_ = false;
  Place wrong_{};  // the last line with an error of form
};

void Scanner::malformed(unsigned row, std::string message, std::string remedy) {
  out_.well_formed = false;
  // One mistake often makes several tokens of its line look wrong.
  const auto& place = places_.of(row);
  if (row != 0 && place.file == wrong_.file && place.line == wrong_.line) return;
  wrong_ = place;
  report_.error(row, "", std::move(message), std::move(remedy));
}

unsigned Scanner::emit(std::string_view token, std::string_view as_written, bool is_string) {
  const bool may_end_string = is_string || token == "," || token == ")";
  if (after_string_ && may_end_string && !exact_) {
    out_.canonical += ' ';
  } else {
    new_row();
    if (exact_) {
      out_.tokens.resize(places_.rows.size());
      out_.tokens.back() = as_written;
    }
  }
  out_.canonical += token;
  after_string_ = is_string;
  return static_cast<unsigned>(places_.rows.size() - 1);
}

ScannedText Scanner::take() {
  if (exact_) {
    new_row();
    out_.tokens.resize(places_.rows.size(), "the end of the file");
  }
  return std::move(out_);
}

unsigned Scanner::new_row() {
  if (places_.rows.size() > 1) out_.canonical += '\n';
  after_string_ = false;
  return places_.add(file_, line_);
}

// A word is held back until the next token tells whether it is a name that is being set.
void Scanner::flush_name() {
  if (!word_) return;
  const auto word = std::move(*word_);
  word_.reset();
  emit(word.text, word.text);
}

void Scanner::include(const std::string& file, unsigned from_row) {
  std::error_code ignored;
  const auto canonical = std::filesystem::weakly_canonical(file, ignored).string();
  if (std::ranges::find(including_, canonical) != including_.end())
    return malformed(from_row, fmt::format("{} includes itself", shown(file)),
                     "remove one of the @include lines");
  if (including_.size() > most_include_depth || places_.files.size() >= most_sources)
    return malformed(
        from_row, fmt::format("{} is one included file too many", shown(file)),
        fmt::format("include at most {} files, nested at most {} deep", most_sources, most_include_depth));
  auto content = read_file(file, most_source_bytes);
  if (!content) return malformed(from_row, content.error().what, content.error().remedy);

  const auto outer_file = file_;
  const auto outer_line = line_;
  const auto outer_rest = rest_;
  const auto outer_brackets = brackets_.size();
  const auto keys_before = out_.keys.size();
  if (places_.files.empty() || !including_.empty()) places_.files.push_back(file);
  file_ = static_cast<std::uint32_t>(places_.files.size() - 1);
  line_ = 1;
  including_.push_back(canonical);
  scan_text(content->text);
  end_of_file(outer_brackets);
  including_.pop_back();
  if (out_.keys.size() > keys_before && (content->mode & 0077U) != 0)
    report_.warning(
        out_.rows_with_keys[keys_before], "",
        fmt::format("the file has keys in it and mode {:04o}, so others can read them", content->mode),
        fmt::format("chmod 600 {}", file));
  cleanse(content->text);
  file_ = outer_file;
  line_ = outer_line;
  rest_ = outer_rest;
}

void Scanner::scan_text(std::string_view text) {
  constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  rest_ = text;
  while (!rest_.empty()) next_token();
  flush_name();
}

void Scanner::next_token() {
  const char c = rest_[0];
  if (c == '\n') ++line_;
  if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f') return rest_.remove_prefix(1);
  if (c == '#' || rest_.starts_with("//"))
    return rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
  if (rest_.starts_with("/*")) return skip_block_comment();
  if (c == '"') return string_token();
  if (c == '@') return include_directive();
  if (is_word_character(c)) return word_token();
  rest_.remove_prefix(1);
  switch (c) {
    case '=':
    case ':':
      return assign(c);
    case '{':
    case '(':
    case '[':
      return open(c);
    case '}':
    case ')':
    case ']':
      return close(c);
    case ';':
    case ',':
      flush_name();
      key_value_next_ = false;
      emit({&c, 1}, {&c, 1});
      return;
    default:
      flush_name();
      malformed(new_row(), fmt::format("unexpected character {}", shown({&c, 1})),
                "put text in double quotes, and comments behind #");
  }
}

void Scanner::skip_block_comment() {
  const auto end = rest_.find("*/", 2);
  if (end == std::string_view::npos)
    malformed(new_row(), "the comment that begins here is never closed", "end it with */");
  const auto comment = rest_.substr(0, end == std::string_view::npos ? end : end + 2);
  line_ += static_cast<unsigned>(std::ranges::count(comment, '\n'));
  rest_.remove_prefix(comment.size());
}

void Scanner::string_token() {
  flush_name();
  std::size_t end = 1;
  while (end < rest_.size() && rest_[end] != '"' && rest_[end] != '\n')
    end += rest_[end] == '\\' && end + 1 < rest_.size() && rest_[end + 1] != '\n' ? 2 : 1;
  const auto content = rest_.substr(1, std::min(end, rest_.size()) - 1);
  if (end >= rest_.size() || rest_[end] == '\n') {
    malformed(new_row(), "the text that begins here has no closing quote on its line", "add the closing \"");
    return rest_.remove_prefix(std::min(end, rest_.size()));
  }
  const auto quoted = rest_.substr(0, end + 1);
  rest_.remove_prefix(quoted.size());
  if (content.find('\0') != std::string_view::npos)
    return malformed(new_row(), "the text has a NUL byte in it", "remove it with an editor that shows it");
  if (key_value_next_) {
    // Adjacent strings are one value in libconfig; the index of the first stands for all.
    const bool continues = after_string_;
    std::vector<std::uint8_t> bytes;
    if (continues) bytes = out_.keys.back().bytes();
    bytes.reserve(bytes.size() + content.size());
    bytes.insert(bytes.end(), content.begin(), content.end());
    if (continues) {
      out_.keys.back() = Secret(std::move(bytes));
      return;
    }
    out_.keys.emplace_back(std::move(bytes));
    out_.rows_with_keys.push_back(emit(fmt::format("\"{}\"", out_.keys.size() - 1), "\"...\"", true));
    return;
  }
  emit(quoted, quoted, true);
}

void Scanner::word_token() {
  flush_name();
  const auto length =
      static_cast<std::size_t>(std::ranges::find_if_not(rest_, is_word_character) - rest_.begin());
  const auto word = rest_.substr(0, length);
  rest_.remove_prefix(length);
  if (is_name(word)) {
    word_ = Name{std::string(word), 0};
    return;
  }
  if (const auto integer = integer_literal(word)) {
    emit(*integer, word);
  } else if (is_float_literal(word)) {
    emit(word, word);
  } else {
    malformed(new_row(), fmt::format("{} is neither a number nor a name", shown(word)),
              "put text in double quotes; names begin with a letter");
  }
}

void Scanner::include_directive() {
  flush_name();
  constexpr std::string_view directive = "@include";
  const unsigned row = new_row();
  auto line = rest_.substr(0, rest_.find('\n'));
  rest_.remove_prefix(line.size());
  const auto begin = line.find_first_not_of(" \t", directive.size());
  const bool named = line.starts_with(directive) && begin != std::string_view::npos && line[begin] == '"';
  const auto end = named ? line.find('"', begin + 1) : std::string_view::npos;
  if (end == std::string_view::npos)
    return malformed(row, "\"@\" begins nothing but an @include line", "write: @include \"other.conf\"");
  // What stands behind the name is read after the included text, as if it followed that.
  const auto behind = line.substr(end + 1);
  rest_ = std::string_view(behind.data(), behind.size() + rest_.size());
  include(beside(places_.files[file_], std::string(line.substr(begin + 1, end - begin - 1))), row);
}

void Scanner::assign(char c) {
  if (word_) {
    const auto name = std::move(word_->text);
    word_.reset();
    const auto row = emit("", name);
    out_.canonical += unique_name(name, row);
    key_value_next_ = name == "key" || name == "psk";
  }
  emit({&c, 1}, {&c, 1});
}

std::string Scanner::unique_name(const std::string& name, unsigned row) {
  for (std::size_t i = brackets_.back().first_name; i < names_.size(); ++i) {
    if (names_[i].text != name) continue;
    report_.error(row, name, fmt::format("set twice, already in {}", places_.seen_from(row, names_[i].row)),
                  "keep one of the two");
    return fmt::format("*{}", row);
  }
  names_.push_back({name, row});
  return name;
}

void Scanner::open(char c) {
  flush_name();
  key_value_next_ = false;
  const char as_list = c == '[' ? '(' : c;
  const auto row = emit({&as_list, 1}, {&c, 1});
  if (brackets_.size() > most_nesting) {
    malformed(row, fmt::format("{} levels of brackets", brackets_.size()),
              "check for a missing closing bracket");
    brackets_wrong_ = true;
    rest_ = {};
    return;
  }
  brackets_.push_back({c, row, names_.size()});
}

void Scanner::close(char c) {
  flush_name();
  key_value_next_ = false;
  const char as_list = c == ']' ? ')' : c;
  const auto row = emit({&as_list, 1}, {&c, 1});
  const auto& innermost = brackets_.back();
  if (innermost.opening != '\0' && closing(innermost.opening) == c) {
    names_.resize(innermost.first_name);
    brackets_.pop_back();
    return;
  }
  // After the first bracket that does not fit, every other is likely to be off by one as well.
  if (brackets_wrong_) return;
  brackets_wrong_ = true;
  if (innermost.opening == '\0')
    malformed(row, fmt::format("\"{}\" closes nothing", c), "remove it, or add the opening bracket");
  else
    malformed(row,
              fmt::format("\"{}\" does not close the \"{}\" of {}", c, innermost.opening,
                          places_.seen_from(row, innermost.row)),
              fmt::format("close that one first with \"{}\"", closing(innermost.opening)));
}

void Scanner::end_of_file(std::size_t outer_brackets) {
  if (brackets_.size() > outer_brackets && !brackets_wrong_) {
    brackets_wrong_ = true;
    const auto& innermost = brackets_.back();
    malformed(innermost.row, fmt::format("the \"{}\" that opens here is never closed", innermost.opening),
              fmt::format("add \"{}\"", closing(innermost.opening)));
  }
  if (brackets_.size() > outer_brackets) {
    names_.resize(brackets_[outer_brackets].first_name);
    brackets_.resize(outer_brackets, {'\0', 0, 0});
  }
}

}  // namespace

ScannedText scan(const std::string& file, Places& places, Report& report, bool exact) {
  Scanner scanner(places, report, exact);
  scanner.include(file, 0);
  return scanner.take();
}

}  // namespace espgate::config
