// What is told to who follows each step of IKE.
#include <fmt/format.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <sstream>

#include "control/daemon/log.hpp"
#include "datapath/net/bytes.hpp"
#include "tests/control/daemon/two_services.hpp"

namespace espgate::test {
namespace {

// What is logged of IKE while it is there, steps included.
class Follower {
 public:
  Follower() : before_(daemon::set_log_level(daemon::LogTopic::ike, "debug")) {
    daemon::ike_log().sinks().swap(sinks_);
  }
  ~Follower() {
    daemon::ike_log().sinks().swap(sinks_);
    daemon::set_log_level(daemon::LogTopic::ike, before_);
  }
  std::size_t lines() const {
    const auto text = text_.str();
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
  }
  bool has(const std::string& what) const { return text_.str().find(what) != std::string::npos; }

 private:
  std::string before_;
  std::ostringstream text_;
  std::vector<spdlog::sink_ptr> sinks_ = {std::make_shared<spdlog::sinks::ostream_sink_st>(text_)};
};

std::vector<std::uint8_t> first_message(Side& side) {
  std::vector<std::uint8_t> greeting;
  for (int i = 0; i < 5'000 && greeting.empty(); ++i) {
    pollfd work{side.ike->descriptor(), POLLIN, 0};
    if (poll(&work, 1, 1) > 0) side.ike->deliver();
    side.ike->run_timer(daemon::now());
    greeting = side.take();
  }
  return greeting;
}

TEST_CASE("Who follows each step is not told more than so much a second, whatever comes") {
  Two two;
  const config::test::Folder folder;
  const auto wide = config::load(folder.write(
      "espgate.conf", fmt::format("{}limits = {{ ike-half-open-per-source = 100000; ike-cookies-from = "
                                  "100000; ike-half-open = 100000; }};",
                                  config::test::minimal)));
  REQUIRE(wide.configuration);
  two.b.ike.emplace(two.b.parts(), wide.configuration->limits);
  two.a.configure(std::string(psk));
  two.b.configure(std::string(psk) + "start = \"passive\";");
  auto greeting = framed(first_message(two.a));
  constexpr std::size_t checksum_at = 14 + 20 + 6, spi_at = 14 + 20 + 8;
  REQUIRE(greeting.size() > spi_at + 28);
  constexpr std::uint32_t come = 800;
  constexpr std::size_t most = 500;
  net::store_be16(greeting, checksum_at, 0);  // none
  const Follower follower;
  const auto now = daemon::now();
  for (std::uint32_t i = 1; i <= come; ++i) {
    net::store_be32(greeting, spi_at, i);
    two.b.ike->received(greeting, now);
  }
  CHECK(two.b.ike->core().half_open() == come);
  CHECK(follower.has("IKE_SA_INIT has come"));
  CHECK(follower.lines() <= most);
  auto later = now;
  later.steady += 2s;
  two.b.ike->tick(later);
  CHECK(follower.has("more messages and steps were not told of"));
}

}  // namespace
}  // namespace espgate::test
