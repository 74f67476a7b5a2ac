#include "drivers/crypto/ipsec_mb_manager.hpp"

#include <openssl/crypto.h>

#include <cstddef>
#include <new>

#include "drivers/crypto/library_image.hpp"

namespace espgate::crypto {
namespace {

constexpr std::align_val_t line{64};

void initialise(IMB_MGR* manager, InstructionSet instructions) {
  switch (instructions) {
    case InstructionSet::best:
      return init_mb_mgr_auto(manager, nullptr);
    case InstructionSet::sse:
      return init_mb_mgr_sse(manager);
    case InstructionSet::avx:
      return init_mb_mgr_avx(manager);
    case InstructionSet::avx2:
      return init_mb_mgr_avx2(manager);
    case InstructionSet::avx512:
    case InstructionSet::avx512_vaes:
      return init_mb_mgr_avx512(manager);
  }
}

}  // namespace

void FreeManager::operator()(IMB_MGR* manager) const {
  OPENSSL_cleanse(manager, imb_get_mb_mgr_size());
  ::operator delete(manager, line);
}

Expected<Manager> make_manager(InstructionSet instructions) {
  // Without SHA extensions the library does not take the processor for one with VAES.
  const std::uint64_t flags = instructions == InstructionSet::avx512 ? IMB_FLAG_SHANI_OFF : 0;
  void* const memory = ::operator new(imb_get_mb_mgr_size(), line, std::nothrow);
  if (!memory) return Error{"IPsec-MB cannot allocate its manager", "free some memory and start again"};
  Manager manager(imb_set_pointers_mb_mgr(memory, flags, 1));
  // Without these the library would emulate them in software, at a hundredth of the speed.
  constexpr auto needed = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
  if ((manager->features & needed) != needed)
    return Error{"this processor, or the virtual machine's model of it, lacks AES-NI or PCLMULQDQ",
                 "expose them to the virtual machine, or set crypto-engine = \"openssl\""};
  initialise(manager.get(), instructions);
  if (const int error = imb_get_errno(manager.get()); error != 0)
    return Error{std::string("IPsec-MB does not start on this processor: ") + imb_get_strerror(error),
                 "set crypto-engine = \"openssl\""};
  if ((manager->features & IMB_FEATURE_SELF_TEST) && !(manager->features & IMB_FEATURE_SELF_TEST_PASS))
    return Error{"IPsec-MB failed its own self-test",
                 "reinstall libipsec-mb, or set crypto-engine = \"openssl\""};
  return manager;
}

std::string describe(const IMB_MGR& manager) {
  switch (manager.used_arch) {
    case IMB_ARCH_SSE:
      return "sse";
    case IMB_ARCH_AVX:
      return "avx";
    case IMB_ARCH_AVX2:
      return "avx2";
    case IMB_ARCH_AVX512:
      return (manager.features & IMB_CPUFLAGS_AVX512_T2) == IMB_CPUFLAGS_AVX512_T2 ? "avx512-vaes" : "avx512";
    default:
      return "unknown";
  }
}

// Between these two members the structure is nothing but function pointers.
void move_calls(IMB_MGR& manager, const LibraryImage& image) {
  constexpr auto begin = offsetof(IMB_MGR, get_next_job), end = offsetof(IMB_MGR, earliest_job);
  static_assert((end - begin) % sizeof(void*) == 0);
  auto* const calls = reinterpret_cast<void (**)()>(reinterpret_cast<std::byte*>(&manager) + begin);
  for (std::size_t i = 0; i < (end - begin) / sizeof *calls; ++i) calls[i] = image.translate(calls[i]);
}

}  // namespace espgate::crypto
