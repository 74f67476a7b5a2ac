// The SPIs that were given out before this process began, so that a packet with one of them is explained, and
// its peer is told, right after a crash. A file of fixed size without any key: SPI, peer and connection of
// each inbound SA of IKE's, and the SPIs of its IKE SA; the newest in the place of the oldest.
//
// What was noted survives the process, whatever ends it; of a crash of the whole machine the last seconds may
// be missing, and what was half written is left out when it is read. Control thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/sa/moment.hpp"
#include "datapath/base/expected.hpp"
#include "datapath/base/unique_fd.hpp"
#include "datapath/net/address.hpp"

namespace espgate::sa {

class SpiJournal {
 public:
  struct Entry {
    net::Address peer;
    std::string_view connection;  // of that time, cut to 69 characters; as found valid until the next `note`
    std::uint64_t ike_initiator = 0;
    std::uint64_t ike_responder = 0;
    bool we_began = false;           // the IKE SA
    bool is_before_restart = false;  // noted by a process before this one
    bool has_ended = false;          // its SA was deleted or replaced here
    std::chrono::system_clock::time_point when{};
  };

  // `folder` exists; nobody else may read the file there. `most` at least 1: entries. Waits up to `patience`
  // for a process that had it to be gone, which takes its time when it was killed. Where nothing can be
  // written, or not all of the file read, which is left as it is then, what could be read is known all the
  // same, and nothing more is remembered over a restart. Errors: another process has it, or nobody can say.
  static Expected<std::unique_ptr<SpiJournal>> open(
      const std::string& folder, std::uint32_t most,
      std::chrono::milliseconds patience = std::chrono::seconds(3));
  ~SpiJournal();
  SpiJournal(const SpiJournal&) = delete;
  SpiJournal& operator=(const SpiJournal&) = delete;
  // What an operator should know of how it was opened: damage, or that it cannot be read or written.
  const std::vector<Error>& problems() const { return problems_; }

  // An SA of ours with that SPI belongs to that IKE SA from here on; of the entry only what is known then is
  // looked at. Errors: it is remembered, but could not be written, so that a restart forgets it.
  Expected<void> note(std::uint32_t spi, const Entry& entry, Moment now);
  // That SA is no more. Nothing happens if it is not known. Errors: as above.
  Expected<void> end(std::uint32_t spi);
  // The last that was noted of it; none: nothing, as far as is remembered.
  std::optional<Entry> find(std::uint32_t spi) const;
  std::size_t size() const { return places_.size(); }
  // Whether a process before this one had left anything of that connection when it was opened.
  bool was_before(std::string_view connection) const;
  // SPIs of SAs that a process before this one had and did not end, the oldest first.
  std::vector<std::uint32_t> left_behind() const;

 private:
  struct Slot;
  struct Before;
  SpiJournal(UniqueFd lock, std::string path, std::uint32_t count);
  Before read_before();
  Expected<UniqueFd> make_file(std::size_t used) const;
  Expected<void> write(std::uint32_t place);

  UniqueFd lock_;
  UniqueFd file_;  // none: it cannot be written, or must not be
  std::string path_;
  std::vector<Error> problems_;
  std::vector<Slot> slots_;      // as they are in the file; written round and round
  std::uint64_t next_ = 0;       // its number; the slot is that modulo the count
  std::uint64_t ours_from_ = 0;  // numbers up to it are of before
  std::unordered_map<std::uint32_t, std::uint32_t> places_;  // slots by SPI
  std::unordered_set<std::string> before_;                   // connections, as they are cut
};

}  // namespace espgate::sa
