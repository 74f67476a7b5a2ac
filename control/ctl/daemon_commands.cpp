#include "control/ctl/daemon_commands.hpp"

#include "control/cli/client.hpp"
#include "control/ctl/capture.hpp"
#include "control/ctl/signals.hpp"
#include "control/ctl/wireshark_file.hpp"

namespace espgate::ctl {
namespace {

using nlohmann::json;

// A reload of 100,000 connections takes seconds; a daemon that says nothing for longer hangs.
constexpr auto patience = std::chrono::seconds(30);
constexpr auto for_ever = std::chrono::milliseconds(-1);

// Ends when the user says so, not by itself.
bool open_ended(const cli::Invocation& invocation) {
  const auto id = invocation.command->id;
  return id == cli::CommandId::capture || id == cli::CommandId::monitor ||
         invocation.arguments.value("follow", false);
}

// The closing result of a stream that the user ended: what only the daemon would know is null.
json unknown_result(const cli::Command& command) {
  json result = json::parse(command.result);
  result.erase(std::string(command.items));
  for (auto& value : result) value = nullptr;
  return result;
}

// Output: ItemOutput, LineOutput, CaptureOutput or WiresharkOutput.
template <typename Items>
int run_stream(cli::Client& client, const cli::Invocation& invocation, Items& output) {
  const bool open = open_ended(invocation);
  const auto signals = open ? catch_signals() : UniqueFd();
  if (auto sent = client.send(*invocation.command, invocation.arguments); !sent)
    return output.fail(sent.error());
  for (;;) {
    auto message = client.receive(open ? for_ever : patience, signals.get());
    if (!message) return output.fail(message.error());
    if (!*message) return output.finish(unknown_result(*invocation.command));
    auto& body = (*message)->body;
    switch ((*message)->kind) {
      case cli::Message::Kind::item:
        if (const int status = output.item(std::move(body)); status != done) return status;
        break;
      case cli::Message::Kind::result:
        return output.finish(std::move(body));
      case cli::Message::Kind::error:
        return output.fail(cli::error_from_json(body));
    }
  }
}

}  // namespace

int run_on_daemon(const std::string& socket, const cli::Invocation& invocation, Output& output) {
  const auto& command = *invocation.command;
  if (command.where == cli::Where::answer) {
    const auto result = cli::ask(socket, command, invocation.arguments, patience);
    return result ? output.result(command, invocation.arguments, *result) : output.error(result.error());
  }
  const bool keys = command.id == cli::CommandId::export_wireshark;
  if (keys && !invocation.arguments.contains("write"))
    return output.error(
        {"`export wireshark` needs --write", "write --write FILE; keys are not for a terminal"}, wrong_usage);
  auto client = cli::Client::connect(socket);
  if (!client) return output.error(client.error());
  if (command.id == cli::CommandId::monitor) {
    LineOutput lines(output);
    return run_stream(*client, invocation, lines);
  }
  if (!invocation.arguments.contains("write")) {
    ItemOutput items(output, command, invocation.arguments);
    return run_stream(*client, invocation, items);
  }
  const auto path = invocation.arguments["write"].get<std::string>();
  if (keys) {
    auto file = WiresharkFile::create(path);
    if (!file) return output.error(file.error());
    WiresharkOutput sas(output, std::move(*file));
    return run_stream(*client, invocation, sas);
  }
  auto file = PcapFile::open(path);
  if (!file) return output.error(file.error());
  CaptureOutput capture(output, std::move(*file), path);
  return run_stream(*client, invocation, capture);
}

}  // namespace espgate::ctl
