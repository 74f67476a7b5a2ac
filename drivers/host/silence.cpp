#include "drivers/host/silence.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <unistd.h>

#include <cstring>

namespace espgate::host {
namespace {

// Numbers are in network order throughout nftables.
void put_number(nl_msg* message, int type, std::uint32_t number) {
  nla_put_u32(message, type, htonl(number));
}

Message batch_mark(int type) {
  return make_request(type, 0, nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)});
}

Message table_request(int type) {
  return make_request((NFNL_SUBSYS_NFTABLES << 8) | type, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
                      nfgenmsg{NFPROTO_NETDEV, NFNETLINK_V0, 0});
}

Message new_table(const std::string& name) {
  auto message = table_request(NFT_MSG_NEWTABLE);
  nla_put_string(message.get(), NFTA_TABLE_NAME, name.c_str());
  put_number(message.get(), NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
  return message;
}

// Without rules: its policy decides.
Message new_chain(const std::string& table, const std::string& interface) {
  auto message = table_request(NFT_MSG_NEWCHAIN);
  nla_put_string(message.get(), NFTA_CHAIN_TABLE, table.c_str());
  nla_put_string(message.get(), NFTA_CHAIN_NAME, interface.c_str());
  nla_put_string(message.get(), NFTA_CHAIN_TYPE, "filter");
  put_number(message.get(), NFTA_CHAIN_POLICY, NF_DROP);
  auto* hook = nla_nest_start(message.get(), NFTA_CHAIN_HOOK);
  put_number(message.get(), NFTA_HOOK_HOOKNUM, NF_NETDEV_INGRESS);
  put_number(message.get(), NFTA_HOOK_PRIORITY, 0);
  nla_put_string(message.get(), NFTA_HOOK_DEV, interface.c_str());
  nla_nest_end(message.get(), hook);
  return message;
}

}  // namespace

Expected<Silence> Silence::over(const std::vector<std::string>& interfaces) {
  std::string names;
  for (const auto& interface : interfaces) names += (names.empty() ? "" : ", ") + interface;
  const auto refused = [&](const std::string& why) {
    return Error{"the kernel cannot be kept from the frames of " + names + ": " + why,
                 "it answers and forwards beside espgated until its ingress drops them; `nft` or `tc` can do "
                 "that where nf_tables of Linux 5.12 or later is missing"};
  };
  auto socket = NetlinkSocket::open({}, NetlinkSocket::answer_bytes, NETLINK_NETFILTER);
  if (!socket) return refused(socket.error().what);
  const auto table = "espgate-" + std::to_string(::getpid());
  std::vector<Message> batch;
  batch.push_back(batch_mark(NFNL_MSG_BATCH_BEGIN));
  batch.push_back(new_table(table));
  for (const auto& interface : interfaces) batch.push_back(new_chain(table, interface));
  batch.push_back(batch_mark(NFNL_MSG_BATCH_END));
  const auto refusal = socket->transact(batch);
  if (refusal.code != 0)
    return refused(std::strerror(refusal.code) +
                   (refusal.kernel.empty() ? std::string() : " (" + refusal.kernel + ")"));
  return Silence(std::move(*socket));
}

}  // namespace espgate::host
