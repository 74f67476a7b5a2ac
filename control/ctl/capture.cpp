#include "control/ctl/capture.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "control/cli/pcap.hpp"
#include "control/cli/values.hpp"
#include "datapath/base/counted.hpp"

namespace espgate::ctl {
namespace {

using nlohmann::json;

constexpr auto progress_interval = std::chrono::milliseconds(250);

Error bad_frame() {
  return {"espgated sent a frame that is not understood", "use the espgatectl that came with this espgated"};
}

std::uint64_t number(const json& frame, const char* key) {
  const auto found = frame.find(key);
  return found != frame.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

}  // namespace

CaptureOutput::CaptureOutput(Output& output, PcapFile file, std::string path)
    : output_(output),
      file_(std::move(file)),
      path_(std::move(path)),
      shows_progress_(isatty(STDERR_FILENO)) {
  if (shows_progress_) output_.remark("capturing; Ctrl-C ends it\n");
}

int CaptureOutput::item(const json& frame) {
  const auto text = frame.is_object() ? frame.find("data") : frame.end();
  if (text == frame.end() || !text->is_string()) return fail(bad_frame());
  const auto data = cli::from_base64(text->get_ref<const std::string&>());
  if (!data) return fail(bad_frame());
  if (auto begun = file_.begin(); !begun) return fail(begun.error());
  const auto length = static_cast<std::uint32_t>(number(frame, "length_bytes"));
  const auto written = file_.write(cli::pcap_record(number(frame, "time_ns"), length, *data));
  if (!written) return fail(written.error());
  ++written_;
  show_progress();
  return done;
}

void CaptureOutput::show_progress() {
  const auto now = std::chrono::steady_clock::now();
  if (!shows_progress_ || now < next_progress_) return;
  next_progress_ = now + progress_interval;
  output_.remark(fmt::format("\r{}", counted(written_, "frame")));
}

int CaptureOutput::finish(const json& result) {
  // A capture without frames is a valid, empty file too.
  if (auto begun = file_.begin(); !begun) return fail(begun.error());
  const json lost = result.is_object() && result.contains("lost") ? result["lost"] : json();
  if (output_.json()) return output_.document({{"file", path_}, {"written", written_}, {"lost", lost}});
  const std::string losses = lost.is_null() || lost == 0 ? "" : fmt::format(", {} lost", lost.dump());
  output_.remark(fmt::format("{}{} written to {}{}\n", shows_progress_ ? "\r" : "",
                             counted(written_, "frame"), path_ == "-" ? "standard output" : path_, losses));
  return done;
}

int CaptureOutput::fail(const Error& error) {
  if (shows_progress_ && written_ > 0) output_.remark("\n");
  return output_.error(error);
}

}  // namespace espgate::ctl
