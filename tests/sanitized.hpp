// Whether the build has sanitizers, which make everything several times as slow.
#pragma once

namespace espgate::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
inline constexpr bool sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool sanitized = false;
#endif

// For tests of many: a tenth of them takes the same paths, and other builds show the growth.
template <typename Count>
constexpr Count many(Count count) {
  return sanitized ? count / 10 : count;
}

}  // namespace espgate::testing
