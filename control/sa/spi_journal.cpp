#include "control/sa/spi_journal.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <thread>
#include <utility>

#include "control/sa/state_file.hpp"
#include "datapath/base/counted.hpp"
#include "datapath/base/digest.hpp"

namespace espgate::sa {

// As it is in the file.
struct SpiJournal::Slot {
  std::uint32_t checksum;  // of what follows
  std::uint32_t spi;
  std::uint64_t number;  // from 1, in the order written
  std::int64_t when_ms;  // since 1970
  std::uint64_t ike_initiator;
  std::uint64_t ike_responder;
  std::uint8_t peer[16];
  std::uint8_t family;
  std::uint8_t flags;
  char connection[70];  // ends with a zero

  static constexpr std::uint8_t we_began = 1, has_ended = 2;  // flags

  std::uint32_t sum() const {
    DigestInput input;
    input.add_raw(
        {reinterpret_cast<const std::uint8_t*>(this) + sizeof checksum, sizeof(Slot) - sizeof checksum});
    std::uint32_t result;
    std::memcpy(&result, input.digest().data(), sizeof result);
    return result;
  }
  // By somebody or something; one that never was is zeros.
  bool was_used() const {
    const auto* bytes = reinterpret_cast<const char*>(this);
    return std::any_of(bytes, bytes + sizeof *this, [](char byte) { return byte != 0; });
  }
  bool is_good() const {
    const bool has_family = family == static_cast<std::uint8_t>(net::Family::v4) ||
                            family == static_cast<std::uint8_t>(net::Family::v6);
    return number != 0 && checksum == sum() && has_family && connection[sizeof connection - 1] == 0;
  }
};

// What is good of the file, in its order. Not whole: some of it cannot be read now, but perhaps another time.
struct SpiJournal::Before {
  std::vector<Slot> slots;
  bool is_whole = true;
};

namespace {

constexpr mode_t others_rights = S_IWGRP | S_IWOTH;  // that nothing of the journal may have

Error failed(std::string what) {
  return {std::move(what),
          "after the next restart, packets of SAs from before it will not be told from others"};
}

Error failed(std::string_view what, const std::string& path) {
  return failed(fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

Error left_as_it_is(const Error& error) {
  return {error.what,
          "it is left as it is, and packets of SAs from before this start and the next may not be "
          "told from others"};
}

bool lock_alone(int file, std::chrono::milliseconds patience) {
  constexpr std::chrono::milliseconds step(20);
  while (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || patience < step) return false;
    std::this_thread::sleep_for(step);
    patience -= step;
  }
  return true;
}

}  // namespace

SpiJournal::SpiJournal(UniqueFd lock, std::string path, std::uint32_t count)
    : lock_(std::move(lock)), path_(std::move(path)), slots_(count) {}

// One cut off or of other make has little that is good.
SpiJournal::Before SpiJournal::read_before() {
  Before before;
  const auto old = open_state_file(path_, others_rights);
  if (!old) problems_.push_back(left_as_it_is(old.error()));
  before.is_whole = old.has_value();
  std::size_t damaged = 0;
  std::vector<Slot> page(32);  // what a disk reads at once
  for (std::size_t count = page.size(); old && *old && count == page.size();) {
    const auto got = read_up_to(old->get(), page.data(), page.size() * sizeof(Slot));
    if (!got) problems_.push_back(left_as_it_is(failed("read", path_)));
    before.is_whole = got.has_value();
    count = got.value_or(0) / sizeof(Slot);
    damaged += got.value_or(0) % sizeof(Slot) != 0;
    for (const auto& slot : std::span(page).first(count)) {
      if (slot.is_good())
        before.slots.push_back(slot);
      else
        damaged += slot.was_used();
    }
  }
  if (damaged != 0)
    problems_.push_back({fmt::format("{} is damaged: {} of it cannot be read and {} left out", path_,
                                     counted(damaged, "entry"), damaged == 1 ? "was" : "were"),
                         "packets of those SAs from before this start will not be told from others"});
  auto& slots = before.slots;
  std::ranges::sort(slots, {}, &Slot::number);
  if (slots.size() > slots_.size())
    slots.erase(slots.begin(), slots.end() - static_cast<std::ptrdiff_t>(slots_.size()));
  return before;
}

// A new file, which takes the place of the old one in one step. All of its room is taken at once, so that a
// disk that is full later does no harm.
Expected<UniqueFd> SpiJournal::make_file(std::size_t used) const {
  const auto fresh_path = path_ + ".new";
  auto file = make_state_file(fresh_path);
  if (!file) return failed("make", fresh_path);
  errno = posix_fallocate(file.get(), 0, static_cast<off_t>(slots_.size() * sizeof(Slot)));
  if (errno == 0 && write_all(file.get(), slots_.data(), used * sizeof(Slot)) && fsync(file.get()) == 0 &&
      rename(fresh_path.c_str(), path_.c_str()) == 0)
    return file;
  auto error = failed("write", path_);
  unlink(fresh_path.c_str());
  return error;
}

Expected<std::unique_ptr<SpiJournal>> SpiJournal::open(const std::string& folder, std::uint32_t most,
                                                       std::chrono::milliseconds patience) {
  static_assert(sizeof(Slot) == 128);
  const auto lock_path = folder + "/lock";
  auto lock = open_lock_file(lock_path);
  if (!lock) return failed(lock.error().what);
  if (!lock_alone(lock->get(), patience)) return failed("have alone", lock_path);

  auto journal = std::unique_ptr<SpiJournal>(new SpiJournal(std::move(*lock), folder + "/spi-journal", most));
  journal->places_.reserve(most);
  auto before = journal->read_before();
  for (auto& slot : before.slots) {
    slot.number = journal->next_ + 1;
    slot.checksum = slot.sum();
    journal->slots_[journal->next_] = slot;
    journal->before_.emplace(slot.connection);
    journal->places_[slot.spi] = static_cast<std::uint32_t>(journal->next_++);
  }
  journal->ours_from_ = journal->next_;
  if (!before.is_whole) return journal;
  if (auto file = journal->make_file(journal->next_))
    journal->file_ = std::move(*file);
  else
    journal->problems_.push_back(file.error());
  return journal;
}

SpiJournal::~SpiJournal() = default;

Expected<void> SpiJournal::note(std::uint32_t spi, const Entry& entry, Moment now) {
  const auto place = static_cast<std::uint32_t>(next_++ % slots_.size());
  auto& slot = slots_[place];
  if (const auto known = places_.find(slot.spi); known != places_.end() && known->second == place)
    places_.erase(known);
  slot = {};
  slot.spi = spi;
  slot.number = next_;
  slot.when_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.wall.time_since_epoch()).count();
  slot.ike_initiator = entry.ike_initiator;
  slot.ike_responder = entry.ike_responder;
  std::ranges::copy(entry.peer.bytes, slot.peer);
  slot.family = static_cast<std::uint8_t>(entry.peer.family);
  slot.flags = entry.we_began ? Slot::we_began : std::uint8_t{0};
  entry.connection.copy(slot.connection, sizeof slot.connection - 1);
  places_[spi] = place;
  return write(place);
}

Expected<void> SpiJournal::end(std::uint32_t spi) {
  const auto found = places_.find(spi);
  if (found == places_.end()) return {};
  slots_[found->second].flags |= Slot::has_ended;
  return write(found->second);
}

Expected<void> SpiJournal::write(std::uint32_t place) {
  auto& slot = slots_[place];
  slot.checksum = slot.sum();
  if (!file_) return {};  // as was said
  if (!write_all(file_.get(), &slot, sizeof slot, place * sizeof slot)) return failed("write", path_);
  return {};
}

std::optional<SpiJournal::Entry> SpiJournal::find(std::uint32_t spi) const {
  const auto found = places_.find(spi);
  if (found == places_.end()) return std::nullopt;
  const auto& slot = slots_[found->second];
  return Entry{net::Address::from_bytes(static_cast<net::Family>(slot.family), slot.peer),
               slot.connection,
               slot.ike_initiator,
               slot.ike_responder,
               (slot.flags & Slot::we_began) != 0,
               slot.number <= ours_from_,
               (slot.flags & Slot::has_ended) != 0,
               std::chrono::system_clock::time_point(std::chrono::milliseconds(slot.when_ms))};
}

bool SpiJournal::was_before(std::string_view connection) const {
  return before_.contains(std::string(connection.substr(0, sizeof Slot::connection - 1)));
}

std::vector<std::uint32_t> SpiJournal::left_behind() const {
  std::vector<std::uint32_t> result;
  for (auto number = next_ - std::min<std::uint64_t>(next_, slots_.size()); number < ours_from_; ++number) {
    const auto place = static_cast<std::uint32_t>(number % slots_.size());
    const auto& slot = slots_[place];
    if (places_.at(slot.spi) == place && (slot.flags & Slot::has_ended) == 0) result.push_back(slot.spi);
  }
  return result;
}

}  // namespace espgate::sa
