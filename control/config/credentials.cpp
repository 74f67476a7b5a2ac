#include "control/config/credentials.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "control/config/key_material.hpp"
#include "control/config/read_file.hpp"

namespace espgate::config {
namespace {

constexpr std::size_t most_file_bytes = 16'777'216;  // CRLs of large CAs have some millions
constexpr std::size_t most_files = 10'000;

bool is_credential(const std::filesystem::path& path) {
  constexpr std::array<std::string_view, 5> endings{".pem", ".crt", ".cer", ".der", ".crl"};
  return std::ranges::find(endings, path.extension().string()) != endings.end();
}

template <typename Value>
Expected<std::vector<Value>> decode(const std::string& text) {
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  constexpr std::uint8_t der_sequence = 0x30;  // in PEM the digit 0, which no line in front begins with
  if (bytes.empty() || bytes[0] != der_sequence || text.find("-----BEGIN") != std::string::npos)
    return Value::all_in_pem(bytes);
  auto value = Value::from_der(bytes);
  if (!value) return std::move(value).error();
  return std::vector<Value>{*std::move(value)};
}

template <typename Value>
Expected<std::vector<Value>> load_file(const std::string& path) {
  const auto file = read_file(path, most_file_bytes);
  if (!file) return file.error();
  auto values = decode<Value>(file->text);
  if (!values) return Error{fmt::format("{}: {}", path, values.error().what), values.error().remedy};
  return values;
}

Expected<std::vector<std::string>> files_of(const std::string& folder) {
  std::error_code problem;
  std::vector<std::string> files;
  for (std::filesystem::directory_iterator at(folder, problem), end; !problem && at != end;
       at.increment(problem)) {
    if (is_credential(at->path())) files.push_back(at->path().string());
    if (files.size() > most_files)
      return Error{fmt::format("{} has more than {} files", folder, most_files),
                   "name a folder of certificates only"};
  }
  if (problem)
    return Error{fmt::format("cannot read {}: {}", folder, problem.message()),
                 "correct the path or its permissions"};
  std::ranges::sort(files);
  return files;
}

template <typename Value>
Expected<std::vector<Value>> load(const std::string& path, std::string_view what) {
  std::error_code problem;
  if (!std::filesystem::is_directory(path, problem)) return load_file<Value>(path);
  const auto files = files_of(path);
  if (!files) return files.error();
  std::vector<Value> all;
  for (const auto& file : *files) {
    const auto content = read_file(file, most_file_bytes);
    if (!content) return content.error();
    if (auto values = decode<Value>(content->text)) std::ranges::move(*values, std::back_inserter(all));
  }
  if (all.empty())
    return Error{fmt::format("the folder {} has no {}", path, what),
                 "put files in PEM or DER there whose names end in .pem, .crt, .cer, .der or .crl"};
  return all;
}

}  // namespace

Expected<PrivateKeyFile> load_private_key(const std::string& path) {
  const auto file = read_key_file(path);
  if (!file) return file.error();
  auto key = ike::PrivateKey::from_pem(file->text.bytes());
  if (!key) return Error{fmt::format("{}: {}", path, key.error().what), key.error().remedy};
  return PrivateKeyFile{*std::move(key), file->group_readable};
}

Expected<std::vector<ike::X509Certificate>> load_certificates(const std::string& path) {
  return load<ike::X509Certificate>(path, "certificate");
}

Expected<std::vector<ike::RevocationList>> load_revocation_lists(const std::string& path) {
  return load<ike::RevocationList>(path, "CRL");
}

}  // namespace espgate::config
