// The debug tier: builds that assert the invariants (GORT_DEBUG_TIER; every sanitizer build is one).
#pragma once

namespace gort {

#ifdef GORT_DEBUG_TIER
inline constexpr bool kDebugTier = true;
#else
inline constexpr bool kDebugTier = false;
#endif

// AddressSanitizer handles faults by itself.
#ifdef GORT_ASAN
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

}  // namespace gort
