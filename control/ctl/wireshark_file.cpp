#include "control/ctl/wireshark_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace espgate::ctl {

using nlohmann::json;

Expected<WiresharkFile> WiresharkFile::create(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file) return WiresharkFile(std::move(file), path);
  if (errno == EEXIST) return Error{fmt::format("{} exists", path), "remove it or choose another file"};
  return Error{fmt::format("cannot write {}: {}", path, std::strerror(errno)), "choose another file"};
}

WiresharkFile::WiresharkFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

WiresharkFile::WiresharkFile(WiresharkFile&& other) noexcept = default;

WiresharkFile::~WiresharkFile() {
  if (fd_ && !whole_) ::unlink(path_.c_str());
}

Expected<void> WiresharkFile::write(const std::string& text) {
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t n = ::write(fd_.get(), text.data() + sent, text.size() - sent);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return Error{fmt::format("cannot write {}: {}", path_, std::strerror(errno)), "choose another file"};
    sent += static_cast<std::size_t>(n);
  }
  return {};
}

int WiresharkOutput::item(const json& sa) {
  const auto line = sa.is_object() ? sa.find("line") : sa.end();
  if (line == sa.end() || (!line->is_string() && !line->is_null()))
    return fail(
        {"espgated sent an SA that is not understood", "use the espgatectl that came with this espgated"});
  if (line->is_null()) {
    auto without = sa;
    without.erase("line");
    left_out_.push_back(std::move(without));
    return done;
  }
  // Wireshark reads no line that begins so.
  const auto ended = sa.find("ended_s");
  const bool is_over = ended != sa.end() && ended->is_number_unsigned();
  const auto remark = is_over ? fmt::format("# an IKE SA of connection {}, ended {} s ago\n",
                                            sa.value("connection", "?"), ended->get<std::uint64_t>())
                              : std::string();
  if (auto written = file_.write(remark + line->get_ref<const std::string&>() + "\n"); !written)
    return fail(written.error());
  ++written_;
  ended_ += is_over;
  return done;
}

int WiresharkOutput::finish(const json&) {
  file_.keep();
  if (output_.json())
    return output_.document(
        {{"file", file_.path()}, {"written", written_}, {"ended", ended_}, {"left_out", left_out_}});
  for (const auto& sa : left_out_)
    output_.remark(fmt::format("left out: SPI {} of connection {}, Wireshark does not know {}\n",
                               sa.value("spi", "?"), sa.value("connection", "?"), sa.value("suite", "?")));
  const auto over = ended_ == 0 ? std::string() : fmt::format(" ({} of them ended already)", ended_);
  output_.remark(fmt::format("{} of {} SAs written to {}{}, keys and all: delete it when you are done\n",
                             written_, written_ + left_out_.size(), file_.path(), over));
  return done;
}

}  // namespace espgate::ctl
