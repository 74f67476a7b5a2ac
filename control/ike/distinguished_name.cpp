#include "control/ike/distinguished_name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "control/ike/openssl.hpp"

namespace espgate::ike {
namespace {

using Bytes = std::span<const std::uint8_t>;

Name decode(Bytes der) {
  const std::uint8_t* at = der.data();
  Name name(d2i_X509_NAME(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!name || at != der.data() + der.size()) return nullptr;
  return name;
}

int digit_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// One "type=value", and how it stands to the one before.
struct Part {
  std::string type;
  std::string value;
  bool same_rdn = false;
};

// Reads a value up to the separator behind it.
class PartReader {
 public:
  explicit PartReader(std::string_view text) : rest_(text) {}

  bool at_end() const { return done_; }

  Expected<Part> take() {
    Part part;
    part.same_rdn = joins_;
    const auto equals = rest_.find('=');
    if (equals == std::string_view::npos)
      return Error{fmt::format("\"{}\" has no \"=\"", trimmed(rest_)),
                   "write a name as \"C=DE, CN=gateway\""};
    part.type = trimmed(rest_.substr(0, equals));
    rest_.remove_prefix(equals + 1);
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
    std::size_t kept = 0;  // spaces behind this are not the value's
    while (!rest_.empty() && rest_.front() != ',' && rest_.front() != '+') {
      const bool escaped = rest_.front() == '\\';
      const auto character = escaped ? take_escaped() : std::optional<char>(take_plain());
      if (!character)
        return Error{"a \"\\\" is not followed by what it can stand before", "write \"\\\\\" for one"};
      part.value.push_back(*character);
      if (escaped || *character != ' ') kept = part.value.size();
    }
    part.value.resize(kept);
    done_ = rest_.empty();
    joins_ = !done_ && rest_.front() == '+';
    if (!done_) rest_.remove_prefix(1);
    return part;
  }

 private:
  char take_plain() {
    const char character = rest_.front();
    rest_.remove_prefix(1);
    return character;
  }
  std::optional<char> take_escaped() {
    rest_.remove_prefix(1);
    if (rest_.size() >= 2 && digit_value(rest_[0]) >= 0 && digit_value(rest_[1]) >= 0) {
      const int value = digit_value(rest_[0]) << 4 | digit_value(rest_[1]);
      rest_.remove_prefix(2);
      return static_cast<char>(value);
    }
    constexpr std::string_view special = ",+\"\\<>;=# ";
    if (rest_.empty() || special.find(rest_.front()) == std::string_view::npos) return {};
    return take_plain();
  }

  std::string_view rest_;
  bool done_ = false;
  bool joins_ = false;
};

// By OpenSSL's names, those that people use besides, and either in small letters.
Object type_of(const std::string& type) {
  // OpenSSL reads an object identifier up to a zero byte, and spaces in it, and shows one of 79 digits at
  // most.
  constexpr std::size_t longest = 64;
  const auto is_good = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-';
  };
  if (type.size() > longest || !std::ranges::all_of(type, is_good)) return nullptr;
  std::string upper = type;
  std::ranges::transform(upper, upper.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  if (upper == "E" || upper == "EMAIL") return Object(OBJ_txt2obj("emailAddress", 0));
  if (upper == "S") return Object(OBJ_txt2obj("ST", 0));
  auto* object = OBJ_txt2obj(type.c_str(), 0);
  return Object(object != nullptr ? object : OBJ_txt2obj(upper.c_str(), 0));
}

Expected<void> add(X509_NAME* name, const Part& part) {
  const Object object = type_of(part.type);
  if (!object) {
    ERR_clear_error();
    return Error{fmt::format("\"{}\" is not a part of a name", part.type),
                 "use C, ST, L, O, OU, CN, DC, E or an object identifier"};
  }
  if (part.value.empty())
    return Error{fmt::format("{} has no value", part.type), "write one or leave it out"};
  if (X509_NAME_add_entry_by_OBJ(name, object.get(), MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(part.value.data()),
                                 static_cast<int>(part.value.size()), -1, part.same_rdn ? -1 : 0) != 1)
    return Error{fmt::format("\"{}\" cannot be the value of {}: {}", part.value, part.type, last_reason()),
                 "correct it"};
  return {};
}

std::string_view text_of(const X509_NAME_ENTRY* entry) {
  const auto* data = X509_NAME_ENTRY_get_data(entry);
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(data)),
          static_cast<std::size_t>(ASN1_STRING_length(data))};
}

// Compared as a name of its own, for the canonical form.
bool same_entry(const X509_NAME_ENTRY* a, const X509_NAME_ENTRY* b) {
  const Name left(X509_NAME_new()), right(X509_NAME_new());
  return left && right && X509_NAME_add_entry(left.get(), a, -1, 0) == 1 &&
         X509_NAME_add_entry(right.get(), b, -1, 0) == 1 && X509_NAME_cmp(left.get(), right.get()) == 0;
}

}  // namespace

Expected<std::vector<std::uint8_t>> parse_distinguished_name(std::string_view text) {
  const Name name(X509_NAME_new());
  PartReader reader(text);
  while (!reader.at_end()) {
    const auto part = reader.take();
    if (!part) return part.error();
    if (const auto added = add(name.get(), *part); !added) return added.error();
  }
  return der_of<i2d_X509_NAME>(name.get());
}

std::string distinguished_name_text(Bytes der) {
  const auto name = decode(der);
  if (!name) return "(not a name)";
  const MemoryBio out(BIO_new(BIO_s_mem()));
  constexpr unsigned long form = XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN | ASN1_STRFLGS_ESC_2253 |
                                 ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_ESC_MSB | ASN1_STRFLGS_UTF8_CONVERT |
                                 ASN1_STRFLGS_DUMP_UNKNOWN | ASN1_STRFLGS_DUMP_DER;
  if (!out || X509_NAME_print_ex(out.get(), name.get(), 0, form) < 0) {
    ERR_clear_error();
    return "(a name that cannot be shown)";
  }
  const char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

bool is_distinguished_name(Bytes der) {
  return decode(der) != nullptr;
}

bool same_distinguished_name(Bytes a, Bytes b) {
  const auto left = decode(a), right = decode(b);
  return left && right && X509_NAME_cmp(left.get(), right.get()) == 0;
}

bool distinguished_name_matches(Bytes pattern, Bytes name) {
  const auto wanted = decode(pattern), given = decode(name);
  if (!wanted || !given) return false;
  const int count = X509_NAME_entry_count(wanted.get());
  if (count != X509_NAME_entry_count(given.get())) return false;
  for (int i = 0; i < count; ++i) {
    const auto* want = X509_NAME_get_entry(wanted.get(), i);
    const auto* have = X509_NAME_get_entry(given.get(), i);
    if (X509_NAME_ENTRY_set(want) != X509_NAME_ENTRY_set(have) ||
        OBJ_cmp(X509_NAME_ENTRY_get_object(want), X509_NAME_ENTRY_get_object(have)) != 0)
      return false;
    if (text_of(want) != "*" && !same_entry(want, have)) return false;
  }
  return true;
}

}  // namespace espgate::ike
