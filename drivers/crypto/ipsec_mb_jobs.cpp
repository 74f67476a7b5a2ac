#include "drivers/crypto/ipsec_mb_jobs.hpp"

#include <array>
#include <cstring>

#include "datapath/net/headers.hpp"
#include "drivers/crypto/compare.hpp"
#include "drivers/crypto/ipsec_mb_job_keys.hpp"

namespace espgate::crypto {
namespace {

// Lanes count what a job ciphers or hashes in 16 bits, and an empty one has all of them set. Whatever an IP
// packet carries is less.
constexpr std::uint32_t most_job_bytes = 65'534;
alignas(16) constexpr std::uint8_t zero_block[aes_block_bytes] = {};

constexpr auto offset_table = [] {
  std::array<JobKeyOffsets, suite_count> table{};
  for (const auto& row : suite_table) table[index_of(row.id)] = job_key_offsets(row);
  return table;
}();

IMB_HASH_ALG hash_of(Integrity integrity) {
  switch (integrity) {
    case Integrity::hmac_sha1_96:
      return IMB_AUTH_HMAC_SHA_1;
    case Integrity::hmac_sha2_256_128:
      return IMB_AUTH_HMAC_SHA_256;
    case Integrity::hmac_sha2_384_192:
      return IMB_AUTH_HMAC_SHA_384;
    case Integrity::hmac_sha2_512_256:
      return IMB_AUTH_HMAC_SHA_512;
    case Integrity::by_cipher:
      break;
  }
  return IMB_AUTH_NULL;
}

// With ESN and an HMAC, the sequence number's high half is hashed behind the text (RFC 4303 2.2.1).
bool appends_high_half(const Suite& suite, const Operation& op) {
  return op.aad_bytes == 12 && suite.integrity != Integrity::by_cipher;
}

// Encrypt, then authenticate the packet from its ESP header on.
void fill_hmac(IMB_JOB& job, const Operation& op, const Suite& suite, const JobKeyOffsets& at) {
  job.hash_alg = hash_of(suite.integrity);
  job.hash_start_src_offset_in_bytes = 0;
  job.msg_len_to_hash_in_bytes =
      net::esp_header_bytes + suite.iv_bytes + op.text_bytes + (appends_high_half(suite, op) ? 4 : 0);
  const auto* const key = reinterpret_cast<const std::uint8_t*>(op.key);
  job.u.HMAC._hashed_auth_key_xor_ipad = key + at.inner_state;
  job.u.HMAC._hashed_auth_key_xor_opad = key + at.outer_state;
}

// The cipher of an AEAD covers its text and `aad`.
void fill_aead(IMB_JOB& job, const Operation& op, IMB_CIPHER_MODE cipher, IMB_HASH_ALG hash,
               std::size_t salt_bytes) {
  job.cipher_mode = cipher;
  job.hash_alg = hash;
  job.hash_start_src_offset_in_bytes = job.cipher_start_src_offset_in_bytes;
  job.msg_len_to_hash_in_bytes = op.text_bytes;
  job.iv = op.nonce + 4 - salt_bytes;
  job.iv_len_in_bytes = 8 + salt_bytes;
}

// The first block turns the nonce that lies in the IV's place into the IV: CBC from a zero block encrypts
// it, and what comes out is the block that the text is chained to.
void fill_cbc(IMB_JOB& job, const Operation& op, Direction direction) {
  if (direction == Direction::seal) {
    job.cipher_mode = IMB_CIPHER_CBC;
    job.iv = zero_block;
    job.dst -= aes_block_bytes;
    job.cipher_start_src_offset_in_bytes -= aes_block_bytes;
    job.msg_len_to_cipher_in_bytes += aes_block_bytes;
  } else {
    job.cipher_mode = op.text_bytes == 0 ? IMB_CIPHER_NULL : IMB_CIPHER_CBC;
    job.iv = op.text - aes_block_bytes;
  }
  job.iv_len_in_bytes = aes_block_bytes;
}

// Checks what the library, for speed, is asked not to check.
bool is_sound(const Suite& suite, const Operation& op) {
  constexpr std::uint32_t high_half_bytes = 4;
  return net::esp_header_bytes + suite.iv_bytes + op.text_bytes + high_half_bytes <= most_job_bytes &&
         (suite.cipher != Cipher::aes_cbc || op.text_bytes % aes_block_bytes == 0);
}

}  // namespace

void fill_job(IMB_JOB& job, const Operation& op, Direction direction, std::uint8_t* icv) {
  const auto& suite = crypto::suite(op.suite);
  const auto& at = offset_table[index_of(op.suite)];
  const std::size_t headers_bytes = net::esp_header_bytes + suite.iv_bytes;
  const bool seal = direction == Direction::seal;
  job.enc_keys = op.key + at.encrypt;
  job.dec_keys = op.key + at.decrypt;
  job.key_len_in_bytes = suite.key_bytes;
  job.src = op.text - headers_bytes;
  job.dst = op.text;
  job.cipher_start_src_offset_in_bytes = headers_bytes;
  job.msg_len_to_cipher_in_bytes = op.text_bytes;
  job.auth_tag_output = icv;
  job.auth_tag_output_len_in_bytes = suite.icv_bytes;
  job.cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
  job.chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  switch (suite.cipher) {
    case Cipher::null:
      job.cipher_mode = IMB_CIPHER_NULL;
      fill_hmac(job, op, suite, at);
      break;
    case Cipher::aes_cbc:
      fill_cbc(job, op, direction);
      fill_hmac(job, op, suite, at);
      break;
    case Cipher::aes_ctr:
      // With 12 bytes the library appends the block counter, from 1 (RFC 3686 4).
      job.cipher_mode = op.text_bytes == 0 ? IMB_CIPHER_NULL : IMB_CIPHER_CNTR;
      job.iv = op.nonce;
      job.iv_len_in_bytes = sizeof op.nonce;
      fill_hmac(job, op, suite, at);
      break;
    case Cipher::aes_ccm_16:
      fill_aead(job, op, IMB_CIPHER_CCM, IMB_AUTH_AES_CCM, suite.salt_bytes);
      job.u.CCM.aad = op.aad;
      job.u.CCM.aad_len_in_bytes = op.aad_bytes;
      // CCM authenticates the plaintext.
      job.chain_order = seal ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
      break;
    case Cipher::chacha20_poly1305:
      fill_aead(job, op, IMB_CIPHER_CHACHA20_POLY1305, IMB_AUTH_CHACHA20_POLY1305, suite.salt_bytes);
      job.u.CHACHA20_POLY1305.aad = op.aad;
      job.u.CHACHA20_POLY1305.aad_len_in_bytes = op.aad_bytes;
      break;
    case Cipher::aes_gcm_16:
    case Cipher::aes_gmac:
      break;
  }
}

void Jobs::run(std::span<Operation* const> operations, Direction direction) {
  std::array<Operation*, most> sound;
  std::uint32_t count = 0;
  for (auto* const op : operations) {
    op->status = Status::failed;
    if (is_sound(suite(op->suite), *op)) sound[count++] = op;
  }
  // The ring is empty between bursts, so that it has as many as are asked for.
  std::array<IMB_JOB*, most> jobs, returned;
  if (count == 0 || manager_->get_next_burst(manager_.get(), count, jobs.data()) != count) return;
  for (std::uint32_t i = 0; i < count; ++i) {
    auto& op = *sound[i];
    if (appends_high_half(suite(op.suite), op)) {
      std::memcpy(&first_word_[i], op.icv(), 4);
      std::memcpy(op.icv(), op.aad + 4, 4);
    }
    fill_job(*jobs[i], op, direction, direction == Direction::seal ? op.icv() : icvs_[i].bytes);
  }
  returned = jobs;
  auto done = manager_->submit_burst_nocheck(manager_.get(), count, returned.data());
  while (done < count) {
    const auto flushed = manager_->flush_burst(manager_.get(), count - done, returned.data());
    if (flushed == 0) break;
    done += flushed;
  }
  for (std::uint32_t i = 0; i < count; ++i) finish(*sound[i], *jobs[i], i, direction);
}

void Jobs::finish(Operation& op, const IMB_JOB& job, std::size_t lane, Direction direction) {
  const auto& row = suite(op.suite);
  const bool opens = direction == Direction::open;
  if (opens && appends_high_half(row, op)) std::memcpy(op.icv(), &first_word_[lane], 4);
  if (job.status != IMB_STATUS_COMPLETED) return;
  op.status = opens ? compare_icv(icvs_[lane].bytes, op.icv(), row.icv_bytes) : Status::ok;
}

}  // namespace espgate::crypto
