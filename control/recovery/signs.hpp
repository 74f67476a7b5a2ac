// What speaks for which cause of trouble, and how much: the weights of the diagnosis, in one place. Internal
// to it.
#pragma once

#include <string_view>

#include "control/recovery/diagnosis.hpp"

namespace espgate::recovery {

struct Sign {
  Cause cause;
  double weight;                 // 0 to 100: how sure one would be if nothing else were known
  double each = 0;               // so much more for each of what was found ...
  double most = 100;             // ... up to this
  bool can_pass = false;         // counts less once the connection carries traffic again
  std::string_view remedy = {};  // empty: what is usual for the cause
};

namespace sign {

// -- the way to the peer --
inline constexpr Sign no_local_address{.cause = Cause::address, .weight = 95};
inline constexpr Sign port_is_down{.cause = Cause::port_down, .weight = 96};
inline constexpr Sign no_route{
    .cause = Cause::routing,
    .weight = 92,
    .remedy = "add a route to it (`ip route add`, or routes of the configuration)"};
inline constexpr Sign blackhole{.cause = Cause::routing, .weight = 92};
inline constexpr Sign next_hop_is_silent{.cause = Cause::routing, .weight = 80};
inline constexpr Sign neighbour_is_silent{.cause = Cause::peer_down, .weight = 80};

// -- what is wanted --
inline constexpr Sign by_operator{.cause = Cause::terminated, .weight = 97};
inline constexpr Sign key_is_over{.cause = Cause::expired, .weight = 95};
inline constexpr Sign manual_and_down{.cause = Cause::configuration, .weight = 80};
inline constexpr Sign waits{.cause = Cause::waiting, .weight = 60};
inline constexpr Sign is_negotiated{
    .cause = Cause::waiting, .weight = 30, .remedy = "nothing, for some seconds"};

// -- a negotiation that came to nothing --
inline constexpr std::string_view let_ike_through =
    "let UDP port 500 through to the peer and back, and 4500 for NATs; see whether the address is right";
inline constexpr Sign no_answer_ever{.cause = Cause::firewall, .weight = 65, .remedy = let_ike_through};
inline constexpr Sign nobody_there{.cause = Cause::peer_down, .weight = 50};
inline constexpr Sign no_answer_now{.cause = Cause::firewall, .weight = 40, .remedy = let_ike_through};
inline constexpr Sign nobody_there_now{.cause = Cause::peer_down, .weight = 60};
inline constexpr Sign was_up_before{.cause = Cause::peer_down, .weight = 20};
inline constexpr Sign greeting_refused{
    .cause = Cause::configuration,
    .weight = 90,
    .remedy = "make the algorithms alike: `show proposals` and `explain` tell what each side offers"};
inline constexpr Sign no_answer_to_auth{
    .cause = Cause::firewall,
    .weight = 75,
    .remedy = "let UDP port 4500 and fragments through, or lower fragment-bytes"};
inline constexpr Sign proof_refused{
    .cause = Cause::configuration,
    .weight = 92,
    .remedy =
        "make keys, certificates and identities (local-id, remote-id) fit on both sides; the peer's "
        "log may say more"};
inline constexpr Sign child_refused{
    .cause = Cause::configuration,
    .weight = 90,
    .remedy = "make the networks (or selectors), the mode and the algorithms of the traffic alike"};
inline constexpr Sign rekey_refused{
    .cause = Cause::configuration,
    .weight = 85,
    .remedy =
        "make pfs alike, and the algorithms: the first keys of the traffic come from IKE's, so only the next "
        "ones show it"};
inline constexpr Sign no_room_here{
    .cause = Cause::room,
    .weight = 92,
    .remedy = "raise the limit that is named, or let go of what is not needed; it is tried again by itself"};
inline constexpr Sign no_room_there{.cause = Cause::peers_room, .weight = 90};
inline constexpr Sign not_installed{.cause = Cause::fault, .weight = 90};
inline constexpr Sign peer_fell_silent{.cause = Cause::peer_down, .weight = 70};
inline constexpr Sign ike_was_lost{.cause = Cause::loss, .weight = 30};

// -- we send, and nothing comes in --
inline constexpr std::string_view let_esp_through =
    "let IP protocol 50 through on the way, or set encapsulation = \"udp\", which passes where IKE does";
inline constexpr std::string_view ask_the_peer =
    "nothing, if only this side has to send; else see whether the peer sends (`show sa` there): if it does, "
    "its packets are lost on the way";
// Of plain ESP that never came: between the same two hosts UDP passes both ways then, and IP protocol 50 was
// not seen once, which is how a filter looks, though a peer that has nothing to send looks the same. Where
// IKE was not heard either, nothing points at a filter more than at the peer.
inline constexpr Sign esp_never_came{.cause = Cause::firewall, .weight = 45, .remedy = let_esp_through};
inline constexpr Sign udp_esp_never_came{
    .cause = Cause::firewall, .weight = 45, .remedy = "let UDP port 4500 through to the peer and back"};
inline constexpr Sign ike_gets_through{.cause = Cause::firewall, .weight = 45, .remedy = let_esp_through};
inline constexpr Sign perhaps_one_way{.cause = Cause::one_way, .weight = 55, .remedy = ask_the_peer};
inline constexpr Sign perhaps_as_meant{.cause = Cause::one_way, .weight = 40, .remedy = ask_the_peer};
// What came before, by another SA of the peer's, or would come as IKE does, no filter of ESP keeps off.
inline constexpr Sign none_comes_in{.cause = Cause::one_way, .weight = 45, .remedy = ask_the_peer};
inline constexpr Sign esp_came_before{.cause = Cause::one_way, .weight = 25, .remedy = ask_the_peer};
inline constexpr Sign esp_comes_beside{.cause = Cause::one_way, .weight = 25, .remedy = ask_the_peer};
inline constexpr Sign esp_comes_nearby{.cause = Cause::one_way, .weight = 25, .remedy = ask_the_peer};
inline constexpr Sign esp_goes_as_ike{.cause = Cause::one_way, .weight = 25, .remedy = ask_the_peer};
inline constexpr Sign peer_is_there{.cause = Cause::one_way, .weight = 10, .remedy = ask_the_peer};
inline constexpr Sign peer_does_not_answer{.cause = Cause::peer_down, .weight = 75};
inline constexpr Sign ipsec_is_off{
    .cause = Cause::configuration,
    .weight = 70,
    .remedy = "set ipsec = true on the port that ESP comes in by, or route it to the one where it is"};

// -- what came --
inline constexpr Sign bad_icv{
    .cause = Cause::configuration,
    .weight = 40,
    .remedy = "compare suite and key of both sides; the keys of the two directions may be swapped"};
inline constexpr Sign bad_icv_of_manual_key{
    .cause = Cause::configuration, .weight = 88, .remedy = bad_icv.remedy};
inline constexpr Sign none_is_good{.cause = Cause::configuration, .weight = 35, .remedy = bad_icv.remedy};
inline constexpr Sign other_networks{.cause = Cause::configuration,
                                     .weight = 45,
                                     .remedy = "make the networks (or selectors) alike on both sides"};
inline constexpr Sign ike_repeats{.cause = Cause::loss, .weight = 0, .each = 2, .most = 60};  // of a hundred
inline constexpr Sign numbers_missing{.cause = Cause::loss, .weight = 40, .each = 3, .most = 85};  // as well
inline constexpr Sign too_late{.cause = Cause::loss,
                               .weight = 25,
                               .each = 3,  // of a hundred
                               .most = 60,
                               .remedy = "raise replay-window, or find what reorders packets on the way"};
inline constexpr Sign came_twice{.cause = Cause::loss,
                                 .weight = 25,
                                 .remedy = "find what repeats packets on the way, or who plays them back"};

// -- the peer elsewhere, or new --
inline constexpr Sign from_elsewhere{.cause = Cause::nat, .weight = 85, .can_pass = true};
inline constexpr Sign does_not_fit{.cause = Cause::nat, .weight = 60};
inline constexpr Sign peer_moved{
    .cause = Cause::nat,
    .weight = 20,
    .each = 10,  // move
    .most = 70,
    .can_pass = true,
    .remedy = "a nat-keepalive shorter than the NAT's memory keeps it where it is"};
inline constexpr Sign peer_began_anew{.cause = Cause::peer_restart, .weight = 60, .can_pass = true};
inline constexpr Sign we_began_anew{.cause = Cause::our_restart, .weight = 30};

// -- SPIs of nobody's --
inline constexpr Sign before_restart{.cause = Cause::our_restart, .weight = 75, .can_pass = true};
inline constexpr Sign never_issued{.cause = Cause::peer_restart, .weight = 40, .can_pass = true};
inline constexpr Sign never_configured{.cause = Cause::configuration,
                                       .weight = 85,
                                       .can_pass = true,
                                       .remedy = "the inbound SPI here must be the peer's outbound SPI"};
inline constexpr Sign taken_back{.cause = Cause::loss, .weight = 35, .can_pass = true};
inline constexpr Sign past_lifetime{.cause = Cause::expired, .weight = 30, .can_pass = true};
inline constexpr Sign past_keys_lifetime{.cause = Cause::expired, .weight = 80, .can_pass = true};
inline constexpr Sign routed_here{.cause = Cause::routing, .weight = 65, .can_pass = true};
inline constexpr Sign configured_here{.cause = Cause::configuration, .weight = 65, .can_pass = true};

}  // namespace sign
}  // namespace espgate::recovery
