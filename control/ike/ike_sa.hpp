// One IKE SA: a conversation with one peer, from IKE_SA_INIT to the end, with its child SAs (RFC 7296).
//
//      as initiator                                    as responder
//   greeting                                        answering
//      | IKE_SA_INIT answered                          | IKE_SA_INIT answered
//   proving                                         keyed
//      | the peer's AUTH is good                       | the peer's AUTH is good
//      +--------------------> established <------------+<--- (made by a rekey)
//                              |        |
//        either side rekeyed it|        | DELETE sent
//                          replaced   closing
//                              |        |
//     DELETE, no answer, any   +-> gone <+     still answers what comes again, then the core drops it
//     failure ----------------------^
//
// Within a state at most one exchange of ours and one of the peer's are under way. What to do next is never
// queued: `proceed` looks at what is wanted (children's and our own deadlines, `delete_wanted`, `wanted_`)
// when the last exchange is over, so nothing that was decided long ago is done late. Public-key work runs
// elsewhere: the exchange waits for its ticket, and looks again at all that may have changed meanwhile.
//
// Purpose: the protocol. Non-goals: who may begin and when to try again (the core); I/O and clocks.
// One owner, one thread. Nothing a peer sends throws or is asserted on; want of memory throws std::bad_alloc.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>

#include "control/ike/channel.hpp"
#include "control/ike/child_failures.hpp"
#include "control/ike/child_sa.hpp"
#include "control/ike/exchange.hpp"
#include "control/ike/liveness.hpp"
#include "control/ike/mobility.hpp"
#include "control/ike/nat_detection.hpp"
#include "control/ike/origin.hpp"
#include "control/ike/sa_host.hpp"
#include "control/ike/schedule.hpp"

namespace espgate::ike {

class IkeSa {
 public:
  enum class State : std::uint8_t {
    greeting,
    proving,
    answering,
    keyed,
    established,
    replaced,
    closing,
    gone,
  };
  enum class End : std::uint8_t { none, replaced, commanded, by_peer, disbelieved, failed, no_room };

  IkeSa(SaHost& host, Origin origin, Time now);
  IkeSa(const IkeSa&) = delete;
  IkeSa& operator=(const IkeSa&) = delete;

  // As initiator: starts with these children to be made.
  void greet(std::vector<ChildHandle> children, Time now);
  // As responder: answers an IKE_SA_INIT request whose payloads the core has looked at: they have SA, KE, and
  // a nonce, `choice` is ours of them and fits the KE.
  void answer_greeting(Bytes datagram, const Payloads& payloads, const IkeChoice& choice, Time now);
  // The request of IKE_SA_INIT once more, from the same peer.
  void greeting_repeated(Bytes datagram);

  void receive(const Header& header, const DatagramReceived& datagram, Time now);
  void timer(Time now);
  void work_finished(std::uint64_t number, bool done, Time now);
  void proceed(Time now);  // after everything else: starts what is to be done next
  Time deadline() const;

  // -- what others want of it --
  // `now`, or later if the peer has not made it by then.
  void want_child(const ChildHandle& configuration, Time not_before);
  void rekey_child(const std::string& name, Time now);
  void rekey(Time now) { schedule_.rekey_at = now; }
  void close(End why);
  // An operator wants it, or that child, closed; once all IKE SAs know that, nothing is sent by it any more.
  void terminate();
  void terminate_child(const std::string& name);
  void stop_sending(const std::string& child, Time now);  // empty: by all
  // Its connection is this one from here on, which differs in children and keepalives at most.
  void reconfigure(const ConnectionHandle& connection, const std::set<std::string>& kept, Time now);
  // It is made in place of another IKE SA that goes once this one is complete; 0: none.
  void replace(SaId other) { replaces_ = other; }
  SaId replaces() const { return replaces_; }
  bool is_complete() const { return state_ == State::established && is_idle() && wanted_.empty(); }
  // It is no more, and the peer need not be told: it knows, or does not answer.
  void end(End why, std::string reason, Time now);
  // A child's outbound SA went: whether this one has another for the same, which then is used or rekeyed.
  bool take_over(const std::string& key, Time now);
  void traffic_arrived(std::uint32_t inbound_spi, Time now);
  void soft_expired(std::uint32_t inbound_spi, Time now);
  void give_up_child(std::uint32_t inbound_spi, const std::string& why, Time now);
  // The peer sends with this SPI of nobody's: it is told (RFC 7296 1.5), and makes a child, or we do.
  void report_invalid_spi(std::uint32_t spi);
  void repeat_request(Time now);  // the peer is heard, though it has not answered
  void want_child_after_report(const ChildHandle& configuration, Time now);
  // Somebody says that the peer has lost an SA: unless it was heard of just now, it is asked.
  void doubt(Time now);
  // From here on, as its connection's address is gone or back.
  void we_are_at(const net::Address& address, Time now);
  void install_failed(std::uint32_t inbound_spi, const std::string& why, Time now);  // in the datapath

  // -- what it is --
  SaId id() const { return id_; }
  State state() const { return state_; }
  bool is_initiator() const { return is_initiator_; }
  bool is_half_open() const { return state_ == State::answering || state_ == State::keyed; }
  bool is_closing() const { return close_wanted_; }  // as soon as nothing else is under way
  bool is_over(Time now) const { return state_ == State::gone && now >= until_; }  // nobody asks any more
  End ended() const { return end_; }
  State ended_in() const { return ended_in_; }  // the state that it ended in; `gone`: it goes on
  const std::string& reason() const { return reason_; }
  bool has_failed() const { return end_ >= End::disbelieved; }
  const Spis& spis() const { return spis_; }
  const Schedule& schedule() const { return schedule_; }
  const Lineage& lineage() const { return lineage_; }
  const Endpoint& local() const { return local_; }
  const Endpoint& remote() const { return remote_; }
  const ConnectionHandle& connection() const { return connection_; }
  const std::optional<Identity>& peer_identity() const { return peer_identity_; }
  const std::vector<Child>& children() const { return children_; }
  bool uses(std::uint32_t inbound_spi) const;  // by a child that is not on its way out
  bool sends_on(std::uint32_t outbound_spi) const;
  const std::vector<WantedChild>& wanted() const { return wanted_; }
  const ChildFailures& child_failures() const { return child_failures_; }
  bool is_making(const std::string& child) const;  // or will, in its time
  const std::vector<net::Address>& assigned_addresses() const { return assigned_; }
  const std::vector<net::Address>& given_addresses() const { return given_; }
  // What an unprotected message said to IKE_SA_INIT, or why it was not rekeyed the last time, or nothing.
  const std::string& refusal() const { return refused_; }
  const std::optional<IkeChoice>& choice() const { return choice_; }  // once IKE_SA_INIT is through
  const SaKeys& keys() const { return keys_; }
  const NatSituation& nat() const { return nat_; }
  const OurRequest& our_request() const { return request_; }
  Time last_heard() const { return liveness_.heard; }  // something protected; Time::min(): nothing

 private:
  // -- messages (ike_sa.cpp) --
  void receive_protected(const Header& header, const DatagramReceived& datagram, Time now);
  void on_request(const Header& header, const Inner& inner, Time now);
  void on_response(const Inner& inner, Time now);
  void repeat_answer();
  void send(const Messages& messages, const Endpoint& from, const Endpoint& to);
  void send_request(ExchangeType exchange, const PayloadWriter& payloads, Time now);
  void answer(ExchangeType exchange, const PayloadWriter& payloads);
  void answer(ExchangeType exchange, NotifyType error, Bytes data = {});
  void log(Level level, const std::string& text) const;
  void complain(Complaint about, const std::string& text, Time now, Level level = Level::warning) const;
  // The answer to `run` comes while this SA lives, or never.
  template <typename Result>
  void work(std::function<Result()> run, std::function<void(Time, std::optional<Result>)> then) {
    const auto number = next_work_++;
    const auto result = std::make_shared<std::optional<Result>>();
    waiting_[number] = [result, then = std::move(then)](Time now, bool done) {
      then(now, done ? std::move(*result) : std::nullopt);
    };
    host_.act(RunWork{{id_, number}, [result, run = std::move(run)] { *result = run(); }});
  }
  std::size_t fragment_bytes() const;

  // -- what to do next (ike_sa_tasks.cpp) --
  bool is_idle() const { return exchange_.kind == Exchange::Kind::none; }
  void start_next_exchange(Time now);
  Time next_task() const;
  Time liveness_at() const;
  Time keepalive_at() const;
  void begin_anew_beside(Time now);
  void note_lifetime_of_proof(const Payloads& payloads, Time now);
  void close_since(std::string reason);
  void delete_ike_sa(Time now);
  void delete_children(std::vector<std::uint32_t> spis, const std::set<std::uint32_t>& invalid, Time now);
  void check_liveness(Time now);
  void exchange_over() { exchange_ = {}; }
  void no_answer(Time now);

  // -- IKE_SA_INIT (ike_sa_init.cpp) --
  void make_first_half(Time now);
  void send_greeting(Time now);
  void on_greeting_answer(const Header& header, Bytes datagram, Time now);
  void on_greeting_refused(const Payloads& payloads, Time now);
  void note_refusal(const std::function<std::string()>& why);
  void note_capabilities(const Payloads& payloads, const Endpoint& from, const Endpoint& to);
  void add_capabilities(PayloadWriter& payloads, const Endpoint& from, const Endpoint& to) const;
  void derive_first_keys(const Secret& shared);
  void float_ports();

  // -- IKE_INTERMEDIATE (ike_sa_intermediate.cpp) --
  bool has_more_key_exchanges() const;
  void go_on_with_proof(Time now);
  void on_intermediate_answer(const Inner& inner, Time now);
  void on_intermediate(const Inner& inner, Time now);
  std::vector<std::uint8_t> head_of_intermediate(bool initiators, PayloadType first,
                                                 std::size_t inner_bytes) const;
  void cover_intermediate(bool initiators, PayloadType first, Bytes inner);
  std::vector<std::uint8_t> intermediate_proof() const;
  void mix_in(const Secret& shared);
  void answer_additional(const KeyExchange& theirs,
                         std::function<void(Time, std::optional<KeyExchangeAnswer>)> then);

  // -- IKE_AUTH (ike_sa_auth.cpp) --
  Secret octets_of(bool initiators, const Identity& identity, const SaKeys& keys) const;
  void make_proof(Time now);
  void send_proof(const Proof& proof, Time now);
  void on_proof_answer(const Inner& inner, Time now);
  void finish_proof(const Inner& inner, const Expected<void>& verdict, Time now);
  void on_proof(const Inner& inner, Time now);
  void finish_answer_to_proof(const Inner& inner, const Expected<void>& verdict, const Expected<Proof>& ours,
                              bool uses_ppk, Time now);
  void request_addresses(PayloadWriter& payloads) const;
  void take_addresses(const Payloads& payloads);
  void give_addresses(const Payloads& payloads, PayloadWriter& reply);
  std::optional<NotifyType> refusal_without_address(const Payloads& payloads, Time now);
  Expected<void> settle_ppk(const Payloads& answer);
  Expected<PpkAnswer> choose_ppk(const Payloads& request) const;
  ConnectionHandle connection_for(const Identity& peer, const std::optional<Identification>& wanted) const;
  std::string why_no_connection(const Identity& peer, const std::optional<Identification>& wanted) const;
  void add_first_child(const Payloads& payloads, PayloadWriter& reply, Time now);
  void accept_first_child(const Payloads& payloads, Time now);
  void become_established(Time now);

  // -- children (ike_sa_children.cpp) --
  Child* find_child(std::uint32_t inbound_spi);
  Child* find_child_by_outbound(std::uint32_t outbound_spi);
  std::string key_of(const ChildConfiguration& child) const;
  std::optional<Identity> peer_of_many() const;
  ChildHandle child_named(const std::string& name) const;
  bool has_child_of(const ChildConfiguration& configuration) const;
  std::variant<ChildTerms, NotifyType> agree(const Payloads& payloads, const Child* replaced,
                                             bool with_key_exchange, Time now) const;
  std::optional<ChildTerms> accept_terms(const Payloads& payloads, bool with_key_exchange) const;
  std::vector<SelectorSide> sides_of_peer(const ChildConfiguration& child) const;
  void offer_selectors(const Child* replaced);
  Child& add_child(const ChildTerms& terms, std::uint32_t inbound_spi, const KeyExchanges& keys,
                   bool we_began, Time now);
  void use_outbound(Child& child);
  void use_unless_redundant(Child& child);
  void remove_child(std::uint32_t inbound_spi, const std::string& reason, bool make_again, Time now);
  void leave_outbound(const Child& child, const std::string& reason, bool make_again, Time now);
  void give_up(Child& child, const std::string& why, Time now);
  void want_again(const ChildHandle& configuration, unsigned failures, Time now);
  void note_child_failure(const std::string& child, ChildFailures::Reason why, bool lacks_room = false);
  void release_spi(std::uint32_t& inbound_spi);

  // -- children that are there twice (ike_sa_twins.cpp) --
  void use_new_child(std::uint32_t inbound_spi, Time now);
  void lose(Child& child, Time now);
  void forget_successor(std::uint32_t inbound_spi, const std::optional<PeerRekey>& heir, Time now);
  bool is_spare(const Child& child) const;
  void let_spares_go(Time now);

  // -- CREATE_CHILD_SA for children (ike_sa_create.cpp, ike_sa_answer.cpp) --
  void create_child(const ChildHandle& configuration, std::uint32_t rekeyed_spi, unsigned failures, Time now);
  void make_half(Time now);
  void send_create_child(Time now);
  void on_create_answer(const Inner& inner, Time now);
  void on_create_refused(NotifyType error, const Payloads& payloads, Time now);
  void finish_create(Time now);
  void create_failed(Failing kind, const std::string& why, Time now);
  bool try_other_method(const Payloads& payloads, const std::vector<std::uint16_t>& allowed, Time now);
  void on_create_request(const Inner& inner, Time now);
  void answer_create(const Payloads& payloads, const Notify* rekeyed, Time now);
  std::optional<NotifyType> refusal_of_create(const std::optional<std::uint32_t>& rekeyed_outbound_spi,
                                              std::uint32_t own);
  void answer_creation(PeerCreation& creation, Bytes value, Time now);
  void note_successor(const PeerCreation& creation, Time now);
  std::optional<NotifyType> make_child(const PeerCreation& creation, Time now);
  void refuse_child(NotifyType error, const std::string& why, const Payloads& request, const Child* replaced,
                    Time now);
  void refuse_key_exchange(std::uint16_t wanted);
  void agree_on_key(std::uint16_t method, Bytes value,
                    std::function<void(Time, std::optional<KeyAgreement>)> then);

  // -- CREATE_CHILD_SA for the IKE SA (ike_sa_rekey.cpp) --
  void start_rekey(Time now);
  void send_rekey(Time now);
  void on_rekey_answer(const Inner& inner, Time now);
  void rekey_failed(Failing kind, const std::string& why, Time now);
  void finish_rekey(Time now);
  void answer_rekey(const Payloads& payloads, Time now);
  void finish_answer_rekey(PeerCreation& creation, Bytes value, Time now);
  void make_heir(const PeerCreation& creation, Time now);
  std::optional<NotifyType> refusal_of_rekey(SaId own, Time now) const;
  IkeSa& make_successor(SaId id, const IkeChoice& choice, const Spis& spis, bool is_initiator,
                        const KeyExchanges& keys, Time now);
  void hand_over(IkeSa& heir, Time now);
  void settle_predecessor(Time now);

  // -- IKE_FOLLOWUP_KE (ike_sa_followup.cpp) --
  bool begin_key_exchanges(const Payloads& answer, const std::vector<std::uint16_t>& additional);
  void take_key(Bytes value, Time now);
  void go_on_with_creation(Time now);
  void on_followup_answer(const Inner& inner, Time now);
  void creation_failed(Failing kind, const std::string& why, Time now);
  bool has_lost();
  void give_way(Time now);
  void await_followup(PeerCreation& creation, PayloadWriter& reply, Time now);
  void on_followup(const Inner& inner, Time now);
  void answer_followup(const KeyExchange& key, Time now);
  void drop_creation(Time now);
  void forget_creation(PeerCreation& creation, Time now);

  // -- INFORMATIONAL (ike_sa_informational.cpp) --
  void on_informational(const Inner& inner, Time now);
  std::vector<std::uint32_t> on_delete(const Delete& payload, Time now);
  std::vector<ChildHandle> on_invalid_spis(const Payloads& payloads, Time now);
  void on_children_deleted(Time now);

  // -- whether the peer has lost it (ike_sa_crash.cpp) --
  void add_crash_token(PayloadWriter& payloads, const Spis& spis, std::uint64_t ours) const;
  void note_crash_token(const Payloads& payloads);
  void send_crash_token(Time now);
  bool take_unprotected(const Header& header, const DatagramReceived& datagram, Time now);

  // -- where we are (ike_sa_own_address.cpp) --
  bool is_mobile() const { return mobility_.agreed && lineage_.we_began; }
  void add_nat_detection(PayloadWriter& payloads, const Endpoint& from, const Endpoint& to) const;
  void leave_for(const net::Address& address);
  void try_other_path();
  void on_alive(const Inner& inner);
  void tell_address(Time now);
  void on_address_told(const Inner& inner, Time now);
  void refused_here(NotifyType why, Time now);

  // -- where the peer is (ike_sa_moves.cpp) --
  void peer_is_at(const DatagramReceived& datagram, Time now);
  void update_addresses(const Payloads& request, PayloadWriter& reply, Time now);
  void check_routability(Time now);
  void on_routability(const Inner& inner, Time now);
  void move_child(Child& child);
  void move_children(Time now);

  SaHost& host_;
  const SaId id_;
  const bool is_initiator_;
  State state_;
  End end_ = End::none;
  State ended_in_ = State::gone;
  std::string reason_;
  Time until_ = never;  // of this state
  Spis spis_;
  Lineage lineage_;
  Endpoint local_;
  Endpoint remote_;
  ConnectionHandle connection_;
  std::optional<Identity> peer_identity_;
  // What IKE_SA_INIT brought; the messages go once AUTH is good.
  std::optional<IkeChoice> choice_;
  ExchangeNonces nonces_;
  std::vector<std::uint8_t> our_first_message_, peers_first_message_, cookie_;
  std::string refused_;
  PeerAbilities peer_;
  NatSituation nat_;
  std::optional<SaKeys> mixed_;  // as initiator: ours with the PPK, until the peer says whether it has it
  bool encapsulated_ = false;
  std::vector<net::Address> assigned_;  // to us
  std::vector<net::Address> given_;     // by us, to the peer
  Mobility mobility_;

  SaKeys keys_;
  std::optional<Channel> channel_;
  std::optional<Channel> previous_channel_;         // of the peer's last request, until the next one
  std::size_t mixed_in_ = 0;                        // additional key exchanges so far
  Secret covered_initiators_, covered_responders_;  // IntAuth of their messages (RFC 9242 3.3.2)
  OurRequest request_;
  std::uint32_t next_request_id_ = 0;
  PeerRequests peer_requests_;
  Endpoint answer_from_, answer_to_;  // where the peer's last request came to, and from

  Exchange exchange_;
  std::optional<PeerCreation> creation_;  // of the peer's, while more key exchanges are to come
  std::uint64_t next_work_ = 1;
  std::map<std::uint64_t, std::function<void(Time, bool)>> waiting_;

  std::vector<Child> children_;
  std::vector<WantedChild> wanted_;
  ChildFailures child_failures_;
  std::vector<std::uint32_t> orphans_;    // inbound SPIs of children that only the peer has
  std::set<std::uint32_t> invalid_spis_;  // those that it sends with, and is to be told of
  std::vector<ChildHandle> after_report_;
  bool close_wanted_ = false;
  Schedule schedule_;
  SaId replaces_ = 0;
  unsigned rekey_failures_ = 0;
  Liveness liveness_;
  Secret peers_token_;      // RFC 6290; empty: it has none
  Time token_due_ = never;  // it has none of ours yet for these SPIs
  std::optional<PeerRekey> peer_rekey_;
  SaId predecessor_ = 0;  // that still has our children, until it is known who won
  SaId successor_ = 0;
};

}  // namespace espgate::ike
