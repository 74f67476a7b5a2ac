// The open answer to one streaming request, as its handler sees it. Control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "datapath/base/expected.hpp"

namespace espgate::cli {

class Connection;

// A handler sends by push() when something happens, or hands over a source to pull() from as fast as the
// client reads; then it finishes. Letting go of an unfinished stream that is not pulled from ends it with
// an error.
class Stream {
 public:
  explicit Stream(Connection& connection) : connection_(&connection) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  // False once it is finished, or the client has gone.
  bool open() const { return connection_ != nullptr; }
  // False when the item was not taken: not open, or the client has not read what it was sent.
  bool push(const nlohmann::json& item);
  // Items that push() refused for a slow client.
  std::uint64_t lost() const { return lost_; }

  // The server calls `next` whenever the client has room, until it returns nothing; then it sends the
  // closing result that `result` returns. It destroys both then, or when the client goes. This object has
  // done its part and is no longer open. Others wait while `next` works: it describes one item, and what has
  // to look far for the next one returns null meanwhile, which is not sent.
  using Next = std::function<std::optional<nlohmann::json>()>;
  void pull(Next next, std::function<nlohmann::json()> result);
  // The same for what is all at hand. The closing result says how many there were: {"total": N}.
  void pull_all(std::vector<nlohmann::json> items);

  void finish(const nlohmann::json& result = nlohmann::json::object());
  void fail(const Error& error);

  // Called once when the client goes before the end: the moment to stop what feeds the stream. The
  // callback may let go of the stream.
  void when_closed(std::function<void()> callback) { closed_ = std::move(callback); }

 private:
  friend class Connection;
  void client_gone();

  Connection* connection_;
  std::function<void()> closed_;
  std::uint64_t lost_ = 0;
};

using StreamPtr = std::shared_ptr<Stream>;

}  // namespace espgate::cli
