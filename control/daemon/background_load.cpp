#include "control/daemon/background_load.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <exception>
#include <system_error>

namespace espgate::daemon {

BackgroundLoad::BackgroundLoad(EventLoop& loop, Cpus spare)
    : loop_(loop), spare_(std::move(spare)), finished_(eventfd(0, EFD_CLOEXEC)) {
  if (finished_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  loop_.watch("reload", finished_, [this] { finish(); });
}

BackgroundLoad::~BackgroundLoad() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  loop_.unwatch(finished_);
  close(finished_);
}

void BackgroundLoad::start(const std::string& file, Done done) {
  done_ = std::move(done);
  result_ = {};
  thread_ = std::jthread([this, file](const std::stop_token& stop) { read(stop, file); });
}

void BackgroundLoad::read(const std::stop_token& stop, const std::string& file) noexcept {
  give_way("reload", spare_);
  try {
    result_ = config::load(file, stop);
  } catch (const std::exception& failure) {  // out of memory
    result_ = {};
    result_.errors.push_back({file, 0, "", failure.what(), "free some memory and try again"});
  }
  eventfd_write(finished_, 1);
}

void BackgroundLoad::finish() {
  eventfd_t count = 0;
  eventfd_read(finished_, &count);
  thread_.join();
  const auto done = std::exchange(done_, {});
  done(std::exchange(result_, {}));
}

}  // namespace espgate::daemon
