#include "drivers/crypto/library_image.hpp"

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace espgate::crypto {
namespace {

struct Library {
  std::uintptr_t wanted = 0;  // an address inside the library to find
  std::string path;
  std::uintptr_t base = 0;  // what its virtual addresses are relative to
  std::vector<ElfW(Phdr)> segments;
};

// dl_iterate_phdr's callback: stops at the library that holds the wanted address.
int take_if_it_holds(dl_phdr_info* info, std::size_t, void* context) {
  auto& library = *static_cast<Library*>(context);
  library.segments.clear();
  bool holds = false;
  for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    library.segments.push_back(header);
    // Unsigned arithmetic: an address below the segment wraps to a huge offset.
    holds |= library.wanted - (info->dlpi_addr + header.p_vaddr) < header.p_memsz;
  }
  if (!holds) return 0;
  library.base = info->dlpi_addr;
  library.path = info->dlpi_name;
  return 1;
}

int protection(const ElfW(Phdr) & segment) {
  return ((segment.p_flags & PF_R) ? PROT_READ : 0) | ((segment.p_flags & PF_X) ? PROT_EXEC : 0);
}

// Fills one segment of the image. `shift` is the distance from the original to the image.
bool map_segment(const Library& library, const ElfW(Phdr) & segment, std::uintptr_t shift, int file,
                 std::uintptr_t page) {
  const auto original = library.base + segment.p_vaddr;
  const auto first_page = original & ~(page - 1);
  const auto lead = original - first_page;
  void* const where = reinterpret_cast<void*>(first_page + shift);
  const auto* const from = reinterpret_cast<const void*>(original);
  void* const to = reinterpret_cast<void*>(original + shift);
  if (segment.p_flags & PF_W) {
    if (::mprotect(where, segment.p_memsz + lead, PROT_READ | PROT_WRITE) != 0) return false;
    std::memcpy(to, from, segment.p_memsz);
    return true;
  }
  const auto offset = static_cast<off_t>(segment.p_offset - lead);
  if (::mmap(where, segment.p_filesz + lead, protection(segment), MAP_PRIVATE | MAP_FIXED, file, offset) ==
      MAP_FAILED)
    return false;
  // The file may have been replaced by an upgrade since it was loaded.
  if (std::memcmp(to, from, segment.p_filesz) != 0) {
    errno = ESTALE;
    return false;
  }
  return true;
}

Error cannot_map(const std::string& path, int error) {
  return {"cannot map " + (path.empty() ? std::string("libIPSec_MB") : path) +
              " a second time: " + std::strerror(error),
          "run one worker, or use IPsec-MB 1.4 or newer, which needs no second image"};
}

}  // namespace

Expected<LibraryImage> LibraryImage::of(const void* function) {
  Library library;
  library.wanted = reinterpret_cast<std::uintptr_t>(function);
  if (::dl_iterate_phdr(take_if_it_holds, &library) == 0 || library.path.empty())
    return cannot_map("", ENOENT);  // statically linked

  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (library.base + library.segments.front().p_vaddr) & ~(page - 1);
  const auto& last = library.segments.back();
  const auto bytes = (library.base + last.p_vaddr + last.p_memsz - begin + page - 1) & ~(page - 1);

  const int file = ::open(library.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return cannot_map(library.path, errno);
  void* const copy = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  bool good = copy != MAP_FAILED;
  LibraryImage image(begin, good ? static_cast<std::byte*>(copy) : nullptr, bytes);
  const auto shift = reinterpret_cast<std::uintptr_t>(copy) - begin;
  for (const auto& segment : library.segments)
    good = good && map_segment(library, segment, shift, file, page);
  const int error = errno;
  ::close(file);
  if (!good) return cannot_map(library.path, error);
  return image;
}

LibraryImage::LibraryImage(LibraryImage&& other) noexcept
    : original_(other.original_), copy_(std::exchange(other.copy_, nullptr)), bytes_(other.bytes_) {}

LibraryImage::~LibraryImage() {
  if (copy_) ::munmap(copy_, bytes_);
}

std::uintptr_t LibraryImage::translate_address(std::uintptr_t address) const {
  const auto offset = address - original_;
  return offset < bytes_ ? reinterpret_cast<std::uintptr_t>(copy_) + offset : address;
}

}  // namespace espgate::crypto
