#include "control/daemon/secret_keeper.hpp"

#include <memory>
#include <optional>

#include "control/daemon/random.hpp"

namespace espgate::daemon {

SecretKeeper::SecretKeeper(EventLoop& loop, std::string folder, Use use, sa::Log log, Cpus spare_cpus)
    : loop_(loop),
      folder_(std::move(folder)),
      use_(std::move(use)),
      log_(std::move(log)),
      work_(1, 1, [spare_cpus] { give_way("secrets", spare_cpus); }) {
  loop_.watch("token secrets", work_.descriptor(), [this] { work_.deliver(); });
}

SecretKeeper::~SecretKeeper() {
  loop_.unwatch(work_.descriptor());
}

void SecretKeeper::start(Moment now) {
  counted_to_ = now.steady;
  take(recovery::token_secrets(folder_, {}, fill_random), now);
}

void SecretKeeper::tick(Moment now) {
  work_.hand_over();
  if (is_working_ || now.steady < next_) return;
  is_working_ = true;
  const auto made = std::make_shared<std::optional<Result>>();
  const auto given_out = std::chrono::floor<std::chrono::seconds>(now.steady - counted_to_);
  (void)work_.submit(  // there is room: one at a time
      0,
      [folder = folder_, given_out, made] {
        *made = recovery::token_secrets(folder, given_out, fill_random);
      },
      [this, made, now](bool done) {
        is_working_ = false;
        next_ = now.steady + every;
        if (done && *made) take(std::move(**made), now);
      });
}

void SecretKeeper::take(Result result, Moment now) {
  next_ = now.steady + every;
  if (!result) return log_(sa::Severity::warning, result.error().text());
  if (result->problem) log_(sa::Severity::warning, result->problem->text());
  counted_to_ = now.steady;
  use_(std::move(result->secrets));
}

}  // namespace espgate::daemon
